#include "fastserve/sketch/column_block.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

using namespace fastserve::sketch;

namespace {

template <typename T>
struct Block {
  explicit Block(size_t columns)
      : stride(block_stride<T>(columns)), values(kBlockRows<T> * stride) {}
  T& at(size_t row, size_t column) { return values[row * stride + column]; }
  std::vector<T> column(size_t index) const {
    std::vector<T> out;
    for (size_t row = 0; row < kBlockRows<T>; ++row) out.push_back(values[row * stride + index]);
    return out;
  }

  size_t stride;
  std::vector<T> values;
};

// Every instruction set that this machine has.
std::vector<Instructions> instruction_sets() {
  std::vector<Instructions> sets;
  for (int i = 0; i <= static_cast<int>(widest_instructions()); ++i) {
    sets.push_back(static_cast<Instructions>(i));
  }
  return sets;
}

template <typename T>
Block<T> random_block(std::mt19937* random, size_t columns, int gaps_percent) {
  Block<T> block(columns);
  std::normal_distribution<double> normal(1000, 3);
  for (size_t row = 0; row < kBlockRows<T>; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      T& value = block.at(row, column);
      value = static_cast<T>(normal(*random));
      if ((*random)() % 8 == 0) value = 0;
      if (static_cast<int>((*random)() % 100) >= gaps_percent) continue;
      const T gaps[] = {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(),
                        -std::numeric_limits<T>::infinity()};
      value = gaps[(*random)() % 3];
    }
  }
  return block;
}

template <typename T>
void check_column(const Block<T>& block, const SortedColumns<T>& sorted, size_t first,
                  size_t lane) {
  std::vector<T> expected = block.column(first + lane);
  const ColumnDigest want = sort_column(expected.data(), expected.size());
  const ColumnDigest& got = sorted.digests[lane];
  REQUIRE(got.finite == want.finite);
  REQUIRE(got.missing == want.missing);
  REQUIRE(got.infinite == want.infinite);
  REQUIRE(got.zeros == want.zeros);
  REQUIRE(got.mean == doctest::Approx(want.mean).epsilon(1e-12));
  REQUIRE(got.m2 == doctest::Approx(want.m2).epsilon(1e-9));
  for (size_t row = 0; row < want.finite; ++row) {
    REQUIRE(sorted.values[row * sorted.lanes + lane] == expected[row]);
  }
}

template <typename T>
void check_blocks() {
  std::mt19937 random(5);
  auto sorted = std::make_unique<SortedColumns<T>>();
  for (const size_t columns : {1, 2, 3, 5, 8, 13, 30, 64, 128}) {
    for (const int gaps : {0, 2, 60, 100}) {
      const Block<T> block = random_block<T>(&random, columns, gaps);
      for (const Instructions instructions : instruction_sets()) {
        for (size_t column = 0; column < block.stride; column += sorted->lanes) {
          sort_block_columns(block.values.data(), block.stride, column, sorted.get(), instructions);
          REQUIRE(sorted->lanes > 0);
          for (size_t lane = 0; lane < sorted->lanes; ++lane) {
            check_column(block, *sorted, column, lane);
          }
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("every column of a block is sorted and described as if it were alone") {
  SUBCASE("float") { check_blocks<float>(); }
  SUBCASE("double") { check_blocks<double>(); }
}

TEST_CASE("a network that sorts all zeros and ones sorts everything") {
  // The zero-one principle, for the merges: every threshold of every column of random words.
  std::mt19937 random(9);
  auto sorted = std::make_unique<SortedColumns<float>>();
  Block<float> block(4);
  for (int round = 0; round < 20'000; ++round) {
    const uint32_t density = random() % 101;
    for (float& value : block.values) value = random() % 100 < density ? 1.0F : 0.0F;
    sort_block_columns(block.values.data(), block.stride, 0, sorted.get());
    for (size_t lane = 0; lane < 4; ++lane) {
      const std::vector<float> column = block.column(lane);
      const auto zeros = static_cast<size_t>(std::count(column.begin(), column.end(), 0.0F));
      for (size_t row = 0; row < kBlockRows<float>; ++row) {
        REQUIRE(sorted->values[row * sorted->lanes + lane] == (row < zeros ? 0.0F : 1.0F));
      }
    }
  }
}

TEST_CASE("mean and deviation of a block are the same bits with every instruction set") {
  std::mt19937 random(13);
  auto sorted = std::make_unique<SortedColumns<float>>();
  const Block<float> block = random_block<float>(&random, 30, 1);
  std::vector<std::vector<double>> seen;
  for (const Instructions instructions : instruction_sets()) {
    std::vector<double> bits;
    for (size_t column = 0; column < block.stride; column += sorted->lanes) {
      sort_block_columns(block.values.data(), block.stride, column, sorted.get(), instructions);
      for (size_t lane = 0; lane < sorted->lanes; ++lane) {
        bits.push_back(sorted->digests[lane].mean);
        bits.push_back(sorted->digests[lane].m2);
      }
    }
    seen.push_back(bits);
  }
  for (const std::vector<double>& bits : seen) {
    REQUIRE(std::memcmp(bits.data(), seen[0].data(), bits.size() * sizeof(double)) == 0);
  }
}
