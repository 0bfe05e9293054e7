#include "fastserve/grpc/metadata.h"

#include <algorithm>
#include <utility>

#include "fastserve/base/quoted.h"
#include "fastserve/grpc/base64.h"

namespace fastserve::grpc {
namespace {

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool is_text_character(char c) { return c >= 0x20 && c <= 0x7e; }

// Reserved names that an answer may carry all the same.
bool is_allowed_reserved(std::string_view key) {
  return key == "grpc-retry-pushback-ms" || key == "grpc-status-details-bin" ||
         key == "grpc-server-stats-bin";
}

bool may_send(const Metadatum& metadatum) {
  if (metadatum.key.empty()) return false;
  if (is_reserved_header(metadatum.key) && !is_allowed_reserved(metadatum.key)) return false;
  if (!std::all_of(metadatum.key.begin(), metadatum.key.end(), is_key_character)) return false;
  return is_binary_key(metadatum.key) ||
         std::all_of(metadatum.value.begin(), metadatum.value.end(), is_text_character);
}

template <typename Each>
void for_each_binary_value(std::string_view list, Each each) {
  for (;;) {
    const size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    each(item);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

bool is_reserved_header(std::string_view name) {
  return name.starts_with(':') || name.starts_with("grpc-") || name == "te" ||
         name == "content-type";
}

Status check_binary_header(const http2::Header& header) {
  bool ok = true;
  for_each_binary_value(header.value,
                        [&ok](std::string_view item) { ok = ok && base64_decode(item); });
  if (ok) return ok_status();
  return {Code::kInternal,
          "metadata " + quoted(header.name) + " is not base64, as a value of a -bin key must be"};
}

std::span<const Metadatum> MetadataDecoder::decode(std::span<const http2::Header> headers) {
  metadata_.clear();
  decoded_.clear();
  size_t most = 0;  // decoded_ must not move while views point into its strings
  for (const http2::Header& header : headers) {
    if (is_binary_key(header.name)) {
      most += 1 + static_cast<size_t>(std::count(header.value.begin(), header.value.end(), ','));
    }
  }
  decoded_.reserve(most);
  for (const http2::Header& header : headers) {
    if (is_reserved_header(header.name)) continue;
    if (!is_binary_key(header.name)) {
      metadata_.push_back({header.name, header.value});
      continue;
    }
    for_each_binary_value(header.value, [this, &header](std::string_view item) {
      decoded_.push_back(base64_decode(item).value_or(std::string()));
      metadata_.push_back({header.name, decoded_.back()});
    });
  }
  return metadata_;
}

void OutFields::add(std::span<const Metadatum> metadata) {
  for (const Metadatum& metadatum : metadata) {
    if (!metadatum.is_known && !may_send(metadatum)) continue;
    if (is_binary_key(metadatum.key)) {
      encoded_.push_back(base64_encode(metadatum.value));
      add(http2::OutHeader{metadatum.key, encoded_.back()});
    } else {
      add(http2::OutHeader{metadatum.key, metadatum.value});
    }
  }
}

}  // namespace fastserve::grpc
