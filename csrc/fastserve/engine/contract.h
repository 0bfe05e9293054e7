// The data contract of a version: what the values of its inputs may be, feature by feature.
//
// A contract that is enforced stands on the path of a request, after its tensors were checked: the
// first value that breaks it refuses the request, in words that name the feature, what was got and
// what is expected. One that is not is held against the rows that the observer passes on, later, on
// another thread, and only counts.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/runtime/session.h"
#include "fastserve/sketch/table_schema.h"

namespace fastserve::engine {

struct ContractRule {
  enum class Kind : uint8_t {
    kRange,     // low <= value <= high; NaN is missing, not out of range
    kCategory,  // one of `categories`
    kMissing,   // no NaN, no empty text
  };

  uint32_t feature = 0;  // of the schema: a number or a category of an input
  Kind kind = Kind::kRange;
  double low = 0;
  double high = 0;
  std::vector<std::string> categories;  // integers in decimal; "true" and "false"; text as it is
};

class Contract {
 public:
  // Errors: kInvalidArgument, naming the feature: not of an input or not of the rule's kind, a
  // category that is no value of its datatype.
  static Result<std::shared_ptr<Contract>> make(const sketch::TableSchema& schema,
                                                std::vector<ContractRule> rules, bool is_enforced);

  bool is_enforced() const { return is_enforced_; }
  // The first breach, counted; kInvalidArgument. `inputs` are in the signature's order and well
  // formed. Thread: any.
  Status check(std::span<const runtime::RunInput> inputs);
  // Counts every breach in well-formed rows of one tensor. Thread: any.
  void count(size_t tensor, ByteSpan data);
  // Values that broke each rule so far, in the order of the rules. Thread: any.
  std::vector<uint64_t> violations() const;

 private:
  struct Rule : ContractRule {
    std::string name;  // of the feature
    DType dtype = DType::kInvalid;
    uint32_t tensor = 0;
    uint32_t index = 0;                          // element of a row
    uint32_t elements = 1;                       // of a row
    std::unordered_set<std::string_view> texts;  // views of categories
    std::unordered_set<uint64_t> integers;       // signed ones widened
    std::string expected;                        // in words
  };

  Contract(std::vector<Rule> rules, bool is_enforced);
  static Status prepare(const sketch::TableSchema& schema, Rule* rule);
  // Calls on_breach(what was got) for each value that breaks `rule`; ends when that returns false.
  template <typename OnBreach>
  static void hold(const Rule& rule, ByteSpan data, OnBreach&& on_breach);
  template <typename OnBreach>
  static void hold_numbers(const Rule& rule, ByteSpan data, OnBreach&& on_breach);
  template <typename OnBreach>
  static void hold_integers(const Rule& rule, ByteSpan data, OnBreach&& on_breach);
  template <typename OnBreach>
  static void hold_texts(const Rule& rule, ByteSpan data, OnBreach&& on_breach);

  const std::vector<Rule> rules_;
  const bool is_enforced_;
  std::unique_ptr<std::atomic<uint64_t>[]> violations_;
};

}  // namespace fastserve::engine
