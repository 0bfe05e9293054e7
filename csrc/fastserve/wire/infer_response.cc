#include "fastserve/wire/infer_response.h"

#include <algorithm>
#include <concepts>
#include <cstring>

#include "fastserve/wire/protobuf_writer.h"

namespace fastserve::wire {
namespace {

// Field numbers of proto/open_inference_grpc.proto.
namespace response_field {
constexpr uint32_t kModelName = 1;
constexpr uint32_t kModelVersion = 2;
constexpr uint32_t kId = 3;
constexpr uint32_t kParameters = 4;
constexpr uint32_t kOutputs = 5;
constexpr uint32_t kRawOutputContents = 6;
}  // namespace response_field

namespace output_field {
constexpr uint32_t kName = 1;
constexpr uint32_t kDatatype = 2;
constexpr uint32_t kShape = 3;
constexpr uint32_t kContents = 5;
}  // namespace output_field

namespace contents_field {
constexpr uint32_t kBool = 1;
constexpr uint32_t kInt = 2;
constexpr uint32_t kInt64 = 3;
constexpr uint32_t kUint = 4;
constexpr uint32_t kUint64 = 5;
constexpr uint32_t kFp32 = 6;
constexpr uint32_t kFp64 = 7;
constexpr uint32_t kBytes = 8;
}  // namespace contents_field

bool is_typed(const InferResponse& response) {
  if (!response.typed) return false;
  return std::ranges::none_of(response.outputs, [](const OutputTensor& output) {
    return output.dtype == DType::kFp16 || output.dtype == DType::kBf16;
  });
}

size_t text_size(std::string_view text) {
  return text.empty() ? 0 : length_field_size(text.size());
}

// --- Typed contents
// ---------------------------------------------------------------------------------

// Calls visit(element) for each element of a BYTES tensor. The runtime made the bytes; a length
// that leaves them all the same ends the walk instead of reading on.
template <typename Visit>
void for_each_element(ByteSpan raw, Visit visit) {
  while (raw.size() >= sizeof(uint32_t)) {
    uint32_t length;
    std::memcpy(&length, raw.data(), sizeof(length));
    raw = raw.subspan(sizeof(length));
    const size_t size = std::min<size_t>(length, raw.size());
    visit(raw.first(size));
    raw = raw.subspan(size);
  }
}

// A BOOL as a model wrote it: any byte but 0 is true.
enum class BoolByte : uint8_t { kFalse = 0 };

// Calls visit(varint) for each T: signed ones are sign-extended to 64 bits, as protobuf has it.
template <typename T, typename Visit>
void for_each_varint(ByteSpan raw, Visit visit) {
  for (size_t at = 0; at + sizeof(T) <= raw.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, raw.data() + at, sizeof(T));
    if constexpr (std::same_as<T, BoolByte>) {
      visit(uint64_t{value != BoolByte::kFalse});
    } else {
      visit(static_cast<uint64_t>(static_cast<int64_t>(value)));
    }
  }
}

// Calls visit.varints<T>(field), visit.fixed(field) or visit.elements(field): how this dtype
// travels.
template <typename Visitor>
void dispatch(DType dtype, Visitor& visitor) {
  using namespace contents_field;
  switch (dtype) {
    case DType::kBool:
      return visitor.template varints<BoolByte>(kBool);
    case DType::kInt8:
      return visitor.template varints<int8_t>(kInt);
    case DType::kInt16:
      return visitor.template varints<int16_t>(kInt);
    case DType::kInt32:
      return visitor.template varints<int32_t>(kInt);
    case DType::kInt64:
      return visitor.template varints<int64_t>(kInt64);
    case DType::kUint8:
      return visitor.template varints<uint8_t>(kUint);
    case DType::kUint16:
      return visitor.template varints<uint16_t>(kUint);
    case DType::kUint32:
      return visitor.template varints<uint32_t>(kUint);
    case DType::kUint64:
      return visitor.template varints<uint64_t>(kUint64);
    case DType::kFp32:
      return visitor.fixed(kFp32);
    case DType::kFp64:
      return visitor.fixed(kFp64);
    case DType::kBytes:
      return visitor.elements(kBytes);
    case DType::kFp16:
    case DType::kBf16:
    case DType::kInvalid:
      return;  // is_typed() keeps the first two away; no output has the third
  }
}

struct ContentsSizer {
  ByteSpan raw;
  size_t payload = 0;  // of the packed field
  size_t size = 0;     // of the InferTensorContents

  template <typename T>
  void varints(uint32_t) {
    for_each_varint<T>(raw, [this](uint64_t value) { payload += varint_size(value); });
    size = raw.empty() ? 0 : length_field_size(payload);
  }
  void fixed(uint32_t) {
    payload = raw.size();
    size = raw.empty() ? 0 : length_field_size(payload);
  }
  void elements(uint32_t) {
    for_each_element(raw, [this](ByteSpan element) { size += length_field_size(element.size()); });
  }
};

ContentsSizer sized_contents(const OutputTensor& output) {
  ContentsSizer sizer{.raw = output.data};
  dispatch(output.dtype, sizer);
  return sizer;
}

struct ContentsWriter {
  ByteSpan raw;
  size_t payload;
  ProtobufWriter& writer;

