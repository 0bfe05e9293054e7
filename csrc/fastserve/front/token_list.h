// The bearer tokens that a server lets in; replaced as a whole while it serves.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fastserve::front {

// In place of a token's number, where none is asked for, and where none that is known came.
inline constexpr int32_t kNoToken = -1;
inline constexpr int32_t kRefusedToken = -2;

// Shared by all io threads. A call that starts after replace() returned is held against the new
// tokens.
class TokenList {
 public:
  explicit TokenList(std::vector<std::string> tokens)
      : tokens_(std::make_shared<const std::vector<std::string>>(std::move(tokens))) {}

  // Thread: any.
  void replace(std::vector<std::string> tokens);

 private:
  friend class TokenReader;

  mutable std::mutex mutex_;
  std::shared_ptr<const std::vector<std::string>> tokens_;
  std::atomic<uint64_t> generation_{1};
};

// One io thread's view: takes the list's lock only after it was replaced.
// Thread: one.
class TokenReader {
 public:
  // Without a list, or with an empty one, no token is asked for.
  explicit TokenReader(std::shared_ptr<const TokenList> list) : list_(std::move(list)) {}

  // False: every call is let in, without a look at its headers.
  bool asks();
  // `authorization`: the header's value, empty when there is none. Takes the same time wherever it
  // differs from a token, so that none can be guessed byte by byte. Gives the
  // token's number: its place in the list in the low 16 bits, above them how often the list was
  // replaced (from 1, modulo 2^15), so that who replaces it can tell whose it was.
  int32_t find(std::string_view authorization);

 private:
  void refresh();

  const std::shared_ptr<const TokenList> list_;
  std::shared_ptr<const std::vector<std::string>> tokens_;
  uint64_t generation_ = 0;
};

}  // namespace fastserve::front
