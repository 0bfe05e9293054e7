// ModelInfer and ModelStreamInfer over the whole data plane.
#include "fastserve/front/thread_front.h"

#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/front_fixture.h"

using namespace fastserve;
using namespace fastserve::testing;
using Fixture = FrontFixture;

TEST_CASE("thread_front answers ModelInfer with the caller's own rows") {
  Fixture f;
  SocketClient client(f.connect());
  const auto& answer = client.unary(kInfer, request({5, 6}));
  CHECK(answer.status() == "0");
  REQUIRE(answer.messages().size() == 1);
  CHECK(answer.messages()[0].find(raw_rows({5, 6})) != std::string::npos);
}

TEST_CASE("thread_front answers a waiting request at its deadline while the model is stuck") {
  Fixture f({.executors = 1, .inline_budget = 0});
  f.session->close_gate();
  SocketClient client(f.connect());
  const int32_t stuck = client.call(kInfer, frame_message(request({1})));
  client.write();
  f.session->wait_for_runs(1);
  const int32_t waiting = client.call(kInfer, frame_message(request({2})), true, "30m");
  CHECK(client.pump_until_closed(waiting));
  CHECK(client.answer(waiting).status() == "4");
  CHECK_FALSE(client.answer(stuck).is_closed);
  f.session->open_gate();
  CHECK(client.pump_until_closed(stuck));
  CHECK(client.answer(stuck).status() == "0");
}

TEST_CASE("thread_front answers at its deadline a call whose request never comes whole") {
  Fixture f;
  SocketClient client(f.connect());
  const int32_t silent = client.call(kInfer, "", /*ends=*/false, "20m");
  const int32_t open = client.call(kInfer, frame_message(request({1})), /*ends=*/false, "20m");
  for (const int32_t id : {silent, open}) {
    CHECK(client.pump_until_closed(id));
    CHECK(client.answer(id).status() == "4");
  }
}

TEST_CASE("thread_front bounds the messages of calls that do not half-close") {
  Fixture f;
  SocketClient client(f.connect());
  const std::string large = frame_message(block(1, std::string(60 << 20, 'x')));
  std::vector<int32_t> calls;
  for (int i = 0; i < 3; ++i) calls.push_back(client.call(kInfer, large, /*ends=*/false));
  // Which of them is the one too many depends on how their frames interleave.
  int32_t refused = 0;
  CHECK(client.pump([&] {
    for (const int32_t id : calls) {
      if (client.answer(id).is_closed) refused = id;
    }
    return refused != 0;
  }));
  CHECK(client.answer(refused).status() == "8");
}

TEST_CASE("thread_front refuses a crowd of rows that no data backs") {
  Fixture f;
  SocketClient client(f.connect());
  const std::string shape = wire::varint(4'000'000'000) + wire::varint(1);
  const std::string input = block(1, "x") + block(2, "INT64") + block(3, shape);
  const auto& answer = client.unary(kInfer, block(1, "echo") + block(5, input) + block(7, "abc"));
  CHECK(answer.status() == "3");
}

TEST_CASE("thread_front asks for the token first, whatever the method") {
  Fixture f({.executors = 1, .inline_budget = 0},
            {.tokens = std::make_shared<front::TokenList>(std::vector<std::string>{"secret"})});
  SocketClient client(f.connect());
  for (const char* path : {kInfer, kStream, "/grpc.health.v1.Health/Check", "/x", "//a/b"}) {
    CAPTURE(path);
    CHECK(client.unary(path, "").status() == "16");
  }
}

TEST_CASE("thread_front answers a stream in the order of its requests, failures in place") {
  Fixture f;
  SocketClient client(f.connect());
  std::string body;
  for (int64_t i = 0; i < 20; ++i) {
    body += frame_message(i == 7 ? block(1, "nobody") + block(3, "seven")
                                 : request({i}, "r" + std::to_string(i)));
  }
  const int32_t id = client.call(kStream, body);
  REQUIRE(client.pump_until_closed(id));
  CHECK(client.answer(id).status() == "0");
  const auto messages = client.answer(id).messages();
  REQUIRE(messages.size() == 20);
  for (size_t i = 0; i < messages.size(); ++i) {
    CAPTURE(i);
    CHECK(messages[i].find(i == 7 ? "seven" : "r" + std::to_string(i)) != std::string::npos);
  }
  CHECK(messages[7].find("unknown model: 'nobody'") != std::string::npos);
}

TEST_CASE("thread_front refuses ModelInfer with two messages, and with none") {
  Fixture f;
  SocketClient client(f.connect());
  const int32_t two =
      client.call(kInfer, frame_message(request({1})) + frame_message(request({2})));
  CHECK(client.pump_until_closed(two));
  CHECK(client.answer(two).status() == "12");
  const int32_t none = client.call(kInfer, "");
  CHECK(client.pump_until_closed(none));
  CHECK(client.answer(none).status() == "12");
}

TEST_SUITE("storm") {
  TEST_CASE("thread_front mixes no answers while calls are reset and versions are replaced") {
    Fixture f({.executors = 2, .inline_budget = 20 * kMicrosecond});
    constexpr int kThreads = 3;
    constexpr int kRounds = 12;
    std::atomic<int> wrong{0};
    std::atomic<int> answered{0};
    std::atomic<bool> is_over{false};
    std::thread publisher([&] {
      while (!is_over) {
        f.publish_unloaded(/*is_on_demand=*/true);
        std::this_thread::yield();
        f.publish();
        std::this_thread::yield();
      }
    });
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        std::mt19937 random(static_cast<uint32_t>(thread) + 1);
        int64_t next = int64_t{thread} << 32;
        for (int round = 0; round < kRounds; ++round) {
          SocketClient client(f.connect());
          std::vector<std::pair<int32_t, std::string>> whole;
          for (int i = 0; i < 30; ++i) {
            std::vector<int64_t> rows(1 + random() % 4);
            for (int64_t& row : rows) row = ++next;
            const std::string body = frame_message(request(rows));
            const uint32_t kind = random() % 5;
            if (kind == 0) {
              const int32_t id = client.call(kInfer, body);
              client.write();
              client.reset(id);
            } else if (kind == 1) {
              client.call(kStream, body + body, random() % 2 == 0);
            } else {
              whole.emplace_back(client.call(kInfer, body, true, kind == 2 ? "1m" : ""),
                                 raw_rows(rows));
            }
            if (random() % 4 == 0) client.write();
          }
          if (random() % 4 == 0) continue;  // vanishes with everything in flight
          for (const auto& [id, rows] : whole) {
            client.pump_until_closed(id);
            const auto& answer = client.answer(id);
            const std::string status = answer.status();
            // With a deadline of a millisecond: late, or refused because it would be.
            if (status == "4" || status == "8") continue;
            const auto messages = answer.messages();
            if (status != "0" || messages.size() != 1 ||
                messages[0].find(rows) == std::string::npos) {
              ++wrong;
            } else {
              ++answered;
            }
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    is_over = true;
    publisher.join();
    CHECK(wrong == 0);
    CHECK(answered > 0);
  }
}
