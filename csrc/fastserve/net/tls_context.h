// What all TLS connections of one listener share: certificate, key, whom to trust, which versions.
//
// TLS 1.2 and 1.3, forward-secret AEAD suites only, ALPN "h2" or no connection, no renegotiation,
// no compression. With a client CA every client must show a certificate that it signed (mTLS).
#pragma once

#include <memory>
#include <string_view>

#include "fastserve/base/status.h"

struct ssl_ctx_st;

namespace fastserve::net {

class TlsContext {
 public:
  // Everything is PEM text. `certificate` is the chain, the server's own first; `client_ca` may be
  // empty. Errors: kInvalidArgument, which names the part and what OpenSSL said.
  // Thread: any; the result is immutable and may be shared by threads.
  static Result<std::shared_ptr<const TlsContext>> make(std::string_view certificate,
                                                        std::string_view key,
                                                        std::string_view client_ca);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* get() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}

  ssl_ctx_st* const context_;
};

}  // namespace fastserve::net
