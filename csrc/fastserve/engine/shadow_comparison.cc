#include "fastserve/engine/shadow_comparison.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "fastserve/tensor/half.h"

namespace fastserve::engine {
namespace {

template <typename T>
void widen(ByteSpan data, std::vector<double>* values) {
  values->resize(data.size() / sizeof(T));
  for (size_t i = 0; i < values->size(); ++i) {
    T value;
    std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
    (*values)[i] = static_cast<double>(value);
  }
}

void widen_halves(ByteSpan data, float (*convert)(uint16_t), std::vector<double>* values) {
  widen<uint16_t>(data, values);
  for (double& value : *values) value = convert(static_cast<uint16_t>(value));
}

void read_numbers(DType dtype, ByteSpan data, std::vector<double>* values) {
  switch (dtype) {
    case DType::kBool:
    case DType::kUint8:
      return widen<uint8_t>(data, values);
    case DType::kUint16:
      return widen<uint16_t>(data, values);
    case DType::kUint32:
      return widen<uint32_t>(data, values);
    case DType::kUint64:
      return widen<uint64_t>(data, values);
    case DType::kInt8:
      return widen<int8_t>(data, values);
    case DType::kInt16:
      return widen<int16_t>(data, values);
    case DType::kInt32:
      return widen<int32_t>(data, values);
    case DType::kInt64:
      return widen<int64_t>(data, values);
    case DType::kFp16:
      return widen_halves(data, float_from_half, values);
    case DType::kBf16:
      return widen_halves(data, float_from_bfloat, values);
    case DType::kFp32:
      return widen<float>(data, values);
    case DType::kFp64:
      return widen<double>(data, values);
    default:
      values->clear();
  }
}

void read_texts(ByteSpan data, std::vector<std::string_view>* texts) {
  texts->clear();
  while (data.size() >= sizeof(uint32_t)) {
    uint32_t length = 0;
    std::memcpy(&length, data.data(), sizeof(length));
    data = data.subspan(sizeof(length));
    if (length > data.size()) return;
    texts->push_back(as_text(data.first(length)));
    data = data.subspan(length);
  }
}

// Ranks from 1, ties share their mean.
void rank(const double* scores, size_t count, std::vector<uint32_t>* order,
          std::vector<double>* ranks) {
  order->resize(count);
  ranks->resize(count);
  std::iota(order->begin(), order->end(), 0u);
  std::sort(order->begin(), order->end(),
            [scores](uint32_t a, uint32_t b) { return scores[a] < scores[b]; });
  for (size_t i = 0; i < count;) {
    size_t end = i + 1;
    while (end < count && scores[(*order)[end]] == scores[(*order)[i]]) ++end;
    const double mean = static_cast<double>(i + 1 + end) / 2;
    for (; i < end; ++i) (*ranks)[(*order)[i]] = mean;
  }
}

// Pearson's correlation; NaN where one side does not vary.
double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double mean = static_cast<double>(a.size() + 1) / 2;  // of ranks, on both sides
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
  }
  if (aa == 0 || bb == 0) return std::numeric_limits<double>::quiet_NaN();
  return std::clamp(ab / std::sqrt(aa * bb), -1.0, 1.0);
}

bool has_nan(const double* values, size_t count) {
  return std::any_of(values, values + count, [](double value) { return std::isnan(value); });
}

template <typename Value, typename Write>
std::vector<std::string> texts_of(const std::vector<Value>& values, size_t first, size_t count,
                                  Write write) {
  std::vector<std::string> texts;
  if (first >= values.size()) return texts;
  count = std::min({count, kExampleElements, values.size() - first});
  for (size_t i = 0; i < count; ++i) texts.push_back(write(values[first + i]));
  return texts;
}

std::string text_of_number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.9g", value);
  return text;
}

// Of a string: enough to recognise it by.
std::string text_of_bytes(std::string_view value) {
  constexpr size_t kMaxBytes = 64;
  return std::string(value.substr(0, kMaxBytes));
}

}  // namespace

