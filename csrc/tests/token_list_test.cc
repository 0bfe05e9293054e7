#include "fastserve/front/token_list.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

using fastserve::front::TokenList;
using fastserve::front::TokenReader;

namespace {

std::shared_ptr<TokenList> list_of(std::vector<std::string> tokens) {
  return std::make_shared<TokenList>(std::move(tokens));
}

}  // namespace

TEST_SUITE_BEGIN("token_list");

TEST_CASE("token_list lets in each of its tokens and nothing else") {
  TokenReader reader(list_of({"first-token", "second-token"}));
  CHECK(reader.lets_in("Bearer first-token"));
  CHECK(reader.lets_in("Bearer second-token"));
  for (const char* value : {"", "Bearer ", "first-token", "Bearer first-toke", "bearer first-token",
                            "Bearer first-tokenx"}) {
    CAPTURE(value);
    CHECK_FALSE(reader.lets_in(value));
  }
}

TEST_CASE("token_list asks for no token where there is none") {
  CHECK(TokenReader(nullptr).lets_in(""));
  CHECK(TokenReader(list_of({})).lets_in(""));
}

TEST_CASE("token_list holds calls against the new tokens as soon as they were replaced") {
  const auto list = list_of({"old-token"});
  TokenReader early(list);
  TokenReader late(list);
  CHECK(early.lets_in("Bearer old-token"));
  list->replace({"new-token"});
  for (TokenReader* reader : {&early, &late}) {
    CHECK_FALSE(reader->lets_in("Bearer old-token"));
    CHECK(reader->lets_in("Bearer new-token"));
  }
}

TEST_CASE("token_list is replaced while other threads read it, each seeing one list or the next") {
  const auto list = list_of({"both", "token-0"});
  std::vector<std::thread> threads;
  std::vector<int> refused(3, 0);
  for (int& count : refused) {
    threads.emplace_back([list, &count] {
      TokenReader reader(list);
      for (int i = 0; i < 20'000; ++i) count += reader.lets_in("Bearer both") ? 0 : 1;
    });
  }
  for (int i = 1; i < 200; ++i) list->replace({"both", "token-" + std::to_string(i)});
  for (std::thread& thread : threads) thread.join();
  CHECK(refused == std::vector<int>{0, 0, 0});
}

TEST_SUITE_END();
