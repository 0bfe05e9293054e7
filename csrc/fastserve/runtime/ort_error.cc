#include "fastserve/runtime/ort_error.h"

namespace fastserve::runtime {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// "/onnxruntime_src/onnxruntime/core/framework/op_kernel.cc:83"
bool is_source_place(std::string_view word) {
  return word.starts_with('/') && word.find("onnxruntime") != std::string_view::npos &&
         word.find(':') != std::string_view::npos;
}

// Where the C++ function's signature that begins at `position` ends; `position` when there is none.
size_t skip_signature(std::string_view message, size_t position) {
  size_t end = message.find('(', position);
  if (end == std::string_view::npos) return position;
  std::string_view name = message.substr(position, end - position);
  if (name.find("onnxruntime::") == std::string_view::npos) return position;
  int depth = 0;
  for (; end < message.size(); ++end) {
    if (message[end] == '(') ++depth;
    if (message[end] == ')' && --depth == 0) break;
  }
  if (end >= message.size()) return position;
  ++end;
  // "::<lambda()>", " const"
  while (end < message.size() && message[end] == ':') end = message.find(' ', end);
  if (end == std::string_view::npos) return position;
  if (message.substr(end).starts_with(" const ")) end += 6;
  return end;
}

}  // namespace

std::string tidy_reason(std::string_view message) {
  std::string line;
  size_t position = 0;
  while (position < message.size()) {
    if (is_space(message[position])) {
      ++position;
      continue;
    }
    size_t end = position;
    while (end < message.size() && !is_space(message[end])) ++end;
    std::string_view word = message.substr(position, end - position);
    position = end;
    if (is_source_place(word)) {
      while (position < message.size() && is_space(message[position])) ++position;
      position = skip_signature(message, position);
      continue;
    }
    if (!line.empty()) line += ' ';
    for (char c : word) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return line;
}

Status take_error(const OrtApi& api, OrtStatus* error, Code code, std::string_view what) {
  std::string reason = tidy_reason(api.GetErrorMessage(error));
  api.ReleaseStatus(error);
  if (what.empty()) return {code, std::move(reason)};
  return {code, std::string(what) + ": " + reason};
}

}  // namespace fastserve::runtime
