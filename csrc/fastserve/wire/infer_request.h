// A ModelInferRequest read as views into the received bytes.
//
// The parser copies nothing and allocates only its four vectors, which keep their capacity when the
// object is reused: parse into one long-lived InferRequestView per thread. Every view dies with
// the message's bytes.
//
// Acceptance and values agree with google.protobuf on the same bytes (a differential test holds
// this): last scalar wins, repeated submessage occurrences of a non-repeated field merge, unknown
// fields are skipped (bounded group nesting), packed and unpacked repeats are both read, strings
// must be valid UTF-8.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"
#include "fastserve/wire/parameter.h"

namespace fastserve::wire {

// Upper bounds that keep one request's bookkeeping small whatever its bytes say.
struct RequestLimits {
  uint32_t max_inputs = 1024;
  uint32_t max_outputs = 1024;
  uint32_t max_parameters = 256;       // per request and per tensor
  uint32_t max_contents_parts = 4096;  // occurrences of `contents` that hold bytes, all inputs
};

// Which field of InferTensorContents holds the data; names follow the proto.
enum class ContentsKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kInt64,
  kUint,
  kUint64,
  kFp32,
  kFp64,
  kBytes,
};

struct InputView {
  // Not zeroed: a Shape of 16 dimensions is cheaper to leave than to clear, for every input.
  InputView() {}  // NOLINT(modernize-use-equals-default)

  std::string_view name;
  std::string_view datatype;      // as sent
  DType dtype = DType::kInvalid;  // kInvalid when the name is unknown
  Shape shape;
  bool rank_too_large = false;  // the request had more than kMaxRank dimensions
  ParameterRange parameters;
  bool has_contents = false;  // `contents` was present (maybe empty)
  // All occurrences of `contents` that are not empty, each the bytes of one InferTensorContents
  // message, unread; a range in contents_pool. More than one only for senders that split the
  // submessage.
  uint32_t contents_begin = 0;
  uint32_t contents_count = 0;
};

struct OutputView {
  std::string_view name;
  ParameterRange parameters;
};

struct InferRequestView {
  std::string_view model_name;
  std::string_view model_version;
  std::string_view id;
  ParameterRange parameters;
  std::vector<InputView> inputs;
  std::vector<OutputView> outputs;
  std::vector<ByteSpan> raw_inputs;
  std::vector<Parameter> parameters_pool;
  std::vector<ByteSpan> contents_pool;

  // Empties the view and keeps its capacity, unless an unusual request has made it large.
  void clear();
};

// What follows a limit's or a malformed byte's refusal in *view is unspecified. The bytes of
// `contents` are not looked into: count_contents does that.
// Thread: any; the view belongs to the caller. Errors: kInvalidArgument (malformed protobuf, or a
// limit passed, naming which).
Status parse_infer_request(ByteSpan message, const RequestLimits& limits, InferRequestView* view);

// Elements held by `contents` of this input, by counting only (nothing is allocated). Sets *kind to
// the one non-empty field (kNone when all are empty) and *raw_bytes to their size in raw form.
// kInvalidArgument when the bytes are malformed, two fields hold data, or the field does not fit
// the input's dtype (FP16 and BF16 have none).
Status count_contents(const InferRequestView& view, const InputView& input, ContentsKind* kind,
                      int64_t* elements, size_t* raw_bytes);

// Writes `contents` in raw form (little-endian; BYTES with 4-byte length prefixes; INT8/16 and
// UINT8/16 narrowed) into `out`, which holds exactly the raw_bytes that count_contents gave for
// this dtype. Only after count_contents said ok. kInvalidArgument when a value does not fit the
// narrow type.
Status copy_contents(const InferRequestView& view, const InputView& input, MutableByteSpan out);

// Checks a BYTES tensor in raw form: `elements` times (4-byte little-endian length, bytes), nothing
// left over. Names the element at fault.
Status check_bytes_tensor(ByteSpan raw, int64_t elements, std::string_view input_name);

}  // namespace fastserve::wire
