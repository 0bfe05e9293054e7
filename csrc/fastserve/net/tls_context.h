// What all TLS connections of one listener, or to one server, share: certificate, key, whom to
// trust, which versions.
//
// TLS 1.2 and 1.3, forward-secret AEAD suites only, ALPN "h2" or no connection, no renegotiation,
// no compression. With a client CA every client must show a certificate that it signed (mTLS).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "fastserve/base/status.h"

struct ssl_ctx_st;
struct ssl_method_st;

namespace fastserve::net {

class TlsContext {
 public:
  // Everything is PEM text. `certificate` is the chain, the server's own first; `client_ca` may be
  // empty. Errors: kInvalidArgument, which names the part and what OpenSSL said.
  // Thread: any; the result is immutable and may be shared by threads.
  static Result<std::shared_ptr<const TlsContext>> make(std::string_view certificate,
                                                        std::string_view key,
                                                        std::string_view client_ca);
  // The same for a client. `authorities` are whom it trusts, those of the system when empty
  // (OpenSSL's default file and folder; SSL_CERT_FILE and SSL_CERT_DIR name others). The server's
  // certificate must be for `server_name`, a host's name or an IP address. `certificate` and `key`
  // are for a server that asks for them; both or none.
  static Result<std::shared_ptr<const TlsContext>> make_client(const std::string& server_name,
                                                               std::string_view authorities,
                                                               std::string_view certificate,
                                                               std::string_view key);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* get() const { return context_; }
  bool is_client() const { return !server_name_.empty(); }
  const std::string& server_name() const { return server_name_; }
  // `server_name` is a host's: the server is told whom it is asked as (SNI).
  bool is_name_told() const { return is_name_told_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  // What both sides have in common.
  static Result<std::shared_ptr<TlsContext>> begin(const ssl_method_st* method);

  ssl_ctx_st* const context_;
  std::string server_name_;
  bool is_name_told_ = false;
};

}  // namespace fastserve::net
