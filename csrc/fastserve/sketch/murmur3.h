// MurmurHash3 for 64-bit machines, 128 bits (Austin Appleby, public domain), with the seed of
// Apache DataSketches: their sketches of distinct values and ours see the same hashes.
#pragma once

#include <cstdint>
#include <string_view>

namespace fastserve::sketch {

struct Hash128 {
  uint64_t h1;
  uint64_t h2;
};

Hash128 murmur3(std::string_view key);
// Of the value's eight bytes.
Hash128 murmur3(uint64_t key);

}  // namespace fastserve::sketch
