#include "fastserve/http2/request_shape.h"

#include <doctest/doctest.h>
#include <nghttp2/nghttp2.h>

#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fastserve/http2/connection.h"
#include "fastserve/http2/field_check.h"
#include "tests/raw_peer.h"

namespace fastserve::http2 {
namespace {

using transport_test::frame;
using transport_test::Headers;
using transport_test::preface;

// What a peer's bytes came to: each stream's events, and the streams that were reset.
struct Heard {
  std::map<int32_t, std::string> events;
  std::set<int32_t> resets;
  bool operator==(const Heard&) const = default;
};

void note_resets(std::string_view out, Heard* heard) {
  while (out.size() >= 9) {
    const auto at = [&out](size_t i) { return static_cast<uint8_t>(out[i]); };
    const size_t length = size_t{at(0)} << 16 | size_t{at(1)} << 8 | at(2);
    const int32_t stream = at(5) << 24 | at(6) << 16 | at(7) << 8 | at(8);
    if (at(3) == NGHTTP2_RST_STREAM) heard->resets.insert(stream);
    out.remove_prefix(9 + length);
  }
}

// A client's header blocks: of the fields that come again, entries of the table.
class Encoder {
 public:
  Encoder() { nghttp2_hd_deflate_new(&deflater_, 4096); }
  ~Encoder() { nghttp2_hd_deflate_del(deflater_); }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  std::string block(const Headers& headers) {
    std::vector<nghttp2_nv> fields;
    for (const auto& [name, value] : headers) {
      fields.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                        reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                        value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    std::string out(nghttp2_hd_deflate_bound(deflater_, fields.data(), fields.size()), '\0');
    const ssize_t size = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<uint8_t*>(out.data()),
                                               out.size(), fields.data(), fields.size());
    REQUIRE(size >= 0);
    out.resize(static_cast<size_t>(size));
    return out;
  }