  template <typename T>
  void varints(uint32_t field) {
    if (raw.empty()) return;
    writer.length_prefix(field, payload);
    for_each_varint<T>(raw, [this](uint64_t value) { writer.varint(value); });
  }
  void fixed(uint32_t field) {
    if (!raw.empty()) writer.bytes_field(field, raw);
  }
  void elements(uint32_t field) {
    for_each_element(raw, [&](ByteSpan element) { writer.bytes_field(field, element); });
  }
};

// --- Tensors
// ----------------------------------------------------------------------------------------

size_t shape_payload(const Shape& shape) {
  size_t size = 0;
  for (int64_t dim : shape.dims()) size += varint_size(static_cast<uint64_t>(dim));
  return size;
}

// Of the InferOutputTensor message, without its own tag and length.
size_t output_size(const OutputTensor& output, bool typed) {
  size_t size = text_size(output.name) + text_size(dtype_name(output.dtype));
  if (output.shape.rank() != 0) size += length_field_size(shape_payload(output.shape));
  // Present even when empty: a client tells a tensor without elements from one without data.
  if (typed) size += length_field_size(sized_contents(output).size);
  return size;
}

void write_output(const OutputTensor& output, bool typed, ProtobufWriter& writer) {
  writer.string_field_if_set(output_field::kName, output.name);
  writer.string_field_if_set(output_field::kDatatype, dtype_name(output.dtype));
  if (output.shape.rank() != 0) {
    writer.length_prefix(output_field::kShape, shape_payload(output.shape));
    for (int64_t dim : output.shape.dims()) writer.varint(static_cast<uint64_t>(dim));
  }
  if (typed) {
    const ContentsSizer sizes = sized_contents(output);
    writer.length_prefix(output_field::kContents, sizes.size);
    ContentsWriter contents{.raw = output.data, .payload = sizes.payload, .writer = writer};
    dispatch(output.dtype, contents);
  }
}

// --- Parameters: map entries, key = 1, value = 2
// ----------------------------------------------------

size_t value_size(const Parameter& parameter) {
  switch (parameter.kind) {
    case Parameter::Kind::kNone:
      return 0;
    case Parameter::Kind::kBool:
      return 2;
    case Parameter::Kind::kInt64:
      return 1 + varint_size(static_cast<uint64_t>(parameter.as_int64));
    case Parameter::Kind::kString:
      return length_field_size(parameter.as_string.size());
    case Parameter::Kind::kDouble:
      return 1 + sizeof(double);
    case Parameter::Kind::kUint64:
      return 1 + varint_size(parameter.as_uint64);
  }
  return 0;
}

// A map entry always has both its fields, defaults too.
size_t entry_size(const Parameter& parameter) {
  return length_field_size(parameter.key.size()) + length_field_size(value_size(parameter));
}

void write_entry(const Parameter& parameter, ProtobufWriter& writer) {
  writer.bytes_field(1, as_bytes(parameter.key));
  writer.length_prefix(2, value_size(parameter));
  switch (parameter.kind) {
    case Parameter::Kind::kNone:
      break;
    case Parameter::Kind::kBool:
      writer.tag(1, 0);
      writer.varint(parameter.as_bool ? 1 : 0);
      break;
    case Parameter::Kind::kInt64:
      writer.tag(2, 0);
      writer.varint(static_cast<uint64_t>(parameter.as_int64));
      break;
    case Parameter::Kind::kString:
      writer.bytes_field(3, as_bytes(parameter.as_string));
      break;
    case Parameter::Kind::kDouble:
      writer.tag(4, 1);
      writer.bytes(&parameter.as_double, sizeof(double));
      break;
    case Parameter::Kind::kUint64:
      writer.tag(5, 0);
      writer.varint(parameter.as_uint64);
      break;
  }
}

}  // namespace

size_t infer_response_size(const InferResponse& response) {
  const bool typed = is_typed(response);
  size_t size =
      text_size(response.model_name) + text_size(response.model_version) + text_size(response.id);
  for (const Parameter& parameter : response.parameters) {
    size += length_field_size(entry_size(parameter));
  }
  for (const OutputTensor& output : response.outputs) {
    size += length_field_size(output_size(output, typed));
    if (!typed) size += length_field_size(output.data.size());
  }
  return size;
}

void write_infer_response(const InferResponse& response, MutableByteSpan out) {
  const bool typed = is_typed(response);
  ProtobufWriter writer(out);
  writer.string_field_if_set(response_field::kModelName, response.model_name);
  writer.string_field_if_set(response_field::kModelVersion, response.model_version);
  writer.string_field_if_set(response_field::kId, response.id);
  for (const Parameter& parameter : response.parameters) {
    writer.length_prefix(response_field::kParameters, entry_size(parameter));
    write_entry(parameter, writer);
  }
  for (const OutputTensor& output : response.outputs) {
    writer.length_prefix(response_field::kOutputs, output_size(output, typed));
    write_output(output, typed, writer);
  }
  if (typed) return;
  for (const OutputTensor& output : response.outputs) {
    writer.bytes_field(response_field::kRawOutputContents, output.data);
  }
}

}  // namespace fastserve::wire
