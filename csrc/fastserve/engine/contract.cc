#include "fastserve/engine/contract.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "fastserve/base/quoted.h"
#include "fastserve/tensor/half.h"

namespace fastserve::engine {
namespace {

using Kind = ContractRule::Kind;

constexpr size_t kShownCategories = 8;
constexpr std::string_view kMissing = "missing";

std::string number_text(double value) {
  char digits[32];
  const auto end =
      std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, 6);
  return {digits, end.ptr};
}

std::string range_text(double low, double high) {
  if (std::isinf(low)) return "at most " + number_text(high);
  if (std::isinf(high)) return "at least " + number_text(low);
  return number_text(low) + " to " + number_text(high);
}

std::string listed(const std::vector<std::string>& categories) {
  std::string text = "one of ";
  for (size_t i = 0; i < categories.size() && i < kShownCategories; ++i) {
    if (i > 0) text += ", ";
    text += quoted(categories[i]);
  }
  if (categories.size() > kShownCategories) {
    text += " and " + std::to_string(categories.size() - kShownCategories) + " more";
  }
  return text;
}

bool is_signed(DType dtype) {
  return dtype == DType::kInt8 || dtype == DType::kInt16 || dtype == DType::kInt32 ||
         dtype == DType::kInt64;
}

// Signed values widened, so that each value of a type has one number.
uint64_t integer_at(DType dtype, const std::byte* at) {
  switch (dtype) {
    case DType::kBool:
      return load<uint8_t>(at) != 0 ? 1 : 0;
    case DType::kUint8:
      return load<uint8_t>(at);
    case DType::kUint16:
      return load<uint16_t>(at);
    case DType::kUint32:
      return load<uint32_t>(at);
    case DType::kInt8:
      return static_cast<uint64_t>(int64_t{load<int8_t>(at)});
    case DType::kInt16:
      return static_cast<uint64_t>(int64_t{load<int16_t>(at)});
    case DType::kInt32:
      return static_cast<uint64_t>(int64_t{load<int32_t>(at)});
    default:
      return load<uint64_t>(at);
  }
}

std::string integer_text(DType dtype, uint64_t value) {
  if (dtype == DType::kBool) return value != 0 ? "true" : "false";
  return is_signed(dtype) ? std::to_string(static_cast<int64_t>(value)) : std::to_string(value);
}

template <typename Number>
bool parse(std::string_view text, Number* value) {
  const auto end = std::from_chars(text.data(), text.data() + text.size(), *value);
  return end.ec == std::errc() && end.ptr == text.data() + text.size();
}

// False when it is no value of the datatype.
bool integer_from(DType dtype, std::string_view text, uint64_t* value) {
  if (dtype == DType::kBool) {
    *value = text == "true" ? 1 : 0;
    return text == "true" || text == "false";
  }
  if (!is_signed(dtype)) {
    return parse(text, value) && (dtype_size(dtype) == 8 || *value >> (8 * dtype_size(dtype)) == 0);
  }
  int64_t number = 0;
  if (!parse(text, &number)) return false;
  *value = static_cast<uint64_t>(number);
  const int64_t most = INT64_MAX >> (64 - 8 * dtype_size(dtype));
  return number <= most && number >= -most - 1;
}

}  // namespace

Contract::Contract(std::vector<Rule> rules, bool is_enforced)
    : rules_(std::move(rules)),
      is_enforced_(is_enforced),
      violations_(std::make_unique<std::atomic<uint64_t>[]>(rules_.size())) {}

Result<std::shared_ptr<Contract>> Contract::make(const sketch::TableSchema& schema,
                                                 std::vector<ContractRule> rules,
                                                 bool is_enforced) {
  std::vector<Rule> prepared;
  prepared.reserve(rules.size());
  for (ContractRule& rule : rules) {
    if (rule.feature >= schema.features().size()) {
      return invalid_argument("contract: feature " + std::to_string(rule.feature) +
                              " is not there, the schema has " +
                              std::to_string(schema.features().size()));
    }
    static_cast<ContractRule&>(prepared.emplace_back()) = std::move(rule);
    if (Status status = prepare(schema, &prepared.back()); !status.ok()) return status;
  }
  return std::shared_ptr<Contract>(new Contract(std::move(prepared), is_enforced));
}

