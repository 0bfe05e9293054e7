#include "fastserve/net/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

namespace fastserve::net {
namespace {

constexpr size_t kRecordBytes = 16 * 1024;

Status tls_error(std::string_view what) {
  std::string message = "TLS " + std::string(what) + " failed";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    std::array<char, 256> text{};
    ERR_error_string_n(code, text.data(), text.size());
    message += ": " + std::string(text.data());
  }
  ERR_clear_error();
  return {Code::kUnavailable, std::move(message)};
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

TlsSession::TlsSession(const TlsContext& context) : ssl_(SSL_new(context.get())) {
  static BIO_METHOD* const method = SessionBio::make_method();
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_accept_state(ssl_);
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
      return {Code::kUnavailable, "TLS client did not offer the protocol h2 (ALPN)"};
    }
    is_established_ = true;
    return ok_status();
  }
  if (SSL_get_error(ssl_, result) == SSL_ERROR_WANT_READ) return ok_status();
  is_failed_ = true;
  return tls_error("handshake");
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
        is_failed_ = true;
        return tls_error("read");
    }
  }
}

Status TlsSession::encrypt(ByteSpan plain) {
  if (plain.empty()) return ok_status();
  ERR_clear_error();
  size_t written = 0;
  // The BIO takes everything, so the write is whole or an error.
  if (SSL_write_ex(ssl_, plain.data(), plain.size(), &written) == 1) return ok_status();
  is_failed_ = true;
  return tls_error("write");
}

void TlsSession::close() {
  if (is_failed_ || !is_established_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace fastserve::net
