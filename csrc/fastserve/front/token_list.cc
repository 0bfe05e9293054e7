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

bool TokenReader::lets_in(std::string_view authorization) {
  if (list_ == nullptr) return true;
  if (list_->generation_.load(std::memory_order_acquire) != generation_) refresh();
  if (tokens_->empty()) return true;
  constexpr std::string_view kBearer = "Bearer ";
  if (!authorization.starts_with(kBearer)) return false;
  authorization.remove_prefix(kBearer.size());
  bool is_known = false;
  for (const std::string& token : *tokens_) {
    is_known = equal_in_constant_time(authorization, token) || is_known;
  }
  return is_known;
}

void TokenReader::refresh() {
  std::lock_guard lock(list_->mutex_);
  tokens_ = list_->tokens_;
  generation_ = list_->generation_.load(std::memory_order_relaxed);
}

}  // namespace fastserve::front
