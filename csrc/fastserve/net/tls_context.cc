#include "fastserve/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <string>
#include <utility>

#include "fastserve/base/quoted.h"

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
constexpr std::string_view kOffer("\x02h2", 3);  // as ALPN lists names: length first
constexpr size_t kMaxNameBytes = 255;            // of a host, RFC 1035 and OpenSSL's SNI
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

Status use_certificate(SSL_CTX* context, std::string_view pem, std::string_view owner) {
  const std::string advice =
      "give the PEM chain, the " + std::string(owner) + "'s certificate first";
  const BioPtr reader = reader_of(pem);
  const CertificatePtr leaf(
      PEM_read_bio_X509_AUX(reader.get(), nullptr, refuse_passphrase, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return bad_part("certificate", advice);
  }
  while (true) {
    CertificatePtr next(PEM_read_bio_X509(reader.get(), nullptr, refuse_passphrase, nullptr));
    if (!next) break;
    if (SSL_CTX_add0_chain_cert(context, next.get()) != 1) return bad_part("certificate", advice);
    static_cast<void>(next.release());  // the context's now
  }
  return is_end_of_list() ? ok_status() : bad_part("certificate", advice);
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

// `part` says whose certificates these authorities sign.
Status trust(SSL_CTX* context, std::string_view pem, std::string_view part) {
  constexpr std::string_view kAdvice = "give PEM certificates of the authorities to trust";
  const BioPtr reader = reader_of(pem);
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  int count = 0;
  while (true) {
    const CertificatePtr next(
        PEM_read_bio_X509_AUX(reader.get(), nullptr, refuse_passphrase, nullptr));
    if (!next) break;
    // A client never sends the second list.
    if (X509_STORE_add_cert(store, next.get()) != 1 ||
        SSL_CTX_add_client_CA(context, next.get()) != 1) {
      return bad_part(part, kAdvice);
    }
    ++count;
  }
  return is_end_of_list() && count > 0 ? ok_status() : bad_part(part, kAdvice);
}

Status require_client(SSL_CTX* context, std::string_view pem) {
  if (Status status = trust(context, pem, "client CA"); !status.ok()) return status;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return ok_status();
}

// Whose certificates a client takes.
Status require_server(SSL_CTX* context, std::string_view authorities) {
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (authorities.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return ok_status();
    return {Code::kInternal, "TLS: " + openssl_reason()};
  }
  // Who names an intermediate authority trusts it, as gRPC's clients do.
  X509_STORE_set_flags(SSL_CTX_get_cert_store(context), X509_V_FLAG_PARTIAL_CHAIN);
  return trust(context, authorities, "server CA");
}

// Sets the name that the server's certificate must be for; *is_host: it is no IP address.
Status expect_name(SSL_CTX* context, const std::string& name, bool* is_host) {
  X509_VERIFY_PARAM* const expected = SSL_CTX_get0_param(context);
  *is_host = X509_VERIFY_PARAM_set1_ip_asc(expected, name.c_str()) != 1;
  ERR_clear_error();
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool is_name =
      !name.empty() && name.size() <= kMaxNameBytes && name.find('\0') == std::string::npos;
  if (!is_name ||
      (*is_host && X509_VERIFY_PARAM_set1_host(expected, name.data(), name.size()) != 1)) {
    return invalid_argument("TLS server name " + quoted(name) +
                            " cannot be used; give a host name or an IP address");
  }
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

Result<std::shared_ptr<TlsContext>> TlsContext::begin(const ssl_method_st* method) {
  ERR_clear_error();
  SSL_CTX* const raw = SSL_CTX_new(method);
  if (raw == nullptr) return Status{Code::kInternal, "TLS: " + openssl_reason()};
  std::shared_ptr<TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  if (SSL_CTX_set_cipher_list(raw, kTls12Ciphers) != 1) {
    return Status{Code::kInternal, "TLS: " + openssl_reason()};
  }
  // Resumption by tickets alone: a server-side cache would grow with the number of clients.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  return context;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::make(std::string_view certificate,
                                                           std::string_view key,
                                                           std::string_view client_ca) {
  auto begun = begin(TLS_server_method());
  if (!begun.ok()) return begun.status();
  SSL_CTX* const raw = begun.value()->get();
  SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Read and write buffers (34 KB) are given back while a connection is idle.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  // A session of one configuration must not be resumed under another that trusts other clients.
  constexpr std::string_view kSessionId = "fastserve";
  SSL_CTX_set_session_id_context(raw, reinterpret_cast<const unsigned char*>(kSessionId.data()),
                                 kSessionId.size());
  SSL_CTX_set_alpn_select_cb(raw, select_h2, nullptr);
  if (Status status = use_certificate(raw, certificate, "server"); !status.ok()) return status;
  if (Status status = use_key(raw, key); !status.ok()) return status;
  if (!client_ca.empty()) {
    if (Status status = require_client(raw, client_ca); !status.ok()) return status;
  }
  return std::shared_ptr<const TlsContext>(std::move(begun.value()));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::make_client(const std::string& server_name,
                                                                  std::string_view authorities,
                                                                  std::string_view certificate,
                                                                  std::string_view key) {
  auto begun = begin(TLS_client_method());
  if (!begun.ok()) return begun.status();
  TlsContext& context = *begun.value();
  SSL_CTX* const raw = context.get();
  Status status = expect_name(raw, server_name, &context.is_name_told_);
  if (!status.ok()) return status;
  context.server_name_ = server_name;
  if (status = require_server(raw, authorities); !status.ok()) return status;
  // 0 is success, of this function alone.
  if (SSL_CTX_set_alpn_protos(raw, reinterpret_cast<const unsigned char*>(kOffer.data()),
                              kOffer.size()) != 0) {
    return Status{Code::kInternal, "TLS: " + openssl_reason()};
  }
  if (!certificate.empty() || !key.empty()) {
    if (status = use_certificate(raw, certificate, "client"); !status.ok()) return status;
    if (status = use_key(raw, key); !status.ok()) return status;
  }
  return std::shared_ptr<const TlsContext>(std::move(begun.value()));
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

}  // namespace fastserve::net
