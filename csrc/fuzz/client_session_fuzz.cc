// A load generator's session that is told anything by its server. The input is a program of steps:
// calls opened and given up, frames with chosen headers, whole answers, raw bytes. Whatever comes,
// every call ends once (a reply, or given up), and how the bytes were cut into reads makes no
// difference: a second session gets them one at a time, and must say and send the same.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/http2/client_session.h"
#include "steps.h"

namespace {

using namespace fastserve;
using fuzz::Steps;

constexpr size_t kMaxCalls = 200;

void require(bool holds) {
  if (!holds) std::abort();
}

// Answers as a server that compresses headers sends them: HEADERS, DATA, trailers. One after the
// other they share a table, as on a connection.
std::vector<std::string>* answer_blocks = nullptr;

std::string block_of(nghttp2_hd_deflater* deflater,
                     const std::vector<std::pair<std::string_view, std::string_view>>& fields) {
  std::vector<nghttp2_nv> views;
  for (const auto& [name, value] : fields) {
    views.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                     reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                     value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  std::string block(nghttp2_hd_deflate_bound(deflater, views.data(), views.size()), '\0');
  const ssize_t size = nghttp2_hd_deflate_hd(deflater, reinterpret_cast<uint8_t*>(block.data()),
                                             block.size(), views.data(), views.size());
  require(size >= 0);
  block.resize(static_cast<size_t>(size));
  return block;
}

std::string frame_of(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  const size_t size = payload.size();
  const char header[] = {static_cast<char>(size >> 16),   static_cast<char>(size >> 8),
                         static_cast<char>(size),         static_cast<char>(type),
                         static_cast<char>(flags),        static_cast<char>(stream >> 24),
                         static_cast<char>(stream >> 16), static_cast<char>(stream >> 8),
                         static_cast<char>(stream)};
  return std::string(header, sizeof header) + std::string(payload);
}

// Notes what it hears as text, to be compared.
struct Listener final : http2::ReplySink {
  void on_reply(const http2::Ticket& ticket, const http2::Reply& reply) override {
    ++ended.at(ticket.group);
    heard += std::to_string(ticket.group) + ' ' + std::to_string(reply.http_status) + ' ' +
             std::to_string(reply.grpc_status) + ' ' + std::to_string(reply.body_bytes) + ' ' +
             std::to_string(reply.error_code) + ' ' + std::string(reply.grpc_message) + '\n';
  }

  std::array<int, kMaxCalls> ended{};
  std::string heard;
};

struct Client {
  explicit Client(const http2::ClientSession::Headers& headers) : session(headers, &listener) {}

  void take_output() {
    sent += as_text(session.output().bytes());
    session.output().clear();
  }

  Listener listener;
  http2::ClientSession session;
  std::string sent;
  bool is_over = false;
};

// The same program for both; the second reads byte by byte.
class Pair {
 public:
  explicit Pair(const http2::ClientSession::Headers& headers) : whole_(headers), pieces_(headers) {}

  void feed(std::string_view bytes) {
    if (whole_.is_over) return;
    whole_.is_over = !whole_.session.receive(as_bytes(bytes)).ok();
    for (const char& each : bytes) {
      if (pieces_.is_over) break;
      pieces_.is_over = !pieces_.session.receive(as_bytes(std::string_view(&each, 1))).ok();
    }
    check();
  }

  void open(std::string_view body) {
    if (whole_.is_over || opened_ == kMaxCalls || !whole_.session.can_open()) return;
    const http2::Ticket ticket{.due = 0, .sent = 0, .group = static_cast<uint32_t>(opened_++)};
    const uint32_t id = whole_.session.open(as_bytes(body), ticket);
    require(pieces_.session.open(as_bytes(body), ticket) == id);
    ids_.push_back(id);
    check();
  }

  void cancel(uint8_t which) {
    if (whole_.is_over || ids_.empty()) return;
    http2::Ticket ticket;
    http2::Ticket other;
    const uint32_t id = ids_[which % ids_.size()];
    const bool is_open = whole_.session.cancel(id, &ticket);
    require(pieces_.session.cancel(id, &other) == is_open);
    if (is_open) {
      require(ticket.group == other.group);
      ++given_up_.at(ticket.group);
    }
    check();
  }

  uint32_t stream(uint8_t which) const { return ids_.empty() ? which : ids_[which % ids_.size()]; }

  void finish() {
    for (Client* client : {&whole_, &pieces_}) {
      auto ended = client->listener.ended;
      for (size_t i = 0; i < kMaxCalls; ++i) ended[i] += given_up_[i];
      client->session.abandon([&ended](const http2::Ticket& ticket) { ++ended.at(ticket.group); });
      require(client->session.open_calls() == 0);
      for (size_t i = 0; i < kMaxCalls; ++i) require(ended[i] == (i < opened_ ? 1 : 0));
    }
  }

 private:
  void check() {
    require(whole_.is_over == pieces_.is_over);
    require(whole_.listener.heard == pieces_.listener.heard);
    require(whole_.session.open_calls() == pieces_.session.open_calls());
    whole_.take_output();
    pieces_.take_output();
    require(whole_.sent == pieces_.sent);
    size_t gone = 0;
    for (size_t i = 0; i < kMaxCalls; ++i) {
      gone += static_cast<size_t>(whole_.listener.ended[i] + given_up_[i]);
    }
    require(whole_.session.open_calls() + gone == opened_);
  }

  Client whole_;
  Client pieces_;
  std::vector<uint32_t> ids_;
  std::array<int, kMaxCalls> given_up_{};
  size_t opened_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  answer_blocks = new std::vector<std::string>();
  nghttp2_hd_deflater* deflater = nullptr;
  nghttp2_hd_deflate_new(&deflater, 4096);
  for (int i = 0; i < 2; ++i) {
    answer_blocks->push_back(
        block_of(deflater, {{":status", "200"}, {"content-type", "application/grpc"}}));
    answer_blocks->push_back(block_of(deflater, {{"grpc-status", "0"}}));
    answer_blocks->push_back(
        block_of(deflater, {{"grpc-status", "14"}, {"grpc-message", "no%20more"}}));
  }
  nghttp2_hd_deflate_del(deflater);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Steps steps(data, size);
  const uint8_t shape = steps.next();
  http2::ClientSession::Headers headers = {{":method", "POST"}, {":path", "/a"}};
  // Longer than a frame, and than the table.
  if (shape & 1) headers.emplace_back("x-long", std::string(20'000, 'x'));
  const std::string small(5, 'b');
  const std::string large(100'000, 'b');
  Pair pair(headers);
  if (shape & 2) pair.feed(frame_of(NGHTTP2_SETTINGS, 0, 0, ""));
  while (!steps.empty()) {
    const uint8_t what = steps.next();
    switch (what & 7) {
      case 0:
        pair.feed(steps.bytes(steps.next()));
        break;
      case 1:
        pair.open((what & 8) ? std::string_view() : (what & 16) ? large : small);
        break;
      case 2:
        pair.cancel(steps.next());
        break;
      case 3: {
        const uint8_t type = steps.next() % 12;
        const uint8_t flags = steps.next();
        const uint32_t stream = (what & 8) ? pair.stream(steps.next()) : 0;
        pair.feed(frame_of(type, flags, stream, steps.bytes(steps.next())));
        break;
      }
      case 4: {
        const std::string& block = (*answer_blocks)[(what >> 3) % answer_blocks->size()];
        const uint8_t flags = NGHTTP2_FLAG_END_HEADERS | (steps.next() & NGHTTP2_FLAG_END_STREAM);
        pair.feed(frame_of(NGHTTP2_HEADERS, flags, pair.stream(steps.next()), block));
        break;
      }
      case 5: {
        const std::string_view id("\0\x03\0\x04\0\x05\0\x01", 8);  // what settings there are
        std::string setting(id.substr((what >> 3 & 3) * 2, 2));
        setting += steps.bytes(4);
        setting.resize(6);
        pair.feed(frame_of(NGHTTP2_SETTINGS, 0, 0, setting));
        break;
      }
      case 6:
        pair.feed(frame_of(NGHTTP2_WINDOW_UPDATE, 0, (what & 8) ? pair.stream(steps.next()) : 0,
                           std::string("\0\0", 2) + std::string(2, static_cast<char>(what))));
        break;
      default:
        pair.feed(frame_of(NGHTTP2_DATA, what >> 3 & NGHTTP2_FLAG_END_STREAM,
                           pair.stream(steps.next()), steps.bytes(steps.next())));
        break;
    }
  }
  pair.finish();
  return 0;
}