Status Contract::prepare(const sketch::TableSchema& schema, Rule* rule) {
  const sketch::Feature& feature = schema.features()[rule->feature];
  const sketch::TensorColumns& tensor = schema.tensors()[feature.tensor];
  const std::string what = "contract: feature " + quoted(feature.name) + ": ";
  if (!tensor.is_input) return invalid_argument(what + "an output, expected an input");
  if (tensor.is_derived()) {
    return invalid_argument(what +
                            "derived from rows of more elements than are looked at one by "
                            "one, expected a number or a category");
  }
  const bool is_category = feature.kind == sketch::FeatureKind::kCategory;
  if (is_category && rule->kind == Kind::kRange) {
    return invalid_argument(what + "a category has no range, expected categories");
  }
  if (!is_category && rule->kind == Kind::kCategory) {
    return invalid_argument(what + "a number has no categories, expected a range");
  }
  rule->name = feature.name;
  rule->dtype = tensor.dtype;
  rule->tensor = feature.tensor;
  rule->index = feature.index;
  rule->elements = static_cast<uint32_t>(tensor.elements);
  rule->expected = rule->kind == Kind::kRange      ? range_text(rule->low, rule->high)
                   : rule->kind == Kind::kCategory ? listed(rule->categories)
                                                   : "a value";
  for (const std::string& category : rule->categories) {
    uint64_t value = 0;
    if (tensor.dtype == DType::kBytes) {
      rule->texts.insert(category);
    } else if (integer_from(tensor.dtype, category, &value)) {
      rule->integers.insert(value);
    } else {
      return invalid_argument(what + "category " + quoted(category) + " is no " +
                              std::string(dtype_name(tensor.dtype)));
    }
  }
  return ok_status();
}

template <typename OnBreach>
void Contract::hold_numbers(const Rule& rule, ByteSpan data, OnBreach&& on_breach) {
  const size_t size = dtype_size(rule.dtype);
  const size_t stride = size * rule.elements;
  for (size_t at = size * rule.index; at + size <= data.size(); at += stride) {
    const double value = floating_at(rule.dtype, data.data() + at);
    if (std::isnan(value)) {
      if (rule.kind == Kind::kMissing && !on_breach([] { return std::string(kMissing); })) return;
    } else if (rule.kind == Kind::kRange && !(value >= rule.low && value <= rule.high)) {
      if (!on_breach([value] { return number_text(value); })) return;
    }
  }
}

template <typename OnBreach>
void Contract::hold_integers(const Rule& rule, ByteSpan data, OnBreach&& on_breach) {
  if (rule.kind == Kind::kMissing) return;  // an integer is always there
  const size_t size = dtype_size(rule.dtype);
  const size_t stride = size * rule.elements;
  for (size_t at = size * rule.index; at + size <= data.size(); at += stride) {
    const uint64_t value = integer_at(rule.dtype, data.data() + at);
    if (rule.integers.contains(value)) continue;
    if (!on_breach([&] { return integer_text(rule.dtype, value); })) return;
  }
}

template <typename OnBreach>
void Contract::hold_texts(const Rule& rule, ByteSpan data, OnBreach&& on_breach) {
  size_t at = 0;
  for (uint32_t element = 0; at < data.size(); element = (element + 1) % rule.elements) {
    const auto length = load<uint32_t>(data.data() + at);
    const std::string_view text = as_text(data.subspan(at + sizeof length, length));
    at += sizeof length + length;
    if (element != rule.index) continue;
    if (text.empty()) {
      if (rule.kind == Kind::kMissing && !on_breach([] { return std::string(kMissing); })) return;
    } else if (rule.kind == Kind::kCategory && !rule.texts.contains(text)) {
      if (!on_breach([text] { return quoted(text); })) return;
    }
  }
}

template <typename OnBreach>
void Contract::hold(const Rule& rule, ByteSpan data, OnBreach&& on_breach) {
  if (rule.dtype == DType::kBytes) {
    hold_texts(rule, data, on_breach);
  } else if (is_floating(rule.dtype)) {
    hold_numbers(rule, data, on_breach);
  } else {
    hold_integers(rule, data, on_breach);
  }
}

Status Contract::check(std::span<const runtime::RunInput> inputs) {
  for (size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    Status refusal;
    hold(rule, inputs[rule.tensor].data, [&](auto got) {
      refusal = invalid_argument("feature " + quoted(rule.name) + " is " + got() + ", expected " +
                                 rule.expected + ": the model's data contract refuses it");
      return false;
    });
    if (refusal.ok()) continue;
    violations_[i].fetch_add(1, std::memory_order_relaxed);
    return refusal;
  }
  return ok_status();
}

void Contract::count(size_t tensor, ByteSpan data) {
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (rules_[i].tensor != tensor) continue;
    uint64_t found = 0;
    hold(rules_[i], data, [&](auto) { return ++found > 0; });
    if (found > 0) violations_[i].fetch_add(found, std::memory_order_relaxed);
  }
}

std::vector<uint64_t> Contract::violations() const {
  std::vector<uint64_t> counts(rules_.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    counts[i] = violations_[i].load(std::memory_order_relaxed);
  }
  return counts;
}

}  // namespace fastserve::engine
