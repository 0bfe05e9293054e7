#include "fastserve/front/token_list.h"

#include <cstddef>

namespace fastserve::front {
namespace {

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    difference |= static_cast<unsigned char>(a[i] ^ other);
  }
  return difference == 0;
}

}  // namespace

void TokenList::replace(std::vector<std::string> tokens) {
  auto made = std::make_shared<const std::vector<std::string>>(std::move(tokens));
  std::lock_guard lock(mutex_);
  tokens_ = std::move(made);
  generation_.fetch_add(1, std::memory_order_release);
}

bool TokenReader::asks() {
  if (list_ == nullptr) return false;
  if (list_->generation_.load(std::memory_order_acquire) != generation_) refresh();
  return !tokens_->empty();
}

int32_t TokenReader::find(std::string_view authorization) {
  if (!asks()) return kNoToken;
  constexpr std::string_view kBearer = "Bearer ";
  if (!authorization.starts_with(kBearer)) return kRefusedToken;
  authorization.remove_prefix(kBearer.size());
  const auto list = static_cast<int32_t>((generation_ & 0x7fff) << 16);
  int32_t found = kRefusedToken;
  for (size_t i = 0; i < tokens_->size(); ++i) {
    if (equal_in_constant_time(authorization, (*tokens_)[i])) {
      found = list | static_cast<int32_t>(i & 0xffff);
    }
  }
  return found;
}

void TokenReader::refresh() {
  std::lock_guard lock(list_->mutex_);
  tokens_ = list_->tokens_;
  generation_ = list_->generation_.load(std::memory_order_relaxed);
}

}  // namespace fastserve::front
