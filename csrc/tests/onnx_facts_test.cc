#include "fastserve/runtime/onnx_facts.h"

#include <random>

#include "test_model.h"

using namespace fastserve;
using namespace fastserve::runtime;
using namespace fastserve::runtime::testing;

namespace {

// A message of one length-delimited field after another.
std::string field(uint32_t number, const std::string& value) {
  std::string out;
  for (uint64_t word : {uint64_t{number} << 3 | 2, uint64_t{value.size()}}) {
    for (; word >= 0x80; word >>= 7) out += static_cast<char>((word & 0x7f) | 0x80);
    out += static_cast<char>(word);
  }
  return out + value;
}

std::string entry(const std::string& key, const std::string& value) {
  return field(13, field(1, key) + field(2, value));
}

Result<OnnxFacts> facts(const std::string& bytes) { return read_onnx_facts(as_bytes(bytes)); }

Status refusal(const std::string& bytes) {
  Result<OnnxFacts> read = facts(bytes);
  REQUIRE_FALSE(read.ok());
  return read.status();
}

bool contains(const Status& status, std::string_view text) {
  return status.message().find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("onnx facts are the versions and the number of nodes") {
  Result<OnnxFacts> read = facts(read_model("mlp"));
  REQUIRE(read.ok());
  CHECK(read->ir_version == 8);
  CHECK(read->opsets ==
        std::vector<std::pair<std::string, int64_t>>{{"", 17}, {"com.microsoft", 1}});
  CHECK(read->node_count == 5);
  CHECK(read->external.empty());
  // The nodes of both branches count.
  CHECK(facts(read_model("optional_output"))->node_count == 3);
}

TEST_CASE("onnx facts are tensors that keep their data elsewhere, as the file says it") {
  Result<OnnxFacts> read = facts(read_model("external"));
  REQUIRE(read.ok());
  REQUIRE(read->external.size() == 2);
  CHECK(read->external[1].name == "w2");
  CHECK(read->external[1].is_initializer);
  CHECK(read->external[1].entries ==
        std::vector<std::pair<std::string, std::string>>{
            {"location", "external.bin"}, {"offset", "192"}, {"length", "96"}});
}

TEST_CASE("onnx facts tell initializers of the main graph from all others") {
  const std::string tensor = field(8, "w") + entry("location", "a");
  const auto of_node = [](const std::string& attribute) {
    return field(7, field(1, field(5, attribute)));
  };
  const std::pair<std::string, bool> places[] = {
      {field(7, field(5, tensor)), true},
      {field(7, field(15, field(1, tensor))), false},            // sparse values
      {field(7, field(15, field(2, tensor))), false},            // sparse indices
      {of_node(field(5, tensor)), false},                        // attribute
      {of_node(field(10, tensor)), false},                       // attributes
      {of_node(field(22, field(1, tensor))), false},             // sparse attribute
      {of_node(field(23, field(2, tensor))), false},             // sparse attributes
      {of_node(field(6, field(5, tensor))), false},              // subgraph
      {of_node(field(11, field(5, tensor))), false},             // subgraphs
      {field(20, field(1, field(5, tensor))), false},            // training, first step
      {field(20, field(2, field(5, tensor))), false},            // training
      {field(25, field(7, field(5, field(5, tensor)))), false},  // function
      {field(25, field(11, field(5, tensor))), false},           // default of a function
  };
  for (const auto& [model, is_initializer] : places) {
    const std::string& bytes = model;  // clang 14 captures no structured binding
    CAPTURE(bytes);
    Result<OnnxFacts> read = facts(bytes);
    REQUIRE(read.ok());
    REQUIRE(read->external.size() == 1);
    CHECK(read->external[0].name == "w");
    CHECK(read->external[0].is_initializer == is_initializer);
  }
}

TEST_CASE("onnx facts take the mark for external data as much as the data's place") {
  const std::string marked("\x70\x01", 2);  // data_location: EXTERNAL
  CHECK(facts(field(7, field(5, marked)))->external.size() == 1);
  CHECK(facts(field(7, field(5, std::string("\x70\x00", 2))))->external.empty());
  CHECK(facts(field(7, field(5, entry("offset", "1"))))->external.size() == 1);
}

TEST_CASE("onnx facts refuse ONNX Runtime's own format, whatever else the bytes may be") {
  const std::string flatbuffer = std::string("\x12\x06", 2) + "ab" + "ORTM" + field(7, "");
  CHECK(refusal(flatbuffer).code() == Code::kUnimplemented);
  CHECK(refusal("1234ORTM").code() == Code::kUnimplemented);
}

TEST_CASE("onnx facts refuse endless nesting and endless lists") {
  std::string graph;
  for (int i = 0; i < 30; ++i) graph = field(1, field(5, field(6, graph)));
  CHECK(contains(refusal(field(7, graph)), "nested deeper than 64"));
  std::string entries;
  for (int i = 0; i < 100; ++i) entries += entry("location", "a");
  CHECK(contains(refusal(field(7, field(5, entries))), "more than 64 entries"));
  CHECK(contains(refusal(field(7, field(5, entry("location", std::string(5000, 'a'))))),
                 "has 5000 bytes, more than the limit of 4096"));
  std::string opsets;
  for (int i = 0; i < 2000; ++i) opsets += field(8, "");
  CHECK(contains(refusal(opsets), "more than 1024 opsets"));
  std::string tensors;
  for (int i = 0; i < 100'001; ++i) tensors += field(5, std::string("\x70\x01", 2));
  CHECK(contains(refusal(field(7, tensors)), "more than 100000 tensors"));
}

TEST_CASE("onnx facts refuse what is not protobuf, saying where") {
  CHECK(refusal(read_model("not_onnx")).code() == Code::kDataLoss);
  CHECK(contains(refusal(field(7, "").substr(0, 1)), "truncated or not an ONNX file"));
  CHECK(contains(refusal(field(7, field(5, entry("location", "\xff")))), "UTF-8"));
}

TEST_CASE("onnx facts read or refuse every truncation and 20000 damaged copies") {
  const std::string whole = read_model("external");
  for (size_t length = 0; length < whole.size(); ++length) {
    Result<OnnxFacts> read = facts(whole.substr(0, length));
    if (!read.ok()) CHECK(read.status().code() == Code::kDataLoss);
  }
  std::mt19937 random(11);
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = whole;
    for (int flips = 1 + round % 4; flips > 0; --flips) {
      damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
    }
    Result<OnnxFacts> read = facts(damaged);
    if (!read.ok()) CHECK(read.status().message().size() > 10);
  }
}
