#include "fastserve/runtime/row_independence.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "fastserve/runtime/random_rows.h"
#include "fastserve/tensor/half.h"

namespace fastserve::runtime {
namespace {

constexpr int64_t kRows = 3;
constexpr std::array<int64_t, kRows> kTogether = {0, 1, 2};
constexpr std::array<int64_t, kRows> kPermuted = {2, 0, 1};

// An output of one run, on memory of its own.
struct Answer {
  Shape shape;
  DType dtype = DType::kInvalid;
  bool present = false;
  Buffer data;
};

struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

Tolerance tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::kFp32:
    case DType::kFp64:
      return {1e-4, 1e-5};
    case DType::kFp16:
      return {4e-3, 4e-3};
    case DType::kBf16:
      return {3e-2, 3e-2};
    default:
      return {};
  }
}

double value_at(DType dtype, const std::byte* data, size_t index) {
  return floating_at(dtype, data + index * dtype_size(dtype));
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1g", value);
  return text;
}

// The offset of each row of BYTES data, and its end. Empty when the data is not `rows` equal runs.
std::vector<size_t> row_offsets(const Answer& answer, int64_t rows) {
  std::vector<size_t> offsets;
  int64_t elements = 0;
  if (!answer.shape.element_count(&elements) || elements % rows != 0) return offsets;
  if (answer.dtype != DType::kBytes) {
    for (int64_t row = 0; row <= rows; ++row) {
      offsets.push_back(answer.data.size() / static_cast<size_t>(rows) * static_cast<size_t>(row));
    }
    return offsets;
  }
  size_t offset = 0;
  for (int64_t i = 0; i < elements; ++i) {
    if (i % (elements / rows) == 0) offsets.push_back(offset);
    uint32_t length;
    std::memcpy(&length, answer.data.data() + offset, sizeof length);
    offset += sizeof length + length;
  }
  if (elements == 0) offsets.assign(static_cast<size_t>(rows), 0);
  offsets.push_back(offset);
  return offsets;
}

class Probe {
 public:
  Probe(Session& session, uint64_t seed)
      : signature_(session.signature()), runner_(session.make_runner()), seed_(seed) {}

  BatchingVerdict judge() {
    std::string reason = check_axes(signature_.inputs, "input");
    if (reason.empty()) reason = check_axes(signature_.outputs, "output");
    if (!reason.empty()) return {false, reason};
    if (!find_runnable_rows(&reason)) return {false, reason};

    std::vector<Answer> permuted;
    if (!run(kPermuted, &permuted, &reason)) return {false, reason};
    for (size_t row = 0; row < kRows; ++row) {
      auto from = static_cast<size_t>(kPermuted[row]);
      if (!compare(permuted, kRows, row, from, "in another order", &reason)) return {false, reason};
    }
    for (size_t row = 0; row < kRows; ++row) {
      std::vector<Answer> alone;
      if (!run(std::span(&kTogether[row], 1), &alone, &reason)) return {false, reason};
      if (!compare(alone, 1, 0, row, "alone", &reason)) return {false, reason};
    }
    return {true, "rows are independent (max difference " + number(max_difference_) + ")"};
  }

 private:
  static std::string check_axes(const std::vector<TensorSpec>& specs, const std::string& kind) {
    if (specs.empty()) return "the model has no " + kind;
    for (const TensorSpec& spec : specs) {
      if (spec.shape.rank() == 0) return kind + " '" + spec.name + "' is a scalar: it has no rows";
      if (spec.shape[0] != kDynamic) {
        return "first axis of " + kind + " '" + spec.name + "' is fixed at " +
               std::to_string(spec.shape[0]);
      }
    }
    return {};
  }

  bool has_inner_dynamic_axes() const {
    return std::any_of(signature_.inputs.begin(), signature_.inputs.end(), [](const auto& spec) {
      auto dims = spec.shape.dims().subspan(1);
      return std::find(dims.begin(), dims.end(), kDynamic) != dims.end();
    });
  }

