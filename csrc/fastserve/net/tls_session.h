// TLS of one connection as a filter between byte buffers: no socket, no clock.
//
// asio::ssl::stream would do the same over a socket, but holds 34 KB per connection beside
// OpenSSL's own buffers and cannot try a write without waiting for it, which the sweeps of the io
// loop need.
//
// Thread: the one that owns the connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/net/tls_context.h"

struct bio_st;
struct ssl_st;

namespace fastserve::net {

class TlsSession {
 public:
  // What a failure comes of, for whoever gives advice.
  enum class Fault : uint8_t {
    kOther,
    kAuthority,    // nobody who is trusted signed the peer's certificate
    kName,         // the server's certificate is for others
    kCertificate,  // the peer wants a certificate of ours, or another one
    kNoTls,        // the peer speaks something else
  };

  // The side is that of the context, which outlives the session.
  explicit TlsSession(const TlsContext& context);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Takes what the socket gave and appends what it holds to *plain. Not ok: the connection is over;
  // send the output (an alert) and close. kCancelled means that the peer closed in good order.
  // A client begins with nothing (an empty span): its first bytes are then in the output.
  Status decrypt(ByteSpan cipher, Buffer* plain);
  // Appends `plain` as records to the output; only when is_established().
  Status encrypt(ByteSpan plain);
  // Appends close_notify to the output.
  void close();
  // The handshake is complete and chose h2.
  bool is_established() const { return is_established_; }
  // Once something was not ok.
  Fault fault() const { return fault_; }

  // Bytes for the socket; the caller takes them (swap) or sends and clears them.
  Buffer& output() { return output_; }

 private:
  friend struct SessionBio;
  Status handshake();
  Status fail(std::string_view what);
  std::string distrust();

  const TlsContext& context_;
  ssl_st* ssl_ = nullptr;
  ByteSpan input_;  // inside decrypt()
  Buffer output_;
  bool is_established_ = false;
  bool is_failed_ = false;
  Fault fault_ = Fault::kOther;
};

}  // namespace fastserve::net
