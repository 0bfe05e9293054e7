#include "fastserve/front/token_list.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using fastserve::front::TokenList;
using fastserve::front::TokenReader;

namespace {

std::shared_ptr<TokenList> list_of(std::vector<std::string> tokens) {
  return std::make_shared<TokenList>(std::move(tokens));
}

bool lets_in(TokenReader& reader, std::string_view authorization) {
  return reader.find(authorization) != fastserve::front::kRefusedToken;
}

}  // namespace

TEST_SUITE_BEGIN("token_list");

TEST_CASE("token_list lets in each of its tokens and nothing else") {
  TokenReader reader(list_of({"first-token", "second-token"}));
  CHECK(reader.asks());
  CHECK(lets_in(reader, "Bearer first-token"));
  CHECK(lets_in(reader, "Bearer second-token"));
  for (const char* value : {"", "Bearer ", "first-token", "Bearer first-toke", "bearer first-token",
                            "Bearer first-tokenx"}) {
    CAPTURE(value);
    CHECK_FALSE(lets_in(reader, value));
  }
}

TEST_CASE("token_list asks for no token where there is none") {
  TokenReader without(nullptr);
  TokenReader of_none(list_of({}));
  CHECK(lets_in(without, ""));
  CHECK(lets_in(of_none, ""));
  CHECK_FALSE(without.asks());
  CHECK_FALSE(of_none.asks());
}

TEST_CASE("token_list holds calls against the new tokens as soon as they were replaced") {
  const auto list = list_of({"old-token"});
  TokenReader early(list);
  TokenReader late(list);
  CHECK(lets_in(early, "Bearer old-token"));
  list->replace({"new-token"});
  for (TokenReader* reader : {&early, &late}) {
    CHECK_FALSE(lets_in(*reader, "Bearer old-token"));
    CHECK(lets_in(*reader, "Bearer new-token"));
  }
}

TEST_CASE("token_list is replaced while other threads read it, each seeing one list or the next") {
  const auto list = list_of({"both", "token-0"});
  std::vector<std::thread> threads;
  std::vector<int> refused(3, 0);
  for (int& count : refused) {
    threads.emplace_back([list, &count] {
      TokenReader reader(list);
      for (int i = 0; i < 20'000; ++i) count += lets_in(reader, "Bearer both") ? 0 : 1;
    });
  }
  for (int i = 1; i < 200; ++i) list->replace({"both", "token-" + std::to_string(i)});
  for (std::thread& thread : threads) thread.join();
  CHECK(refused == std::vector<int>{0, 0, 0});
}

TEST_SUITE_END();
