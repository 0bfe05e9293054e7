#include "fastserve/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <array>
#include <string>
#include <utility>

namespace fastserve::net {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using CertificatePtr = std::unique_ptr<X509, Freed<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

constexpr std::string_view kH2 = "h2";
// Forward secrecy and AEAD: RFC 9113, 9.2.2 forbids the others for HTTP/2 over TLS 1.2.
constexpr const char* kTls12Ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

std::string openssl_reason() {
  std::string reason;
  // The earliest error is the cause; later ones say who passed it on.
  if (const unsigned long code = ERR_get_error(); code != 0) {
    std::array<char, 256> text{};
    ERR_error_string_n(code, text.data(), text.size());
    reason = text.data();
  }
  ERR_clear_error();
  return reason.empty() ? "no PEM block of this kind was found" : reason;
}

Status bad_part(std::string_view part, std::string_view advice) {
  return invalid_argument("TLS " + std::string(part) + " cannot be used: " + openssl_reason() +
                          "; " + std::string(advice));
}

BioPtr reader_of(std::string_view pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Without it OpenSSL would ask for a passphrase on the terminal and the server would hang.
int refuse_passphrase(char*, int, int, void*) { return 0; }

// The end of a list of PEM blocks shows as an error, which is not one.
bool is_end_of_list() {
  const unsigned long code = ERR_peek_last_error();
  const bool is_end =
      ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (is_end) ERR_clear_error();
  return is_end;
}

Status use_certificate(SSL_CTX* context, std::string_view pem) {
  constexpr std::string_view kAdvice = "give the PEM chain, the server's certificate first";
  const BioPtr reader = reader_of(pem);
  const CertificatePtr leaf(
      PEM_read_bio_X509_AUX(reader.get(), nullptr, refuse_passphrase, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return bad_part("certificate", kAdvice);
  }
  while (true) {
    CertificatePtr next(PEM_read_bio_X509(reader.get(), nullptr, refuse_passphrase, nullptr));
    if (!next) break;
    if (SSL_CTX_add0_chain_cert(context, next.get()) != 1) return bad_part("certificate", kAdvice);
    static_cast<void>(next.release());  // the context's now
  }
  return is_end_of_list() ? ok_status() : bad_part("certificate", kAdvice);
}

Status use_key(SSL_CTX* context, std::string_view pem) {
  const BioPtr reader = reader_of(pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(reader.get(), nullptr, refuse_passphrase, nullptr));
  if (!key) return bad_part("private key", "give an unencrypted PEM key");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return bad_part("private key", "give the key that belongs to the certificate");
  }
  return ok_status();
}

Status require_client(SSL_CTX* context, std::string_view pem) {
  constexpr std::string_view kAdvice = "give PEM certificates of the authorities to trust";
  const BioPtr reader = reader_of(pem);
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  int count = 0;
  while (true) {
    const CertificatePtr next(
        PEM_read_bio_X509_AUX(reader.get(), nullptr, refuse_passphrase, nullptr));
    if (!next) break;
    if (X509_STORE_add_cert(store, next.get()) != 1 ||
        SSL_CTX_add_client_CA(context, next.get()) != 1) {
      return bad_part("client CA", kAdvice);
    }
    ++count;
  }
  if (!is_end_of_list() || count == 0) return bad_part("client CA", kAdvice);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return ok_status();
}

// Picks "h2" from the client's list of length-prefixed names.
int select_h2(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* list,
              unsigned int length, void*) {
  for (unsigned int at = 0; at < length; at += 1u + list[at]) {
    const unsigned int name_length = list[at];
    if (at + 1 + name_length > length) break;
    const std::string_view name(reinterpret_cast<const char*>(list) + at + 1, name_length);
    if (name != kH2) continue;
    *out = list + at + 1;
    *out_length = list[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::make(std::string_view certificate,
                                                           std::string_view key,
                                                           std::string_view client_ca) {
  ERR_clear_error();
  SSL_CTX* const raw = SSL_CTX_new(TLS_server_method());
  if (raw == nullptr) return Status{Code::kInternal, "TLS: " + openssl_reason()};
  const std::shared_ptr<const TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Read and write buffers (34 KB) are given back while a connection is idle.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_cipher_list(raw, kTls12Ciphers) != 1) {
    return Status{Code::kInternal, "TLS: " + openssl_reason()};
  }
  // Resumption by tickets alone: a server-side cache would grow with the number of clients. A
  // session of one configuration must not be resumed under another that trusts other clients.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  constexpr std::string_view kSessionId = "fastserve";
  SSL_CTX_set_session_id_context(raw, reinterpret_cast<const unsigned char*>(kSessionId.data()),
                                 kSessionId.size());
  SSL_CTX_set_alpn_select_cb(raw, select_h2, nullptr);
  if (Status status = use_certificate(raw, certificate); !status.ok()) return status;
  if (Status status = use_key(raw, key); !status.ok()) return status;
  if (!client_ca.empty()) {
    if (Status status = require_client(raw, client_ca); !status.ok()) return status;
  }
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

}  // namespace fastserve::net
