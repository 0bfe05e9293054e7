// What the transport allows a peer, in time and in size.
#pragma once

#include <cstddef>

#include "fastserve/base/clock.h"
#include "fastserve/grpc/server_connection.h"

namespace fastserve::net {

struct Timeouts {
  // From accept to the client's HTTP/2 preface, TLS handshake included.
  Nanos opening = 10 * kSecond;
  // A peer that takes no byte for so long, while bytes wait for it, is disconnected (RST).
  Nanos write_stall = 30 * kSecond;
  // A call with an unfinished message of which no byte came, or with an answer of which no byte
  // could be sent for want of window, is reset after one to two of these. Streams that are quiet
  // between messages are left alone.
  Nanos call_stall = 30 * kSecond;
  // A read buffer that grew is given back after so long without a byte.
  Nanos read_idle = 10 * kSecond;
  // Between the two GOAWAYs of a drain: a round trip, so that calls which cross the first are
  // served.
  Nanos drain_step = 250 * kMillisecond;
  // For the peer to read the last bytes and close, before the socket is closed under it.
  Nanos linger = kSecond;
};

struct ServerOptions {
  int io_threads = 2;  // at most front::kMaxBridgePorts
  grpc::ConnectionOptions connection;
  // Beyond it connections wait in the kernel's backlog.
  size_t max_connections = 10'000;
  Timeouts timeouts;
  // How long an io thread polls before it sleeps while requests come fast; 0: never. Chosen with
  // `bench/run.py --only small one`; see spinner.h.
  Nanos poll_budget = 50 * kMicrosecond;
};

}  // namespace fastserve::net