  // Settles on sizes and values with which the model runs, and keeps the answers of the rows
  // together.
  bool find_runnable_rows(std::string* reason) {
    constexpr int64_t kAxisSizes[] = {8, 16, 32, 2, 1};
    std::string first_reason;
    for (int64_t axis_size : std::span(kAxisSizes, has_inner_dynamic_axes() ? 5 : 1)) {
      for (int integer_limit : {16, 2}) {
        rows_ = std::make_unique<RandomRows>(signature_, kRows, axis_size, integer_limit, seed_);
        if (run(kTogether, &together_, reason)) return true;
        if (first_reason.empty()) first_reason = *reason;
      }
    }
    *reason = first_reason;
    return false;
  }

  bool run(std::span<const int64_t> order, std::vector<Answer>* answers, std::string* reason) {
    size_t count = signature_.outputs.size();
    std::vector<RunOutput> outputs(count);
    auto wanted = std::make_unique<bool[]>(count);
    std::fill_n(wanted.get(), count, true);
    Status status = runner_->run(rows_->take(order), std::span(wanted.get(), count), outputs);
    std::string run_name = "a probe of " + std::to_string(order.size()) + " random rows";
    if (!status.ok()) {
      *reason = run_name + " failed: " + status.message();
      return false;
    }
    answers->clear();
    for (size_t i = 0; i < count; ++i) {
      const RunOutput& output = outputs[i];
      Answer& answer = answers->emplace_back();
      answer.shape = output.shape;
      answer.dtype = output.dtype;
      answer.present = output.present;
      answer.data.append(output.data);
      if (!output.present) continue;
      if (output.shape.rank() == 0 || output.shape[0] != static_cast<int64_t>(order.size())) {
        *reason = run_name + " gave output '" + signature_.outputs[i].name + "' of shape " +
                  output.shape.to_string() + ": it does not keep the rows";
        return false;
      }
    }
    return true;
  }

  // Row `row` of `answers` (of `rows` rows) against row `reference` of the rows together.
  bool compare(const std::vector<Answer>& answers, int64_t rows, size_t row, size_t reference,
               const std::string& how, std::string* reason) {
    for (size_t i = 0; i < answers.size(); ++i) {
      std::string what = compare_one(answers[i], rows, row, together_[i], reference);
      if (what.empty()) continue;
      *reason = "rows depend on one another: output '" + signature_.outputs[i].name + "' of row " +
                std::to_string(reference) + " run " + how + " " + what;
      return false;
    }
    return true;
  }

  std::string compare_one(const Answer& a, int64_t a_rows, size_t a_row, const Answer& b,
                          size_t b_row) {
    if (a.present != b.present) return "is present in one run only";
    if (!a.present) return {};
    Shape one_row = a.shape;
    if (one_row.rank() > 0) one_row[0] = b.shape[0];
    if (!(one_row == b.shape)) {
      return "has shape " + a.shape.to_string() + " against " + b.shape.to_string();
    }
    std::vector<size_t> a_offsets = row_offsets(a, a_rows);
    std::vector<size_t> b_offsets = row_offsets(b, kRows);
    if (a_offsets.empty() || b_offsets.empty()) return "cannot be cut into rows";
    ByteSpan x = a.data.bytes().subspan(a_offsets[a_row], a_offsets[a_row + 1] - a_offsets[a_row]);
    ByteSpan y = b.data.bytes().subspan(b_offsets[b_row], b_offsets[b_row + 1] - b_offsets[b_row]);
    if (x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size()) == 0)) {
      return {};
    }
    Tolerance tolerance = tolerance_of(a.dtype);
    if (tolerance.relative == 0) return "differs";
    for (size_t i = 0; i < x.size() / dtype_size(a.dtype); ++i) {
      double p = value_at(a.dtype, x.data(), i);
      double q = value_at(a.dtype, y.data(), i);
      if (p == q || (std::isnan(p) && std::isnan(q))) continue;
      double difference = std::fabs(p - q);
      double allowed =
          std::max(tolerance.absolute, tolerance.relative * std::max(std::fabs(p), std::fabs(q)));
      if (!(difference <= allowed)) return "differs by " + number(difference);
      max_difference_ = std::max(max_difference_, difference);
    }
    return {};
  }

  const Signature& signature_;
  std::unique_ptr<Runner> runner_;
  const uint64_t seed_;
  std::unique_ptr<RandomRows> rows_;
  std::vector<Answer> together_;
  double max_difference_ = 0;
};

}  // namespace

BatchingVerdict probe_row_independence(Session& session, uint64_t seed) {
  return Probe(session, seed).judge();
}

}  // namespace fastserve::runtime