void ShadowOutputTally::merge(const ShadowOutputTally& other) {
  rows += other.rows;
  differing_rows += other.differing_rows;
  unequal_rows += other.unequal_rows;
  nan_rows += other.nan_rows;
  wrong_shape_rows += other.wrong_shape_rows;
  argmax_rows += other.argmax_rows;
  argmax_flips += other.argmax_flips;
  max_absolute = std::max(max_absolute, other.max_absolute);
  max_relative = std::max(max_relative, other.max_relative);
  correlated_rows += other.correlated_rows;
  correlation_sum += other.correlation_sum;
  min_correlation = std::min(min_correlation, other.min_correlation);
  for (const ShadowExample& example : other.worst) keep(example);
}

void ShadowOutputTally::keep(ShadowExample example) {
  if (worst.size() == kWorstRows && worst.back().difference >= example.difference) return;
  const auto place = std::find_if(worst.begin(), worst.end(), [&](const ShadowExample& kept) {
    return kept.difference < example.difference;
  });
  worst.insert(place, std::move(example));
  if (worst.size() > kWorstRows) worst.pop_back();
}

uint64_t ShadowComparison::differing_rows() const {
  return static_cast<uint64_t>(std::count(differs_.begin(), differs_.end(), true));
}

void ShadowComparison::add(const ShadowOutputView& live, const ShadowOutputView* candidate,
                           ShadowOutputTally* tally) {
  const size_t rows = differs_.size();
  const bool is_text = live.dtype == DType::kBytes;
  absolute_.clear();
  relative_.clear();
  if (candidate == nullptr || candidate->dtype != live.dtype) return add_wrong_shape(tally);
  size_t live_count = 0;
  size_t candidate_count = 0;
  if (is_text) {
    read_texts(live.data, &live_texts_);
    read_texts(candidate->data, &candidate_texts_);
    live_count = live_texts_.size();
    candidate_count = candidate_texts_.size();
  } else {
    read_numbers(live.dtype, live.data, &live_);
    read_numbers(live.dtype, candidate->data, &candidate_);
    live_count = live_.size();
    candidate_count = candidate_.size();
  }
  if (live_count != candidate_count || live_count % rows != 0) return add_wrong_shape(tally);
  const size_t elements = live_count / rows;
  const size_t rank = live.shape.rank();
  // Of the axes of a row: a first axis that all rows share is not one of them.
  const auto last_axis = static_cast<size_t>(rank == 0 ? 1 : live.shape[rank - 1]);
  const bool has_scores =
      is_floating(live.dtype) && last_axis > 1 && elements > 0 && elements % last_axis == 0;
  for (size_t row = 0; row < rows; ++row) {
    const size_t first = row * elements;
    Row found = is_text ? compare_texts(first, elements)
                        : compare_numbers(first, elements, !is_floating(live.dtype));
    const size_t row_bytes = elements * dtype_size(live.dtype);
    if (!is_floating(live.dtype) && !is_text && !found.is_unequal &&
        std::memcmp(live.data.data() + row * row_bytes, candidate->data.data() + row * row_bytes,
                    row_bytes) != 0) {
      // Integers of 64 bits whose doubles are the same: they lie a few units apart.
      found = {.absolute = 1, .relative = 0, .differs = true, .is_unequal = true};
    }
    if (has_scores) compare_scores(first, elements, last_axis, &found, tally);
    count(row, found, tally);
    if (!found.is_unequal) continue;
    // A lost or new NaN is worse than any number.
    const double difference =
        found.has_lone_nan ? std::numeric_limits<double>::infinity() : found.absolute;
    if (tally->worst.size() == kWorstRows && tally->worst.back().difference >= difference) continue;
    ShadowExample example{.id = {},
                          .row = static_cast<uint32_t>(row),
                          .difference = difference,
                          .live = {},
                          .candidate = {}};
    if (is_text) {
      example.live = texts_of(live_texts_, first, elements, text_of_bytes);
      example.candidate = texts_of(candidate_texts_, first, elements, text_of_bytes);
    } else {
      example.live = texts_of(live_, first, elements, text_of_number);
      example.candidate = texts_of(candidate_, first, elements, text_of_number);
    }
    tally->keep(std::move(example));
  }
}

