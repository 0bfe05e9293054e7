#include "fastserve/net/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "fastserve/base/quoted.h"
#include "fastserve/net/certificate_names.h"

namespace fastserve::net {
namespace {

constexpr size_t kRecordBytes = 16 * 1024;

std::string reason_of(unsigned long code) {
  if (const char* reason = ERR_reason_error_string(code); reason != nullptr) return reason;
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

// What the peer's alerts, and bytes that are no TLS, say of the failure.
TlsSession::Fault fault_of(unsigned long code) {
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return TlsSession::Fault::kOther;
  switch (ERR_GET_REASON(code)) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:  // what TLS 1.2 says for it
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return TlsSession::Fault::kCertificate;
    case SSL_R_WRONG_VERSION_NUMBER:
      return TlsSession::Fault::kNoTls;
    default:
      return TlsSession::Fault::kOther;
  }
}

// What a certificate's verification says of the failure.
TlsSession::Fault fault_of_verification(long result) {
  switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return TlsSession::Fault::kName;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
      return TlsSession::Fault::kAuthority;
    default:
      return TlsSession::Fault::kOther;
  }
}

}  // namespace

// OpenSSL's view of the session's two buffers. A memory BIO would copy every byte once more.
struct SessionBio {
  static int read(BIO* bio, char* data, int size) {
    auto& session = *static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (session.input_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const size_t bytes = std::min(static_cast<size_t>(size), session.input_.size());
    std::memcpy(data, session.input_.data(), bytes);
    session.input_ = session.input_.subspan(bytes);
    return static_cast<int>(bytes);
  }
  static int write(BIO* bio, const char* data, int size) {
    auto& session = *static_cast<TlsSession*>(BIO_get_data(bio));
    session.output_.append(as_bytes({data, static_cast<size_t>(size)}));
    return size;
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }
  static BIO_METHOD* make_method() {
    BIO_METHOD* method =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fastserve TLS session");
    BIO_meth_set_read(method, read);
    BIO_meth_set_write(method, write);
    BIO_meth_set_ctrl(method, control);
    BIO_meth_set_create(method, create);
    return method;
  }
};

TlsSession::TlsSession(const TlsContext& context)
    : context_(context), ssl_(SSL_new(context.get())) {
  static BIO_METHOD* const method = SessionBio::make_method();
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_, bio, bio);
  if (!context.is_client()) {
    SSL_set_accept_state(ssl_);
    return;
  }
  SSL_set_connect_state(ssl_);
  if (context.is_name_told()) SSL_set_tlsext_host_name(ssl_, context.server_name().c_str());
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

Status TlsSession::handshake() {
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) {
    const unsigned char* protocol = nullptr;
    unsigned int length = 0;
    SSL_get0_alpn_selected(ssl_, &protocol, &length);
    // A client without the extension never reaches the selection.
    if (std::string_view(reinterpret_cast<const char*>(protocol), length) != "h2") {
      is_failed_ = true;
      return {Code::kUnavailable, SSL_is_server(ssl_)
                                      ? "TLS client did not offer the protocol h2 (ALPN)"
                                      : "TLS server did not choose the protocol h2 (ALPN)"};
    }
    is_established_ = true;
    return ok_status();
  }
  if (SSL_get_error(ssl_, result) == SSL_ERROR_WANT_READ) return ok_status();
  return fail("handshake");
}

Status TlsSession::fail(std::string_view what) {
  is_failed_ = true;
  std::string message = "TLS " + std::string(what) + " failed";
  // The earliest error is the cause.
  if (const unsigned long code = ERR_get_error(); code != 0) {
    message += ": " + reason_of(code);
    fault_ = fault_of(code);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
        ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
      message += ": " + distrust();
    }
  }
  ERR_clear_error();
  return {Code::kUnavailable, std::move(message)};
}

// Why the peer's certificate was not taken.
std::string TlsSession::distrust() {
  const long result = SSL_get_verify_result(ssl_);
  std::string reason = X509_verify_cert_error_string(result);
  fault_ = fault_of_verification(result);
  if (fault_ != Fault::kName) return reason;
  reason += ", expected " + quoted(context_.server_name());
  // As far as it was built; the server's own certificate is the first.
  const auto* chain = SSL_get0_verified_chain(ssl_);
  if (sk_X509_num(chain) > 0) {
    reason += "; the certificate is for " + certificate_names(sk_X509_value(chain, 0));
  }
  return reason;
}

Status TlsSession::decrypt(ByteSpan cipher, Buffer* plain) {
  if (is_failed_) return {Code::kUnavailable, "TLS failed before"};
  ERR_clear_error();
  input_ = cipher;
  if (!is_established_) {
    if (Status status = handshake(); !status.ok()) return status;
    if (!is_established_) return ok_status();
  }
  while (true) {
    const size_t before = plain->size();
    std::byte* const to = plain->extend(kRecordBytes);
    size_t bytes = 0;
    const int result = SSL_read_ex(ssl_, to, kRecordBytes, &bytes);
    plain->truncate(before + bytes);
    if (result == 1) continue;
    switch (SSL_get_error(ssl_, result)) {
      case SSL_ERROR_WANT_READ:
        return ok_status();
      case SSL_ERROR_ZERO_RETURN:
        return {Code::kCancelled, "TLS peer closed"};
      default:
        return fail("read");
    }
  }
}

Status TlsSession::encrypt(ByteSpan plain) {
  if (plain.empty()) return ok_status();
  ERR_clear_error();
  size_t written = 0;
  // The BIO takes everything, so the write is whole or an error.
  if (SSL_write_ex(ssl_, plain.data(), plain.size(), &written) == 1) return ok_status();
  return fail("write");
}

void TlsSession::close() {
  if (is_failed_ || !is_established_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace fastserve::net