 private:
  nghttp2_hd_deflater* deflater_ = nullptr;
};

// libnghttp2 with its own check on.
class Library {
 public:
  Library() {
    nghttp2_session_callbacks* table = nullptr;
    nghttp2_session_callbacks_new(&table);
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        table, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
          std::string& events = static_cast<Library*>(self)->heard_.events[frame->hd.stream_id];
          const bool is_headers = frame->hd.type == NGHTTP2_HEADERS;
          if (is_headers && frame->headers.cat == NGHTTP2_HCAT_REQUEST) events += 'R';
          if ((is_headers || frame->hd.type == NGHTTP2_DATA) &&
              (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
            events += 'E';
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        table,
        [](nghttp2_session*, uint8_t, int32_t stream, const uint8_t*, size_t size, void* self) {
          static_cast<Library*>(self)->heard_.events[stream] += std::to_string(size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_invalid_header_callback2(
        table,
        [](nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*, nghttp2_rcbuf*, uint8_t,
           void*) -> int { return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; });
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    // gRPC metadata values may carry outer spaces.
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1);
    nghttp2_session_server_new2(&session_, table, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(table);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    nghttp2_submit_settings(session_, 0, settings, 1);
  }
  ~Library() { nghttp2_session_del(session_); }

  void receive(std::string_view bytes) {
    const ssize_t read = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    REQUIRE(read == static_cast<ssize_t>(bytes.size()));
    const uint8_t* data = nullptr;
    std::string out;
    for (ssize_t size; (size = nghttp2_session_mem_send(session_, &data)) > 0;) {
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    }
    note_resets(out, &heard_);
  }
  Heard heard() const {
    Heard heard = heard_;
    std::erase_if(heard.events, [](const auto& each) { return each.second.empty(); });
    return heard;
  }

 private:
  nghttp2_session* session_ = nullptr;
  Heard heard_;
};

// The same with what is ours.
class Ours final : Handler {
 public:
  Ours() : connection_(limits(), this) {}

  void receive(std::string_view bytes) {
    REQUIRE(connection_.receive(as_bytes(bytes), 0).ok());
    Buffer out;
    while (connection_.produce(&out, 1 << 20)) {
    }
    note_resets(as_text(out.bytes()), &heard_);
  }
  const Heard& heard() const { return heard_; }

 private:
  static Limits limits() {
    Limits limits;
    limits.glitch_burst = 100'000'000;
    return limits;
  }
  void on_request(Stream& stream) override { heard_.events[stream.id()] += 'R'; }
  void on_data(Stream& stream, ByteSpan data) override {
    heard_.events[stream.id()] += std::to_string(data.size());
    connection_.consume(stream, data.size());
  }
  void on_end(Stream& stream) override { heard_.events[stream.id()] += 'E'; }
  void on_closed(Stream&, uint32_t) override {}
  void on_writable(Stream&) override {}

  Heard heard_;
  Connection connection_;
};

TEST_SUITE_BEGIN("request shape");

TEST_CASE("whatever headers, bodies and trailers come, it says what libnghttp2 says") {
  const Headers pool = {
      {":method", "POST"},
      {":method", "GET"},
      {":method", "CONNECT"},
      {":method", "OPTIONS"},
      {":method", "a b"},
      {":method", ""},
      {":scheme", "http"},
      {":scheme", "HTTPS"},
      {":scheme", "ftp"},
      {":scheme", "1x"},
      {":scheme", ""},
      {":path", "/a/b"},
      {":path", "*"},
      {":path", "a"},
      {":path", "/a b"},
      {":path", ""},
      {":authority", "localhost"},
      {":authority", "a\tb"},
      {":authority", ""},
      {":protocol", "websocket"},
      {":status", "200"},
      {":", "x"},
      {"host", "localhost"},
      {"host", ""},
      {"host", "a b"},
      {"te", "trailers"},
      {"te", "Trailers"},
      {"te", "gzip"},
      {"connection", "close"},
      {"keep-alive", "1"},
      {"proxy-connection", "x"},
      {"transfer-encoding", "x"},
      {"upgrade", "h2c"},
      {"content-length", "3"},
      {"content-length", "0"},
      {"content-length", "03"},
      {"content-length", "+3"},
      {"content-length", ""},
      {"content-length", "3 "},
      {"content-length", "99999999999999999999"},
      {"x-plain", "yes"},
      {"x-plain", " outer "},
      {"x-control", "a\nb"},
      {"Upper", "x"},
      {"sp ace", "x"},
      {"x-empty", ""},
      {"priority", "u=1"},
      {"priority", "nonsense="},
      {"cookie", "a=b"},
      {"x-bytes", "\x80\xff"},
  };
  const Headers good = {{":method", "POST"}, {":scheme", "http"},
                        {":path", "/a/b"},   {":authority", "localhost"},
                        {"te", "trailers"},  {"content-type", "application/grpc"}};
  std::mt19937 random(11);
  const auto one_of = [&random](uint32_t count) { return random() % count; };
  for (int connection = 0; connection < 400; ++connection) {
    Library library;
    Ours ours;
    Encoder encoder;
    std::string sent = preface();
    for (uint32_t id = 1; id < 60; id += 2) {
      Headers headers = good;
      // Mostly a request with some fields put in, changed or taken out; at times with no other
      // fields than the four, or with what comes.
      if (one_of(4) == 0) headers.resize(one_of(2) * 4);
      for (uint32_t changes = one_of(4); changes > 0; --changes) {
        const auto& field = pool[one_of(static_cast<uint32_t>(pool.size()))];
        const auto place =
            static_cast<ptrdiff_t>(one_of(static_cast<uint32_t>(headers.size()) + 1));
        switch (one_of(3)) {
          case 0:
            headers.insert(headers.begin() + place, field);
            break;
          case 1:
            for (auto& each : headers) {
              if (each.first == field.first) each.second = field.second;
            }
            break;
          default:
            if (place < static_cast<ptrdiff_t>(headers.size())) {
              headers.erase(headers.begin() + place);
            }
        }
      }
      const auto flags = [&](bool is_end) {
        return static_cast<uint8_t>(NGHTTP2_FLAG_END_HEADERS |
                                    (is_end ? NGHTTP2_FLAG_END_STREAM : 0));
      };
      const bool is_alone = one_of(4) == 0;
      sent += frame(NGHTTP2_HEADERS, flags(is_alone), id, encoder.block(headers));
      if (!is_alone) {
        const bool has_trailers = one_of(4) == 0;
        const std::string body(one_of(5), 'b');
        const auto end = static_cast<uint8_t>(has_trailers ? 0 : NGHTTP2_FLAG_END_STREAM);
        sent += frame(NGHTTP2_DATA, end, id, body);
        if (has_trailers) {
          Headers trailers = {{"x-trailer", "1"}};
          if (one_of(2) == 0) trailers = {pool[one_of(static_cast<uint32_t>(pool.size()))]};
          sent += frame(NGHTTP2_HEADERS, flags(one_of(4) != 0), id, encoder.block(trailers));
        }
      }
      library.receive(sent);
      ours.receive(sent);
      sent.clear();
    }
    CAPTURE(connection);
    REQUIRE(ours.heard().events == library.heard().events);
    REQUIRE(ours.heard().resets == library.heard().resets);
  }
}

TEST_CASE("a field is read again where another one was, and a long one each time") {
  const std::string long_path = "/" + std::string(300, 'p');
  Ours ours;
  Encoder encoder;
  ours.receive(preface());
  const std::pair<std::string, bool> paths[] = {
      {"/a", true},  {"/a", true},      {"bad", false}, {"/a", true},     {"bad", false},
      {"/ ", false}, {long_path, true}, {"/ ", false},  {long_path, true}};
  int32_t id = 1;
  for (const auto& [path, is_good] : paths) {
    CAPTURE(id);
    const Headers headers = {
        {":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "a"}};
    ours.receive(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, static_cast<uint32_t>(id),
                       encoder.block(headers)));
    CHECK(ours.heard().events.contains(id) == is_good);
    CHECK(ours.heard().resets.contains(id) != is_good);
    id += 2;
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace fastserve::http2