void ShadowComparison::add_wrong_shape(ShadowOutputTally* tally) {
  tally->rows += differs_.size();
  tally->differing_rows += differs_.size();
  tally->unequal_rows += differs_.size();
  tally->wrong_shape_rows += differs_.size();
  differs_.assign(differs_.size(), true);
  absolute_.assign(differs_.size(), std::numeric_limits<float>::quiet_NaN());
  relative_ = absolute_;
}

ShadowComparison::Row ShadowComparison::compare_numbers(size_t first, size_t elements,
                                                        bool is_exact) const {
  Row row;
  for (size_t i = first; i < first + elements; ++i) {
    const double live = live_[i];
    const double candidate = candidate_[i];
    if (live == candidate || (std::isnan(live) && std::isnan(candidate))) continue;
    row.is_unequal = true;
    if (std::isnan(live) || std::isnan(candidate)) {
      row.has_lone_nan = true;
      row.differs = true;
      continue;
    }
    const double difference = std::abs(candidate - live);
    // Against an infinite value nothing finite is near.
    const double relative = std::isinf(live)
                                ? std::numeric_limits<double>::infinity()
                                : difference / std::max(std::abs(live), kRelativeFloor);
    row.absolute = std::max(row.absolute, difference);
    row.relative = std::max(row.relative, relative);
    row.differs = row.differs || is_exact || std::isinf(difference) ||
                  difference > tolerance_.absolute + tolerance_.relative * std::abs(live);
  }
  return row;
}

void ShadowComparison::compare_scores(size_t first, size_t elements, size_t last_axis, Row* row,
                                      ShadowOutputTally* tally) {
  const double* live = live_.data() + first;
  const double* candidate = candidate_.data() + first;
  if (has_nan(live, elements) || has_nan(candidate, elements)) return;
  ++tally->argmax_rows;
  for (size_t group = 0; group < elements; group += last_axis) {
    const size_t best =
        static_cast<size_t>(std::max_element(live + group, live + group + last_axis) - live);
    const double highest = *std::max_element(candidate + group, candidate + group + last_axis);
    // Where the live class ties with another for the highest score it has not lost.
    if (candidate[best] == highest) continue;
    ++tally->argmax_flips;
    row->differs = true;
    break;
  }
  if (elements < kMinRankedScores || elements > kMaxRankedScores) return;
  rank(live, elements, &order_, &live_ranks_);
  rank(candidate, elements, &order_, &candidate_ranks_);
  const double found = correlation(live_ranks_, candidate_ranks_);
  if (std::isnan(found)) return;
  ++tally->correlated_rows;
  tally->correlation_sum += found;
  tally->min_correlation = std::min(tally->min_correlation, found);
}

ShadowComparison::Row ShadowComparison::compare_texts(size_t first, size_t elements) const {
  Row row;
  for (size_t i = first; i < first + elements; ++i) {
    if (live_texts_[i] != candidate_texts_[i]) {
      row = {.absolute = 1, .relative = 1, .differs = true, .is_unequal = true};
    }
  }
  return row;
}

void ShadowComparison::count(size_t row, const Row& found, ShadowOutputTally* tally) {
  ++tally->rows;
  tally->differing_rows += found.differs ? 1 : 0;
  tally->unequal_rows += found.is_unequal ? 1 : 0;
  tally->nan_rows += found.has_lone_nan ? 1 : 0;
  tally->max_absolute = std::max(tally->max_absolute, found.absolute);
  tally->max_relative = std::max(tally->max_relative, found.relative);
  if (found.differs) differs_[row] = true;
  absolute_.push_back(static_cast<float>(found.absolute));
  relative_.push_back(static_cast<float>(found.relative));
}

}  // namespace fastserve::engine
