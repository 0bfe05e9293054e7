#include "fastserve/sketch/murmur3.h"

#include <bit>
#include <cstring>

namespace fastserve::sketch {
namespace {

constexpr uint64_t kSeed = 9001;  // DataSketches' default update seed
constexpr uint64_t kC1 = 0x87c37b91114253d5;
constexpr uint64_t kC2 = 0x4cf5ad432745937f;

uint64_t mix_k1(uint64_t k) { return std::rotl(k * kC1, 31) * kC2; }
uint64_t mix_k2(uint64_t k) { return std::rotl(k * kC2, 33) * kC1; }

uint64_t finish(uint64_t h) {
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
  return h ^ (h >> 33);
}

Hash128 finish(uint64_t h1, uint64_t h2, uint64_t size) {
  h1 ^= size;
  h2 ^= size;
  h1 += h2;
  h2 += h1;
  h1 = finish(h1);
  h2 = finish(h2);
  h1 += h2;
  h2 += h1;
  return {h1, h2};
}

uint64_t load(const char* bytes, size_t count = 8) {
  uint64_t value = 0;
  std::memcpy(&value, bytes, count);
  return value;
}

}  // namespace

Hash128 murmur3(std::string_view key) {
  uint64_t h1 = kSeed;
  uint64_t h2 = kSeed;
  const char* at = key.data();
  size_t left = key.size();
  for (; left >= 16; left -= 16, at += 16) {
    h1 ^= mix_k1(load(at));
    h1 = (std::rotl(h1, 27) + h2) * 5 + 0x52dce729;
    h2 ^= mix_k2(load(at + 8));
    h2 = (std::rotl(h2, 31) + h1) * 5 + 0x38495ab5;
  }
  if (left > 8) h2 ^= mix_k2(load(at + 8, left - 8));
  if (left > 0) h1 ^= mix_k1(load(at, left > 8 ? 8 : left));
  return finish(h1, h2, key.size());
}

Hash128 murmur3(uint64_t key) { return finish(kSeed ^ mix_k1(key), kSeed, sizeof(key)); }

}  // namespace fastserve::sketch
