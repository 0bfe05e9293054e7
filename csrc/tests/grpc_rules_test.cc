// ServerConnection and the rules of gRPC: headers, bodies, compression, metadata, trailers.
#include <doctest/doctest.h>
#include <zlib.h>

#include <string>

#include "fastserve/grpc/server_connection.h"
#include "tests/session_client.h"

namespace fastserve::transport_test {
namespace {

std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

std::string deflated(std::string_view text, int window_bits) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string inflated_gzip(std::string_view text) {
  z_stream z{};
  inflateInit2(&z, 31);
  std::string out(16 << 20, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  inflate(&z, Z_FINISH);
  out.resize(z.total_out);
  inflateEnd(&z);
  return out;
}

Headers with(Headers headers, std::string name, std::string value) {
  headers.emplace_back(std::move(name), std::move(value));
  return headers;
}

Headers without(Headers headers, std::string_view name) {
  std::erase_if(headers, [name](const auto& field) { return field.first == name; });
  return headers;
}

}  // namespace

TEST_CASE("requests that break gRPC's rules get their status and never reach the front") {
  struct Case {
    const char* what;
    Headers headers;
    const char* status;
    const char* message;
  };
  const Headers ok = grpc_headers();
  auto replaced = [&ok](std::string name, std::string value) {
    Headers headers = ok;
    for (auto& field : headers) {
      if (field.first == name) field.second = value;
    }
    return headers;
  };
  const Case cases[] = {
      {"timeout without a unit", with(ok, "grpc-timeout", "10"), "13",
       "malformed grpc-timeout '10', expected 1 to 8 digits and one of H, M, S, m, u, n"},
      {"timeout with a sign", with(ok, "grpc-timeout", "-1S"), "13",
       "malformed grpc-timeout '-1S', expected 1 to 8 digits and one of H, M, S, m, u, n"},
      {"no te", without(ok, "te"), "2", "header te is '', gRPC requires 'trailers'"},
      {"not POST", replaced(":method", "GET"), "2", "HTTP method 'GET', expected 'POST'"},
      {"unknown encoding", with(ok, "grpc-encoding", "br"), "12",
       "grpc-encoding 'br' is not supported, use one of: identity, deflate, gzip"},
      {"bad base64", with(ok, "x-trace-bin", "a$b="), "13",
       "metadata 'x-trace-bin' is not base64, as a value of a -bin key must be"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    Joined joined;
    const int32_t id = joined.client.call("x", one.headers);
    CHECK(joined.client.pump());
    const Answer& answer = joined.client.answer(id);
    CHECK(answer.field(":status") == "200");
    CHECK(answer.field("grpc-status") == one.status);
    CHECK(answer.field("grpc-message") == one.message);
    CHECK(answer.field("grpc-accept-encoding") == "identity, deflate, gzip");
    CHECK(joined.front.seen.empty());
    CHECK(joined.server.open_calls() == 0);
  }
}

TEST_CASE("a content type other than gRPC's is HTTP status 415") {
  for (const char* type : {"", "text/html", "application/grpcx", "application/json"}) {
    Joined joined;
    Headers headers = without(grpc_headers(), "content-type");
    if (*type != '\0') headers = with(headers, "content-type", type);
    const int32_t id = joined.client.call("x", headers);
    CHECK(joined.client.pump());
    CHECK(joined.client.answer(id).headers == Headers{{":status", "415"}});
    CHECK(joined.front.seen.empty());
  }
  for (const char* type : {"application/grpc+proto", "application/grpc;charset=utf-8"}) {
    Joined joined;
    joined.front.echo = true;
    const int32_t id = joined.client.call(
        "x", with(without(grpc_headers(), "content-type"), "content-type", type));
    joined.client.pump();
    CHECK(joined.client.answer(id).field("grpc-status") == "0");
  }
}

TEST_CASE("an oversized message is RESOURCE_EXHAUSTED by its length alone") {
  grpc::ConnectionOptions options;
  options.max_message_bytes = 1000;
  Joined joined(options);
  const int32_t id = joined.client.open(grpc_headers());
  joined.client.write(id, std::string("\0\x7f\xff\xff\xff", 5));
  joined.client.pump();
  const Answer& answer = joined.client.answer(id);
  CHECK(answer.field("grpc-status") == "8");
  CHECK(answer.field("grpc-message") ==
        "message of 2147483647 bytes is larger than the limit of 1000 bytes");
  CHECK(answer.closed);
  CHECK(joined.front.seen.at(0).cancelled);
  CHECK(joined.front.seen.at(0).messages.empty());
  const int32_t exact = joined.client.call(pattern(1000));
  joined.client.pump();
  CHECK(joined.front.seen.at(1).messages.at(0).size() == 1000);
  CHECK(!joined.client.answer(exact).closed);
}

TEST_CASE("bodies that are not gRPC messages end their call alone") {
  struct Case {
    std::string body;
    const char* message;
  };
  const Case cases[] = {
      {grpc_frame("x", 2), "message has compressed flag 2, expected 0 or 1"},
      {grpc_frame("x", 0xff), "message has compressed flag 255, expected 0 or 1"},
      {grpc_frame("x", 1), "message has its compressed flag set, but no grpc-encoding was sent"},
      {grpc_frame("xyz").substr(0, 3), "the request ends inside a message"},
      {grpc_frame("xyz").substr(0, 7), "the request ends inside a message"},
  };
  Joined joined;
  for (const Case& one : cases) {
    const int32_t id = joined.client.open(grpc_headers());
    joined.client.write(id, one.body);
    joined.client.half_close(id);
    CHECK(joined.client.pump());
    CHECK(joined.client.answer(id).field("grpc-status") == "13");
    CHECK(joined.client.answer(id).field("grpc-message") == one.message);
    CHECK(joined.front.seen.back().closed == 1);
    CHECK(joined.front.seen.back().messages.empty());
  }
  joined.front.echo = true;
  const int32_t id = joined.client.call("fine");
  joined.client.pump();
  CHECK(joined.client.answer(id).body == grpc_frame("fine"));
}

TEST_CASE("gzip and deflate requests are inflated, their end aligned") {
  for (const auto& [name, bits] : {std::pair{"gzip", 31}, std::pair{"deflate", 15}}) {
    Joined joined;
    joined.front.echo = true;
    const std::string text = pattern(300'001);
    const int32_t id = joined.client.open(with(grpc_headers(), "grpc-encoding", name));
    joined.client.write(id, grpc_frame(deflated(text, bits), 1) + grpc_frame("plain") +
                                grpc_frame(deflated("", bits), 1));
    joined.client.half_close(id);
    joined.client.pump();
    const auto& seen = joined.front.seen.at(0);
    CHECK(seen.messages == std::vector<std::string>{text, "plain", ""});
    CHECK(seen.aligned);
    CHECK(joined.client.answer(id).field("grpc-status") == "0");
  }
}

TEST_CASE("a compressed bomb is refused at the limit") {
  grpc::ConnectionOptions options;
  options.max_message_bytes = 1 << 20;
  const std::string zeros(1 << 26, '\0');
  for (const auto& [name, bits] : {std::pair{"gzip", 31}, std::pair{"deflate", 15}}) {
    Joined joined(options);
    const int32_t id = joined.client.open(with(grpc_headers(), "grpc-encoding", name));
    const std::string bomb = deflated(zeros, bits);
    CHECK(bomb.size() < zeros.size() / 1000);
    joined.client.write(id, grpc_frame(bomb, 1));
    joined.client.half_close(id);
    CHECK(joined.client.pump());
    CHECK(joined.client.answer(id).field("grpc-status") == "8");
    CHECK(joined.client.answer(id).field("grpc-message") ==
          "message inflates to more than the limit of 1048576 bytes; send smaller messages");
    CHECK(joined.front.seen.at(0).messages.empty());
  }
}

TEST_CASE("answers are compressed when the peer accepts gzip and the front asks for it") {
  const std::string text(100'000, 'a');
  Joined joined;
  joined.front.when_called = [](grpc::Call& call) { call.set_compression(true); };
  joined.front.echo = true;
  const Headers accepting = with(grpc_headers(), "grpc-accept-encoding", "identity, gzip");
  const int32_t packed = joined.client.call(text, accepting);
  const int32_t plain = joined.client.call(text);
  const int32_t tiny = joined.client.call("a", accepting);
  joined.client.pump();
  const Answer& answer = joined.client.answer(packed);
  CHECK(answer.field("grpc-encoding") == "gzip");
  REQUIRE(answer.body.size() > 5);
  CHECK(answer.body.size() < 2000);
  CHECK(answer.body[0] == 1);
  CHECK(inflated_gzip(answer.body.substr(5)) == text);
  CHECK(joined.client.answer(plain).field("grpc-encoding") == "<absent>");
  CHECK(joined.client.answer(plain).body == grpc_frame(text));
  CHECK(joined.client.answer(tiny).body == grpc_frame("a"));
}

TEST_CASE("accepted encodings are announced once, and to calls that use one") {
  Joined joined;
  joined.front.echo = true;
  auto announced = [&joined](const Headers& headers) {
    const int32_t id = joined.client.call("x", headers);
    joined.client.pump();
    return joined.client.answer(id).field("grpc-accept-encoding");
  };
  CHECK(announced(grpc_headers()) == "identity, deflate, gzip");
  CHECK(announced(grpc_headers()) == "<absent>");
  CHECK(announced(with(grpc_headers(), "grpc-encoding", "gzip")) == "identity, deflate, gzip");
  CHECK(announced(with(grpc_headers(), "grpc-encoding", "zstd")) == "identity, deflate, gzip");
  CHECK(announced(grpc_headers()) == "<absent>");
}

TEST_CASE("metadata passes both ways, binary values decoded and encoded") {
  Joined joined;
  std::vector<std::pair<std::string, std::string>> got;
  joined.front.when_called = [&got](grpc::Call& call) {
    for (const auto& each : call.metadata()) got.emplace_back(each.key, each.value);
    CHECK(call.header("x-text") == "one");
    CHECK(call.header("x-data-bin") == "AAEC");
    CHECK(call.header("nothing") == "");
    const grpc::Metadatum initial[] = {{"x-initial", "i"},
                                       {":status", "500"},
                                       {"x-evil", "a\r\nb"},
                                       {"Upper", "no"},
                                       {"grpc-status", "0"}};
    call.send_initial_metadata(initial);
    const grpc::Metadatum trailing[] = {{"x-trailing-bin", std::string_view("\xab\x00\xff", 3)},
                                        {"grpc-retry-pushback-ms", "50"}};
    call.finish({Code::kUnavailable, ""}, trailing);
  };
  Headers headers = grpc_headers();
  headers.emplace_back("x-text", "one");
  headers.emplace_back("x-text", "two");
  headers.emplace_back("x-data-bin", "AAEC");
  headers.emplace_back("x-data-bin", "AA==,/w, AAE=");
  headers.emplace_back("user-agent", "test");
  const int32_t id = joined.client.call("x", headers);
  joined.client.pump();
  CHECK(got == decltype(got){{"x-text", "one"},
                             {"x-text", "two"},
                             {"x-data-bin", std::string("\0\1\2", 3)},
                             {"x-data-bin", std::string("\0", 1)},
                             {"x-data-bin", "\xff"},
                             {"x-data-bin", std::string("\0\1", 2)},
                             {"user-agent", "test"}});
  const Answer& answer = joined.client.answer(id);
  CHECK(answer.headers == Headers{{":status", "200"},
                                  {"content-type", "application/grpc"},
                                  {"grpc-accept-encoding", "identity, deflate, gzip"},
                                  {"x-initial", "i"}});
  CHECK(answer.trailers == Headers{{"grpc-status", "14"},
                                   {"x-trailing-bin", "qwD/"},
                                   {"grpc-retry-pushback-ms", "50"}});
}

TEST_CASE("a long status message is cut so that the peer accepts the trailers") {
  Joined joined;
  joined.front.when_called = [](grpc::Call& call) {
    call.finish({Code::kInternal, std::string(100'000, '\n')});
  };
  const int32_t id = joined.client.call("x");
  joined.client.pump();
  CHECK(joined.client.answer(id).field("grpc-status") == "13");
  CHECK(joined.client.answer(id).field("grpc-message").size() == 4095);
}

TEST_CASE("metadata too large for a header block resets its call") {
  const std::string huge(100'000, 'x');
  for (const bool in_trailers : {false, true}) {
    Joined joined;
    joined.front.when_called = [&](grpc::Call& call) {
      const grpc::Metadatum metadata[] = {{"x-huge", huge}};
      call.send_initial_metadata(in_trailers ? std::span<const grpc::Metadatum>() : metadata);
      call.send_message(framed("x"));
      call.finish(ok_status(), in_trailers ? metadata : std::span<const grpc::Metadatum>());
    };
    const int32_t id = joined.client.call("x");
    joined.client.pump();
    CHECK(joined.client.answer(id).closed);
    CHECK(joined.client.answer(id).error_code == NGHTTP2_INTERNAL_ERROR);
    CHECK(joined.front.seen.at(0).cancelled);
    CHECK(joined.server.open_calls() == 0);
  }
}

}  // namespace fastserve::transport_test
