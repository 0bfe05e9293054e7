#include "fastserve/wire/infer_response.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "fastserve/wire/stream_response.h"
#include "wire_bytes.h"

namespace fastserve::wire {
namespace {

template <typename Message, typename Size, typename Write>
std::string written(const Message& message, Size size, Write write) {
  // One byte more than asked for, to see that it stays untouched.
  const size_t bytes = size(message);
  std::string out(bytes + 1, '\xa5');
  write(message, {reinterpret_cast<std::byte*>(out.data()), bytes});
  CHECK(out.back() == '\xa5');
  out.pop_back();
  return out;
}

std::string encode(const InferResponse& response) {
  return written(response, infer_response_size, write_infer_response);
}

std::string encode_stream(const StreamResponse& response) {
  return written(response, stream_response_size, write_stream_response);
}

// The `contents` of a typed reply with this one output.
std::string contents_of(DType dtype, const std::string& data) {
  const OutputTensor outputs[] = {{"y", dtype, {1}, as_bytes(data)}};
  return encode({.model_name = {},
                 .model_version = {},
                 .id = {},
                 .parameters = {},
                 .outputs = outputs,
                 .typed = true});
}

std::string typed_output(std::string_view dtype, const std::string& contents) {
  return block(5, block(1, "y") + block(2, dtype) + block(3, "\x01") + block(5, contents));
}

TEST_CASE("infer_response: a raw reply has one entry for each output, empty ones too") {
  const std::string data = "12345678";
  const OutputTensor outputs[] = {{"y", DType::kFp32, {1, 2}, as_bytes(data)},
                                  {"empty", DType::kInt64, {0, 300}, {}},
                                  {"scalar", DType::kInt8, {}, as_bytes("a")}};
  const InferResponse response = {.model_name = "mlp",
                                  .model_version = "3",
                                  .id = "id-1",
                                  .parameters = {},
                                  .outputs = outputs};
  CHECK(encode(response) ==
        block(1, "mlp") + block(2, "3") + block(3, "id-1") +
            block(5, block(1, "y") + block(2, "FP32") + block(3, "\x01\x02")) +
            block(5, block(1, "empty") + block(2, "INT64") + block(3, raw("\x00\xac\x02"))) +
            block(5, block(1, "scalar") + block(2, "INT8")) + block(6, data) + block(6, "") +
            block(6, "a"));
}

TEST_CASE("infer_response: empty strings are left out") {
  CHECK(encode(InferResponse{}).empty());
  const OutputTensor outputs[] = {{"", DType::kFp32, {}, {}}};
  CHECK(encode({.model_name = {},
                .model_version = "1",
                .id = {},
                .parameters = {},
                .outputs = outputs}) == block(2, "1") + block(5, block(2, "FP32")) + block(6, ""));
}

TEST_CASE("infer_response: typed replies hold each datatype in its own field") {
  CHECK(contents_of(DType::kBool, raw("\x00\x01\x07")) ==
        typed_output("BOOL", block(1, raw("\x00\x01\x01"))));
  CHECK(contents_of(DType::kInt8, "\x01\xff") ==
        typed_output("INT8", block(2, "\x01" + varint(UINT64_MAX))));
  CHECK(contents_of(DType::kInt16, raw("\x00\x01")) == typed_output("INT16", block(2, "\x80\x02")));
  CHECK(contents_of(DType::kInt32, raw("\x05\x00\x00\x00")) ==
        typed_output("INT32", block(2, "\x05")));
  CHECK(contents_of(DType::kInt64, repeated("\xff", 8)) ==
        typed_output("INT64", block(3, varint(UINT64_MAX))));
  CHECK(contents_of(DType::kUint8, "\xff") == typed_output("UINT8", block(4, "\xff\x01")));
  CHECK(contents_of(DType::kUint16, "\xff\xff") == typed_output("UINT16", block(4, varint(65535))));
  CHECK(contents_of(DType::kUint32, repeated("\xff", 4)) ==
        typed_output("UINT32", block(4, varint(UINT32_MAX))));
  CHECK(contents_of(DType::kUint64, repeated("\xff", 8)) ==
        typed_output("UINT64", block(5, varint(UINT64_MAX))));
  CHECK(contents_of(DType::kFp32, "1234") == typed_output("FP32", block(6, "1234")));
  CHECK(contents_of(DType::kFp64, "12345678") == typed_output("FP64", block(7, "12345678")));
  CHECK(contents_of(DType::kBytes, raw("\x02\x00\x00\x00"
                                       "ab\x00\x00\x00\x00")) ==
        typed_output("BYTES", block(8, "ab") + block(8, "")));
}

TEST_CASE("infer_response: a typed tensor without elements still has contents") {
  CHECK(contents_of(DType::kFp32, "") == typed_output("FP32", ""));
  CHECK(contents_of(DType::kBytes, "") == typed_output("BYTES", ""));
}

TEST_CASE("infer_response: one output without a typed field makes the whole reply raw") {
  for (DType dtype : {DType::kFp16, DType::kBf16}) {
    const OutputTensor outputs[] = {{"a", DType::kFp32, {1}, as_bytes("1234")},
                                    {"b", dtype, {1}, as_bytes("12")}};
    CHECK(encode({.model_name = {},
                  .model_version = {},
                  .id = {},
                  .parameters = {},
                  .outputs = outputs,
                  .typed = true}) ==
          block(5, block(1, "a") + block(2, "FP32") + block(3, "\x01")) +
              block(5, block(1, "b") + block(2, dtype_name(dtype)) + block(3, "\x01")) +
              block(6, "1234") + block(6, "12"));
  }
}

TEST_CASE("infer_response: BYTES whose last length is wrong end with the tensor") {
  CHECK(contents_of(DType::kBytes, raw("\xff\x00\x00\x00"
                                       "ab")) == typed_output("BYTES", block(8, "ab")));
  CHECK(contents_of(DType::kBytes, "abc") == typed_output("BYTES", ""));
}

TEST_CASE("infer_response: parameters are map entries with both fields") {
  Parameter is_final;
  is_final.key = "triton_final_response";
  is_final.kind = Parameter::Kind::kBool;
  is_final.as_bool = false;
  Parameter text;
  text.kind = Parameter::Kind::kString;
  const Parameter parameters[] = {is_final, text};
  CHECK(encode({.model_name = "m",
                .model_version = {},
                .id = {},
                .parameters = parameters,
                .outputs = {}}) ==
        block(1, "m") + block(4, block(1, "triton_final_response") + block(2, raw("\x08\x00"))) +
            block(4, block(1, "") + block(2, block(3, ""))));
}

TEST_CASE("stream_response: an answer is wrapped, an error comes with the request's id") {
  InferResponse response;
  response.id = "7";
  CHECK(encode_stream({.error_message = {}, .response = response}) == block(2, block(3, "7")));
  CHECK(encode_stream({.error_message = "no", .response = response}) ==
        block(1, "no") + block(2, block(3, "7")));
  CHECK(encode_stream({.error_message = "no", .response = {}}) == block(1, "no") + block(2, ""));
}

TEST_CASE("infer_response: sizes are right where lengths grow by a byte") {
  for (size_t size : {126, 127, 128, 129, 16'382, 16'383, 16'384, 16'385}) {
    const std::string data(size, 'x');
    const OutputTensor outputs[] = {{data, DType::kUint8, {1}, as_bytes(data)}};
    for (bool typed : {false, true}) {
      CAPTURE(size);
      encode({.model_name = data,
              .model_version = {},
              .id = {},
              .parameters = {},
              .outputs = outputs,
              .typed = typed});
    }
  }
}

}  // namespace
}  // namespace fastserve::wire
