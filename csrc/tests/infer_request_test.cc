#include "fastserve/wire/infer_request.h"

#include <doctest/doctest.h>

#include <cstring>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "wire_bytes.h"

namespace fastserve::wire {
namespace {

// Keeps the message: the view points into it after the call.
Status parse(std::string message, InferRequestView* view,
             const RequestLimits& limits = RequestLimits{}) {
  static std::deque<std::string> kept;
  kept.push_back(std::move(message));
  return parse_infer_request(as_bytes(kept.back()), limits, view);
}

void check_refused(const std::string& message, std::string_view expected,
                   const RequestLimits& limits = RequestLimits{}) {
  InferRequestView view;
  const Status status = parse(message, &view, limits);
  CHECK(status.code() == Code::kInvalidArgument);
  CAPTURE(status.message());
  CHECK(status.message().find(expected) != std::string::npos);
}

std::string entry(std::string_view key, std::string_view value) {
  return block(1, key) + block(2, value);
}

std::string typed_input(std::string_view dtype, std::string_view contents) {
  return block(5, block(1, "x") + block(2, dtype) + block(5, contents));
}

// The raw form of the first input's contents, or the error's text.
std::string raw_contents(const std::string& message) {
  InferRequestView view;
  REQUIRE(parse(message, &view).ok());
  REQUIRE(view.inputs.size() == 1);
  ContentsKind kind;
  int64_t elements;
  size_t size;
  Status status = count_contents(view, view.inputs[0], &kind, &elements, &size);
  if (!status.ok()) return status.message();
  std::string out(size, '\xa5');
  status =
      copy_contents(view, view.inputs[0], {reinterpret_cast<std::byte*>(out.data()), out.size()});
  return status.ok() ? out : status.message();
}

template <typename T>
std::string little_endian(std::initializer_list<T> values) {
  std::string out;
  for (T value : values) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out.append(bytes, sizeof(T));
  }
  return out;
}

TEST_CASE("infer_request: every field is read as a view into the message") {
  const std::string message =
      block(1, "mlp") + block(2, "3") + block(3, "id-1") +
      block(4, entry("timeout", number(2, 1000))) +
      block(5, block(1, "x") + block(2, "FP32") + block(3, "\x02\x1e") +
                   block(4, entry("k", number(1, 1)))) +
      block(6, block(1, "y") + block(2, entry("classification", number(2, 3)))) +
      block(7, "12345678");
  InferRequestView view;
  REQUIRE(parse_infer_request(as_bytes(message), {}, &view).ok());
  CHECK(view.model_name == "mlp");
  CHECK(view.model_name.data() == message.data() + 2);
  CHECK(view.model_version == "3");
  CHECK(view.id == "id-1");
  REQUIRE(view.parameters.count == 1);
  const Parameter& timeout = view.parameters_pool[view.parameters.begin];
  CHECK(timeout.key == "timeout");
  CHECK(timeout.kind == Parameter::Kind::kInt64);
  CHECK(timeout.as_int64 == 1000);
  REQUIRE(view.inputs.size() == 1);
  const InputView& input = view.inputs[0];
  CHECK(input.name == "x");
  CHECK(input.datatype == "FP32");
  CHECK(input.dtype == DType::kFp32);
  CHECK(input.shape == Shape({2, 30}));
  CHECK_FALSE(input.has_contents);
  REQUIRE(input.parameters.count == 1);
  CHECK(view.parameters_pool[input.parameters.begin].as_bool);
  REQUIRE(view.outputs.size() == 1);
  CHECK(view.outputs[0].name == "y");
  CHECK(view.parameters_pool[view.outputs[0].parameters.begin].as_int64 == 3);
  REQUIRE(view.raw_inputs.size() == 1);
  CHECK(as_text(view.raw_inputs[0]) == "12345678");
}

TEST_CASE("infer_request: a reused view holds nothing of the message before") {
  InferRequestView view;
  REQUIRE(parse(block(1, "a") + block(3, "id") + block(4, entry("k", number(2, 1))) +
                    typed_input("FP32", block(6, "1234")) + block(6, "") + block(7, "x"),
                &view)
              .ok());
  REQUIRE(parse(block(1, "b") + block(5, block(1, "x")), &view).ok());
  CHECK(view.model_name == "b");
  CHECK(view.id.empty());
  CHECK(view.parameters.count == 0);
  CHECK(view.outputs.empty());
  CHECK(view.raw_inputs.empty());
  REQUIRE(view.inputs.size() == 1);
  CHECK(view.inputs[0].dtype == DType::kInvalid);
  CHECK(view.inputs[0].shape.rank() == 0);
  CHECK_FALSE(view.inputs[0].has_contents);
  CHECK(view.inputs[0].contents_count == 0);
}

TEST_CASE("infer_request: parsing like messages again allocates nothing") {
  const std::string message = block(1, "m") + block(4, entry("k", number(2, 1))) +
                              typed_input("FP32", block(6, "1234")) + block(6, block(1, "y"));
  InferRequestView view;
  REQUIRE(parse(message, &view).ok());
  const void* inputs = view.inputs.data();
  const void* parameters = view.parameters_pool.data();
  const void* contents = view.contents_pool.data();
  REQUIRE(parse(message, &view).ok());
  CHECK(view.inputs.data() == inputs);
  CHECK(view.parameters_pool.data() == parameters);
  CHECK(view.contents_pool.data() == contents);
}

TEST_CASE("infer_request: what one large request claimed is given back") {
  InferRequestView view;
  RequestLimits limits;
  limits.max_parameters = 100'000;
  REQUIRE(parse(repeated(block(4, ""), 100'000), &view, limits).ok());
  CHECK(view.parameters_pool.size() == 100'000);
  view.clear();
  CHECK(view.parameters_pool.capacity() == 0);
}

TEST_CASE("infer_request: the last of a repeated scalar wins") {
  InferRequestView view;
  REQUIRE(parse(block(1, "a") + block(1, "b") +
                    block(5, block(2, "FP32") + block(2, "INT8") + block(2, "nonsense")),
                &view)
              .ok());
  CHECK(view.model_name == "b");
  CHECK(view.inputs[0].datatype == "nonsense");
  CHECK(view.inputs[0].dtype == DType::kInvalid);
}

TEST_CASE("infer_request: shapes are read packed, one by one and mixed") {
  InferRequestView view;
  REQUIRE(parse(block(5, number(3, 2) + block(3, "\x03\x04") + block(3, "") +
                             number(3, static_cast<uint64_t>(-1))),
                &view)
              .ok());
  CHECK(view.inputs[0].shape == Shape({2, 3, 4, -1}));
  CHECK_FALSE(view.inputs[0].rank_too_large);
}

TEST_CASE("infer_request: dimensions beyond the largest rank are noted, not stored") {
  InferRequestView view;
  REQUIRE(parse(block(5, block(3, std::string(kMaxRank, '\x01'))) +
                    block(5, block(3, std::string(kMaxRank, '\x01')) + number(3, 7)) +
                    block(5, block(3, std::string(100'000, '\x01'))),
                &view)
              .ok());
  CHECK_FALSE(view.inputs[0].rank_too_large);
  CHECK(view.inputs[1].rank_too_large);
  CHECK(view.inputs[2].rank_too_large);
  CHECK(view.inputs[2].shape.rank() == kMaxRank);
}

TEST_CASE("infer_request: fields of another wire type are unknown, and skipped") {
  InferRequestView view;
  REQUIRE(parse(number(1, 5) + tag(5, 1) + "12345678" + tag(7, 5) + "1234" + block(99, "zz") +
                    tag(5, 3) + tag(5, 4) + block(5, number(1, 5) + tag(3, 5) + "1234"),
                &view)
              .ok());
  CHECK(view.model_name.empty());
  CHECK(view.raw_inputs.empty());
  REQUIRE(view.inputs.size() == 1);
  CHECK(view.inputs[0].shape.rank() == 0);
}

TEST_CASE("infer_request: every kind of parameter is read, the last choice wins") {
  InferRequestView view;
  const std::string half = little_endian({0.5});
  REQUIRE(parse(block(4, entry("b", number(1, 2))) +
                    block(4, entry("i", number(2, static_cast<uint64_t>(-5)))) +
                    block(4, entry("s", block(3, "text"))) +
                    block(4, entry("d", tag(4, 1) + half)) +
                    block(4, entry("u", number(5, UINT64_MAX))) + block(4, block(1, "none")) +
                    block(4, entry("two", number(1, 1) + block(3, "later"))) +
                    block(4, block(2, number(2, 1)) + block(1, "k") + block(2, number(5, 9))),
                &view)
              .ok());
  REQUIRE(view.parameters.count == 8);
  const Parameter* p = &view.parameters_pool[view.parameters.begin];
  CHECK(p[0].kind == Parameter::Kind::kBool);
  CHECK(p[0].as_bool);
  CHECK(p[1].as_int64 == -5);
  CHECK(p[2].kind == Parameter::Kind::kString);
  CHECK(p[2].as_string == "text");
  CHECK(p[3].kind == Parameter::Kind::kDouble);
  CHECK(p[3].as_double == 0.5);
  CHECK(p[4].kind == Parameter::Kind::kUint64);
  CHECK(p[4].as_uint64 == UINT64_MAX);
  CHECK(p[5].key == "none");
  CHECK(p[5].kind == Parameter::Kind::kNone);
  CHECK(p[6].kind == Parameter::Kind::kString);
  CHECK(p[6].as_string == "later");
  CHECK(p[7].key == "k");
  CHECK(p[7].kind == Parameter::Kind::kUint64);
  CHECK(p[7].as_uint64 == 9);
}

TEST_CASE("infer_request: a parameter entry with an unknown field is unknown as a whole") {
  InferRequestView view;
  REQUIRE(
      parse(block(4, entry("a", number(2, 1)) + number(3, 1)) + block(4, entry("b", number(2, 2))),
            &view)
          .ok());
  REQUIRE(view.parameters.count == 1);
  CHECK(view.parameters_pool[view.parameters.begin].key == "b");
}

TEST_CASE("infer_request: the request's parameters form one run even between tensors' own") {
  InferRequestView view;
  REQUIRE(parse(block(4, entry("a", number(2, 1))) + block(5, block(4, entry("x", number(2, 10)))) +
                    block(4, entry("b", number(2, 2))) + block(6, block(2, entry("y", ""))) +
                    block(4, entry("c", number(2, 3))),
                &view)
              .ok());
  REQUIRE(view.parameters.count == 3);
  const Parameter* own = &view.parameters_pool[view.parameters.begin];
  CHECK(own[0].key == "a");
  CHECK(own[1].key == "b");
  CHECK(own[2].key == "c");
  CHECK(view.parameters_pool[view.inputs[0].parameters.begin].key == "x");
  CHECK(view.parameters_pool[view.outputs[0].parameters.begin].key == "y");
}

TEST_CASE("infer_request: malformed bytes are refused with the place") {
  check_refused(
      "\x0a\x05"
      "ab",
      "in model_name");
  check_refused(block(1, "\xff"), "not valid UTF-8, in model_name");
  check_refused(block(5, block(1, "\xc0\x80")), "in inputs.name");
  check_refused(block(4, entry("\x80", "")), "in a parameter's name");
  check_refused(block(4, entry("k", block(3, "\x80"))), "in string_param");
  check_refused(block(5, block(3, "\x80")), "in inputs.shape");
  check_refused(block(5, tag(5, 4)), "a group ends that did not begin");
  check_refused(raw("\x00\x01"), "field number is 0");
  check_refused("\x0f", "wire type");
  check_refused(block(1, "m") + "\x80", "before byte 4 of 4");
}

TEST_CASE("infer_request: a field may not reach beyond the message that holds it") {
  check_refused(block(5,
                      "\x0a\x05"
                      "ab") +
                    "cdefgh",
                "in inputs.name");
  check_refused(block(5, number(3, 1).substr(0, 1) + "\x80") + "\x01", "in inputs.shape");
}

TEST_CASE("infer_request: nesting is counted from the outermost message") {
  const auto groups = [](size_t depth) {
    return repeated("\x7b", depth) + repeated("\x7c", depth);
  };
  InferRequestView view;
  CHECK(parse(groups(100), &view).ok());
  CHECK(parse(block(5, groups(99)), &view).ok());
  CHECK(parse(block(5, block(4, block(2, groups(97)))), &view).ok());
  check_refused(groups(101), "100 deep");
  check_refused(block(5, groups(100)), "100 deep");
  check_refused(block(5, block(4, block(2, groups(98)))), "100 deep");
  CHECK(raw_contents(typed_input("FP32", groups(98))).empty());
  CHECK(raw_contents(typed_input("FP32", groups(99))).find("100 deep") != std::string::npos);
}

TEST_CASE("infer_request: each limit refuses one more, and says which it is") {
  RequestLimits limits;
  limits.max_inputs = 2;
  limits.max_outputs = 3;
  limits.max_parameters = 4;
  limits.max_contents_parts = 5;
  InferRequestView view;
  const std::string part = block(5, block(6, "1234"));
  CHECK(parse(repeated(block(5, ""), 2) + repeated(block(6, ""), 3) + repeated(block(4, ""), 4) +
                  repeated(block(7, ""), 2),
              &view, limits)
            .ok());
  CHECK(parse(block(5, repeated(part, 5)), &view, limits).ok());
  check_refused(repeated(block(5, ""), 3), "too many inputs: at most 2", limits);
  check_refused(repeated(block(6, ""), 4), "too many outputs: at most 3", limits);
  check_refused(repeated(block(4, ""), 5), "too many parameters: at most 4", limits);
  check_refused(block(5, repeated(block(4, ""), 5)), "too many parameters: at most 4", limits);
  check_refused(repeated(block(7, ""), 3), "too many raw_input_contents: at most 2", limits);
  check_refused(block(5, repeated(part, 6)), "parts of inputs.contents: at most 5", limits);
}

TEST_CASE("infer_request: no prefix of a message reads beyond its end") {
  const std::string message = block(1, "model") + block(4, entry("k", block(3, "v"))) +
                              typed_input("INT64", block(3, "\x80\x01\x02")) + block(7, "raw");
  for (size_t size = 0; size <= message.size(); ++size) {
    // Sized exactly, so that AddressSanitizer sees a byte too many.
    const std::vector<char> prefix(message.begin(), message.begin() + static_cast<long>(size));
    InferRequestView view;
    const Status status = parse_infer_request(as_bytes({prefix.data(), prefix.size()}), {}, &view);
    CHECK((status.ok() || status.code() == Code::kInvalidArgument));
  }
}

TEST_CASE("contents: every datatype is written in its raw form") {
  const auto packed = [](std::initializer_list<int64_t> values) {
    std::string out;
    for (int64_t value : values) out += varint(static_cast<uint64_t>(value));
    return out;
  };
  CHECK(raw_contents(typed_input("BOOL", block(1, packed({0, 1, 300})))) == raw("\x00\x01\x01"));
  CHECK(raw_contents(typed_input("INT8", block(2, packed({-128, 127})))) == "\x80\x7f");
  CHECK(raw_contents(typed_input("INT16", block(2, packed({-2})))) == "\xfe\xff");
  CHECK(raw_contents(typed_input("INT32", block(2, packed({-2})))) == "\xfe\xff\xff\xff");
  CHECK(raw_contents(typed_input("INT64", block(3, packed({-1, 300})))) ==
        little_endian<int64_t>({-1, 300}));
  CHECK(raw_contents(typed_input("UINT8", block(4, packed({255})))) == "\xff");
  CHECK(raw_contents(typed_input("UINT16", block(4, packed({65535})))) == "\xff\xff");
  CHECK(raw_contents(typed_input("UINT32", block(4, packed({4294967295})))) == "\xff\xff\xff\xff");
  CHECK(raw_contents(typed_input("UINT64", block(5, packed({-1})))) ==
        little_endian<uint64_t>({UINT64_MAX}));
  CHECK(raw_contents(typed_input("FP32", block(6, little_endian({1.5f})))) ==
        little_endian({1.5f}));
  CHECK(raw_contents(typed_input("FP64", block(7, little_endian({1.5})))) == little_endian({1.5}));
  CHECK(raw_contents(typed_input("BYTES", block(8, "ab") + block(8, ""))) ==
        raw("\x02\x00\x00\x00"
            "ab\x00\x00\x00\x00"));
}

TEST_CASE("contents: occurrences that were split are one tensor") {
  InferRequestView view;
  const std::string one = little_endian({1.0f});
  const std::string two = little_endian({2.0f});
  CHECK(raw_contents(block(5, block(2, "FP32") + block(5, block(6, one)) + block(5, "") +
                                  block(5, tag(6, 5) + two))) == one + two);
}

TEST_CASE("contents: 32-bit fields keep the low half of a varint") {
  CHECK(raw_contents(typed_input("INT32", number(2, 0x1'0000'0005))) == little_endian({5}));
  CHECK(raw_contents(typed_input("INT32", number(2, 0xffff'ffff))) == little_endian({-1}));
}

TEST_CASE("contents: values that a narrow datatype cannot hold are refused with the range") {
  CHECK(raw_contents(typed_input("INT8", number(2, 128))) ==
        "input 'x': int_contents has 128, but INT8 holds -128 to 127");
  CHECK(raw_contents(typed_input("UINT16", number(4, 65536))) ==
        "input 'x': uint_contents has 65536, but UINT16 holds 0 to 65535");
  CHECK(raw_contents(typed_input("INT16", number(2, static_cast<uint64_t>(-32769)))) ==
        "input 'x': int_contents has -32769, but INT16 holds -32768 to 32767");
}

TEST_CASE("contents: the field must fit the datatype, and there is only one") {
  CHECK(raw_contents(typed_input("FP32", number(2, 1))) ==
        "input 'x': contents has data in int_contents, but datatype 'FP32' travels in "
        "contents.fp32_contents");
  CHECK(raw_contents(typed_input("FP16", block(6, "1234"))) ==
        "input 'x': contents has data in fp32_contents, but datatype 'FP16' travels in "
        "raw_input_contents");
  CHECK(raw_contents(typed_input("INT64", number(3, 1) + number(5, 1))) ==
        "input 'x': contents has data in int64_contents and in uint64_contents, expected one "
        "field");
}

TEST_CASE("contents: fields without data do not count") {
  CHECK(raw_contents(typed_input("INT64", block(2, "") + number(3, 1) + block(6, ""))) ==
        little_endian<int64_t>({1}));
  CHECK(raw_contents(typed_input("FP16", "")).empty());
}

TEST_CASE("contents: malformed bytes are refused") {
  const auto is_malformed = [](const std::string& dtype, const std::string& contents) {
    return raw_contents(typed_input(dtype, contents)).starts_with("malformed ModelInferRequest: ");
  };
  CHECK(is_malformed("FP32", block(6, "12345")));
  CHECK(is_malformed("FP64", block(7, "1234")));
  CHECK(is_malformed("FP32", tag(6, 5) + "123"));
  CHECK(is_malformed("INT64", block(3, "\x80")));
  CHECK(is_malformed("INT64", "\x18"));
  CHECK(is_malformed("INT64", raw("\x00")));
}

TEST_CASE("contents: packed varints are counted right wherever they start and however long") {
  for (size_t lead = 0; lead < 9; ++lead) {
    for (size_t length = 1; length <= 12; ++length) {
      CAPTURE(lead);
      CAPTURE(length);
      const std::string long_varint = repeated("\x81", length - 1) + raw("\x00");
      const std::string packed =
          repeated("\x01", lead) + long_varint + repeated("\x02", 9) + long_varint;
      const std::string result = raw_contents(typed_input("UINT64", block(5, packed)));
      if (length <= 10) {
        CHECK(result.size() == (lead + 11) * 8);
      } else {
        CHECK(result.starts_with("malformed ModelInferRequest: a varint is longer than 10 bytes"));
      }
    }
  }
}

TEST_CASE("contents: names in messages are cut to a length that a header can carry") {
  std::string name = repeated("a", 62) + "\xe2\x82\xac" + repeated("b", 100'000);
  InferRequestView view;
  const std::string text = raw_contents(block(5, block(1, name) + block(5, number(2, 1))));
  CHECK(text.starts_with("input '" + repeated("a", 62) + "...'"));
  CHECK(text.size() < 300);
}

TEST_CASE("bytes tensor: elements must fill the bytes exactly") {
  const auto check = [](const std::string& bytes, int64_t elements) {
    return check_bytes_tensor(as_bytes(bytes), elements, "x").message();
  };
  const std::string two =
      raw("\x02\x00\x00\x00"
          "ab\x00\x00\x00\x00");
  CHECK(check(two, 2).empty());
  CHECK(check("", 0).empty());
  CHECK(check(two, 3).starts_with("input 'x': BYTES element 2 of 3 needs a 4-byte length, got 0"));
  CHECK(check(two, 1) ==
        "input 'x': 4 bytes are left over after the 1 BYTES elements of its shape");
  CHECK(check(raw("\x03\x00\x00\x00"
                  "ab"),
              1) == "input 'x': BYTES element 0 of 1 says it has 3 bytes, but only 2 are left");
  CHECK(check(raw("\xff\xff\xff\xff"
                  "ab"),
              INT64_MAX)
            .find("says it has 4294967295 bytes") != std::string::npos);
  CHECK(check("ab", 1).find("needs a 4-byte length, got 2 bytes") != std::string::npos);
}

}  // namespace
}  // namespace fastserve::wire
