// What a load is: where to, what, how much, until when.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/bench/schedule.h"
#include "fastserve/net/tls_context.h"

namespace fastserve::bench {

struct Payload {
  std::string body;    // the message behind its five bytes of gRPC prefix
  uint32_t group = 0;  // what it is counted under: its model
};

// `message` as it goes over the wire, uncompressed.
inline Payload make_payload(std::string_view message, uint32_t group) {
  Payload payload{std::string(5, '\0'), group};
  for (size_t i = 0; i < 4; ++i) {
    payload.body[1 + i] = static_cast<char>(message.size() >> (24 - 8 * i) & 0xff);
  }
  payload.body += message;
  return payload;
}

struct LoadOptions {
  // A literal or name with a port; or `unix_path`.
  std::string host;
  uint16_t port = 0;
  std::string unix_path;
  std::shared_ptr<const net::TlsContext> tls;  // a client's; null: no TLS
  std::string path = "/inference.GRPCInferenceService/ModelInfer";
  std::string authority;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  std::vector<Payload> payloads;  // sent in turn; at least one
  uint32_t groups = 1;

  int threads = 1;
  int connections = 1;    // of all threads; at least as many as threads
  int in_flight = 1;      // at most, on each connection
  double per_second = 0;  // of all threads; 0: a closed loop
  Arrivals arrivals = Arrivals::kPoisson;
  uint64_t seed = 1;

  uint64_t max_requests = 0;  // 0: no limit
  Nanos duration = kNever;
  Nanos warm_up = 0;          // answers to requests due earlier are counted but not measured
  Nanos deadline = kNever;    // from the send; also told to the server
  Nanos drain = 5 * kSecond;  // how long answers are awaited after the last request
  Nanos connect_timeout = 5 * kSecond;
};

}  // namespace fastserve::bench
