#include "fastserve/engine/contract.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace fastserve {
namespace {

using engine::Contract;
using engine::ContractRule;
using Kind = engine::ContractRule::Kind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const float kNan = std::nanf("");

sketch::TableSchema schema_of(std::vector<sketch::TensorColumns> tensors) {
  return sketch::TableSchema::make(std::move(tensors)).value();
}

std::shared_ptr<Contract> contract_of(const sketch::TableSchema& schema, ContractRule rule) {
  return Contract::make(schema, {std::move(rule)}, true).value();
}

template <typename Number>
runtime::RunInput rows_of(const std::vector<Number>& numbers, int64_t elements) {
  return {.data = std::as_bytes(std::span(numbers)),
          .shape = {static_cast<int64_t>(numbers.size()) / elements, elements}};
}

std::string texts(const std::vector<std::string>& values) {
  std::string bytes;
  for (const std::string& value : values) {
    const auto length = static_cast<uint32_t>(value.size());
    bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
    bytes += value;
  }
  return bytes;
}

const sketch::TableSchema kTwoNumbers =
    schema_of({{.name = "x", .is_input = true, .dtype = DType::kFp32, .elements = 2}});

TEST_CASE("a range looks at its own element of every row, and at nothing else") {
  auto contract = contract_of(kTwoNumbers, {.feature = 1, .low = 0, .high = 1, .categories = {}});
  const std::vector<float> good = {99, 0.5f, -99, 1};
  runtime::RunInput input = rows_of(good, 2);
  CHECK(contract->check({&input, 1}).ok());
  const std::vector<float> bad = {0, 0.5f, 0, 1.5f};
  input = rows_of(bad, 2);
  const Status status = contract->check({&input, 1});
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(status.message() ==
        "feature 'x[1]' is 1.5, expected 0 to 1: the model's data contract refuses it");
  CHECK(contract->violations() == std::vector<uint64_t>{1});
}

TEST_CASE("a range with one bound says so, and an infinity passes no bound") {
  auto at_least =
      contract_of(kTwoNumbers, {.feature = 0, .low = 2, .high = kInfinity, .categories = {}});
  std::vector<float> numbers = {1, 0};
  runtime::RunInput input = rows_of(numbers, 2);
  CHECK(at_least->check({&input, 1}).message().find("is 1, expected at least 2") !=
        std::string::npos);
  auto at_most =
      contract_of(kTwoNumbers, {.feature = 0, .low = -kInfinity, .high = 2, .categories = {}});
  numbers = {INFINITY, 0};
  input = rows_of(numbers, 2);
  CHECK(at_most->check({&input, 1}).message().find("is inf, expected at most 2") !=
        std::string::npos);
}

TEST_CASE("a missing number breaks the rule of missing and no range") {
  const std::vector<float> numbers = {kNan, 0};
  const runtime::RunInput input = rows_of(numbers, 2);
  auto range = contract_of(kTwoNumbers, {.feature = 0, .low = 0, .high = 1, .categories = {}});
  CHECK(range->check({&input, 1}).ok());
  auto missing = contract_of(kTwoNumbers, {.feature = 0, .kind = Kind::kMissing, .categories = {}});
  CHECK(missing->check({&input, 1}).message() ==
        "feature 'x[0]' is missing, expected a value: the model's data contract refuses it");
}

TEST_CASE("categories of integers hold signed and narrow types") {
  const auto schema =
      schema_of({{.name = "x", .is_input = true, .dtype = DType::kInt8, .elements = 1}});
  auto contract = contract_of(schema, {.kind = Kind::kCategory, .categories = {"-1", "127"}});
  std::vector<int8_t> numbers = {-1, 127};
  runtime::RunInput input = rows_of(numbers, 1);
  CHECK(contract->check({&input, 1}).ok());
  numbers = {-1, -2};
  input = rows_of(numbers, 1);
  CHECK(contract->check({&input, 1}).message().find("is -2, expected one of '-1', '127'") !=
        std::string::npos);
}

TEST_CASE("categories of text hold each element's own, however long the others are") {
  const auto schema =
      schema_of({{.name = "x", .is_input = true, .dtype = DType::kBytes, .elements = 2}});
  auto contract =
      contract_of(schema, {.feature = 1, .kind = Kind::kCategory, .categories = {"red", "blue"}});
  const std::string good = texts({"anything at all", "red", "", "blue", "x", ""});
  runtime::RunInput input{.data = as_bytes(good), .shape = {3, 2}};
  CHECK(contract->check({&input, 1}).ok());
  const std::string bad = texts({"red", "green"});
  input = {.data = as_bytes(bad), .shape = {1, 2}};
  CHECK(contract->check({&input, 1}).message().find("is 'green', expected one of 'red', 'blue'") !=
        std::string::npos);
  auto missing = contract_of(schema, {.feature = 1, .kind = Kind::kMissing, .categories = {}});
  input = {.data = as_bytes(good), .shape = {3, 2}};
  CHECK_FALSE(missing->check({&input, 1}).ok());
}

TEST_CASE("counting finds every breach of a tensor's rules") {
  const auto schema =
      schema_of({{.name = "x", .is_input = true, .dtype = DType::kFp64, .elements = 1},
                 {.name = "b", .is_input = true, .dtype = DType::kBool, .elements = 1}});
  auto contract = Contract::make(schema,
                                 {{.feature = 0, .low = 0, .high = 1, .categories = {}},
                                  {.feature = 1, .kind = Kind::kCategory, .categories = {"true"}}},
                                 false)
                      .value();
  const std::vector<double> numbers = {0.5, 2, 3, NAN};
  contract->count(0, std::as_bytes(std::span(numbers)));
  const std::vector<uint8_t> booleans = {1, 0, 1, 7};
  contract->count(1, std::as_bytes(std::span(booleans)));
  CHECK(contract->violations() == std::vector<uint64_t>{2, 1});
}

TEST_CASE("a contract that cannot be is refused with the feature's name") {
  const auto schema =
      schema_of({{.name = "n", .is_input = true, .dtype = DType::kFp32, .elements = 1},
                 {.name = "c", .is_input = true, .dtype = DType::kUint8, .elements = 1},
                 {.name = "wide", .is_input = true, .dtype = DType::kFp32, .elements = 500},
                 {.name = "y", .is_input = false, .dtype = DType::kFp32, .elements = 1}});
  auto refusal = [&](ContractRule rule) {
    return Contract::make(schema, {std::move(rule)}, true).status().message();
  };
  const auto last = static_cast<uint32_t>(schema.features().size() - 1);
  CHECK(refusal({.feature = 0, .kind = Kind::kCategory, .categories = {"a"}}).find("'n'") !=
        std::string::npos);
  CHECK(refusal({.feature = 1, .categories = {}}).find("'c'") != std::string::npos);
  CHECK(refusal({.feature = 1, .kind = Kind::kCategory, .categories = {"256"}}) ==
        "contract: feature 'c': category '256' is no UINT8");
  CHECK(refusal({.feature = 2, .categories = {}}).find("'wide.norm'") != std::string::npos);
  CHECK(refusal({.feature = last, .categories = {}}).find("an output") != std::string::npos);
  CHECK(refusal({.feature = last + 1, .categories = {}}).find("is not there") != std::string::npos);
}

}  // namespace
}  // namespace fastserve
