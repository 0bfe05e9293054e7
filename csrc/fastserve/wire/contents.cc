// Typed tensor data (InferTensorContents) of a request; declared in infer_request.h.
#include <array>
#include <bit>
#include <concepts>
#include <cstring>
#include <limits>
#include <string>

#include "fastserve/wire/infer_request.h"
#include "fastserve/wire/protobuf_reader.h"
#include "fastserve/wire/quoted.h"

namespace fastserve::wire {
namespace {

static_assert(std::endian::native == std::endian::little, "the raw form is little-endian");

// Levels that may open inside `contents`: it stands in an input, which stands in the request.
constexpr int kInContents = kMaxNesting - 2;

// Indexed by ContentsKind, which is also the field's number.
constexpr std::array<const char*, 9> kFieldNames = {
    "no field",        "bool_contents", "int_contents",  "int64_contents", "uint_contents",
    "uint64_contents", "fp32_contents", "fp64_contents", "bytes_contents"};

const char* field_name(ContentsKind kind) { return kFieldNames[static_cast<size_t>(kind)]; }

// The field that carries this dtype; kNone when there is none.
ContentsKind kind_of(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return ContentsKind::kBool;
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32:
      return ContentsKind::kInt;
    case DType::kInt64:
      return ContentsKind::kInt64;
    case DType::kUint8:
    case DType::kUint16:
    case DType::kUint32:
      return ContentsKind::kUint;
    case DType::kUint64:
      return ContentsKind::kUint64;
    case DType::kFp32:
      return ContentsKind::kFp32;
    case DType::kFp64:
      return ContentsKind::kFp64;
    case DType::kBytes:
      return ContentsKind::kBytes;
    case DType::kFp16:
    case DType::kBf16:
    case DType::kInvalid:
      return ContentsKind::kNone;
  }
  return ContentsKind::kNone;
}

bool is_varint_field(uint32_t field) { return field >= 1 && field <= 5; }

// Walks one part of `contents` and hands every run of values to the sink, whether it was sent
// packed or one by one: sink.varints(kind, bytes), sink.fixed(kind, bytes), sink.element(bytes).
// The sink returns false to stop, having noted why. Returns false then, or with *error set.
template <typename Sink>
bool walk(ByteSpan part, Sink& sink, WireError* error) {
  ProtobufReader reader(part);
  const auto run_from = [&](const uint8_t* begin) {
    return ByteSpan(reinterpret_cast<const std::byte*>(begin),
                    static_cast<size_t>(reader.position() - begin));
  };
  while (!reader.at_end()) {
    uint32_t tag;
    if (!reader.read_tag(&tag)) break;
    const uint32_t field = tag >> 3;
    const auto type = static_cast<WireType>(tag & 7);
    const auto kind = static_cast<ContentsKind>(field <= 8 ? field : 0);
    const uint8_t* begin = reader.position();
    if (is_varint_field(field) && type == WireType::kVarint) {
      uint64_t ignored;
      if (!reader.read_varint(&ignored)) break;
      if (!sink.varints(kind, run_from(begin))) return false;
    } else if (is_varint_field(field) && type == WireType::kLength) {
      ByteSpan packed;
      if (!reader.read_bytes(&packed)) break;
      if (!sink.varints(kind, packed)) return false;
    } else if (field == 6 && type == WireType::kFixed32) {
      uint32_t ignored;
      if (!reader.read_fixed(&ignored)) break;
      if (!sink.fixed(kind, run_from(begin))) return false;
    } else if (field == 7 && type == WireType::kFixed64) {
      uint64_t ignored;
      if (!reader.read_fixed(&ignored)) break;
      if (!sink.fixed(kind, run_from(begin))) return false;
    } else if ((field == 6 || field == 7) && type == WireType::kLength) {
      ByteSpan packed;
      if (!reader.read_bytes(&packed)) break;
      if (packed.size() % (field == 6 ? 4 : 8) != 0) {
        *error = WireError::kTruncated;
        return false;
      }
      if (!sink.fixed(kind, packed)) return false;
    } else if (field == 8 && type == WireType::kLength) {
      ByteSpan element;
      if (!reader.read_bytes(&element)) break;
      if (!sink.element(element)) return false;
    } else if (!reader.skip_field(tag, kInContents)) {
      break;
    }
  }
  *error = reader.error();
  return *error == WireError::kNone;
}

class Counter {
 public:
  bool varints(ContentsKind kind, ByteSpan run) {
    // Eight bytes at a time: each byte below 0x80 ends a varint. Where too many in a row go on (as
    // they do in negative numbers too), the rest is read varint by varint.
    constexpr uint64_t kContinues = 0x8080808080808080;
    constexpr int kMaxContinuing = 9;
    int64_t count = 0;
    size_t whole = 0;  // bytes that are whole varints, counted
    uint64_t word;
    for (size_t at = 0; at + sizeof(word) <= run.size(); at += sizeof(word)) {
      std::memcpy(&word, run.data() + at, sizeof(word));
      const uint64_t ends = ~word & kContinues;
      const size_t continuing = at - whole + static_cast<size_t>(std::countr_zero(ends)) / 8;
      if (continuing > kMaxContinuing || ends == 0) break;
      count += static_cast<int64_t>((ends >> 7) * 0x0101010101010101 >> 56);
      whole = at + static_cast<size_t>(std::bit_width(ends)) / 8;
    }
    ProtobufReader reader(run.subspan(whole));
    if (!reader.read_varints([&](uint64_t) { return ++count, true; })) {
      error_ = reader.error();
      return false;
    }
    add(kind, count);
    return true;
  }

  bool fixed(ContentsKind kind, ByteSpan run) {
    add(kind, static_cast<int64_t>(run.size() / (kind == ContentsKind::kFp32 ? 4 : 8)));
    return true;
  }

  bool element(ByteSpan bytes) {
    add(ContentsKind::kBytes, 1);
    bytes_size_ += sizeof(uint32_t) + bytes.size();
    return true;
  }

  WireError error() const { return error_; }
  // The first field with data, and another one if there is.
  ContentsKind first() const { return first_; }
  ContentsKind second() const { return second_; }
  int64_t count() const { return count_; }
  size_t bytes_size() const { return bytes_size_; }

 private:
  void add(ContentsKind kind, int64_t count) {
    if (count == 0) return;
    if (first_ == ContentsKind::kNone) first_ = kind;
    if (kind != first_) {
      second_ = kind;
    } else {
      count_ += count;
    }
  }

  WireError error_ = WireError::kNone;
  ContentsKind first_ = ContentsKind::kNone;
  ContentsKind second_ = ContentsKind::kNone;
  int64_t count_ = 0;
  size_t bytes_size_ = 0;
};

// Writes every value as a T. The source is what protobuf reads: 64 bits, of which a 32-bit field
// keeps the low half. Values of other fields cannot occur: count_contents has refused them.
template <typename T>
class Copier {
 public:
  explicit Copier(MutableByteSpan out) : at_(out.data()), end_(out.data() + out.size()) {}

  bool varints(ContentsKind kind, ByteSpan run) {
    // Locals: bytes stored through at_ could be at_ itself, as far as a compiler knows.
    std::byte* at = at_;
    std::byte* const end = end_;
    const bool done = ProtobufReader(run).read_varints([&](uint64_t wire) {
      T value;
      if (!narrow(wire, kind, &value) || static_cast<size_t>(end - at) < sizeof(T)) return false;
      std::memcpy(at, &value, sizeof(T));
      at += sizeof(T);
      return true;
    });
    at_ = at;
    return done;
  }

  bool fixed(ContentsKind, ByteSpan run) { return put(run.data(), run.size()); }

  bool element(ByteSpan bytes) {
    const auto length = static_cast<uint32_t>(bytes.size());
    return put(&length, sizeof(length)) && put(bytes.data(), bytes.size());
  }

  bool is_full() const { return at_ == end_; }
  bool is_out_of_range() const { return is_out_of_range_; }
  int64_t offending_value() const { return offending_value_; }

 private:
  bool narrow(uint64_t wire, ContentsKind kind, T* value) {
    if constexpr (std::same_as<T, bool>) {
      *value = wire != 0;
    } else if constexpr (std::integral<T>) {
      int64_t wide = static_cast<int64_t>(wire);
      if (kind == ContentsKind::kInt) wide = static_cast<int32_t>(wire);
      if (kind == ContentsKind::kUint) wide = static_cast<uint32_t>(wire);
      if constexpr (sizeof(T) < 4) {
        if (wide < std::numeric_limits<T>::min() || wide > std::numeric_limits<T>::max()) {
          is_out_of_range_ = true;
          offending_value_ = wide;
          return false;
        }
      }
      *value = static_cast<T>(wide);
    } else {
      *value = T{};
    }
    return true;
  }

  bool put(const void* data, size_t size) {
    if (size > static_cast<size_t>(end_ - at_)) return false;
    if (size != 0) std::memcpy(at_, data, size);
    at_ += size;
    return true;
  }

  std::byte* at_;
  std::byte* const end_;
  bool is_out_of_range_ = false;
  int64_t offending_value_ = 0;
};

std::span<const ByteSpan> parts_of(const InferRequestView& view, const InputView& input) {
  return {view.contents_pool.data() + input.contents_begin, input.contents_count};
}

template <typename T>
Status copy_as(const InferRequestView& view, const InputView& input, MutableByteSpan out) {
  Copier<T> copier(out);
  for (ByteSpan part : parts_of(view, input)) {
    WireError error = WireError::kNone;
    if (walk(part, copier, &error)) continue;
    if (copier.is_out_of_range()) {
      if constexpr (std::integral<T>) {
        return invalid_argument("input " + quoted(input.name) + ": " +
                                field_name(kind_of(input.dtype)) + " has " +
                                std::to_string(copier.offending_value()) + ", but " +
                                std::string(dtype_name(input.dtype)) + " holds " +
                                std::to_string(std::numeric_limits<T>::min()) + " to " +
                                std::to_string(std::numeric_limits<T>::max()));
      }
    }
    return {Code::kInternal, "contents of input " + quoted(input.name) + " changed while read"};
  }
  if (!copier.is_full()) {
    return {Code::kInternal, "contents of input " + quoted(input.name) + " changed while read"};
  }
  return ok_status();
}

}  // namespace

Status count_contents(const InferRequestView& view, const InputView& input, ContentsKind* kind,
                      int64_t* elements, size_t* raw_bytes) {
  Counter counter;
  for (ByteSpan part : parts_of(view, input)) {
    WireError error = WireError::kNone;
    if (!walk(part, counter, &error)) {
      if (counter.error() != WireError::kNone) error = counter.error();
      return invalid_argument(
          "malformed ModelInferRequest: " + std::string(wire_error_text(error)) +
          ", in contents of input " + quoted(input.name));
    }
  }
  if (counter.second() != ContentsKind::kNone) {
    return invalid_argument("input " + quoted(input.name) + ": contents has data in " +
                            field_name(counter.first()) + " and in " +
                            field_name(counter.second()) + ", expected one field");
  }
  const ContentsKind expected = kind_of(input.dtype);
  if (counter.first() != ContentsKind::kNone && counter.first() != expected) {
    const std::string advice = expected == ContentsKind::kNone
                                   ? "raw_input_contents"
                                   : std::string("contents.") + field_name(expected);
    return invalid_argument("input " + quoted(input.name) + ": contents has data in " +
                            field_name(counter.first()) + ", but datatype " +
                            quoted(input.datatype) + " travels in " + advice);
  }
  *kind = counter.first();
  *elements = counter.count();
  *raw_bytes = input.dtype == DType::kBytes
                   ? counter.bytes_size()
                   : static_cast<size_t>(counter.count()) * dtype_size(input.dtype);
  return ok_status();
}

Status copy_contents(const InferRequestView& view, const InputView& input, MutableByteSpan out) {
  switch (input.dtype) {
    case DType::kBool:
      return copy_as<bool>(view, input, out);
    case DType::kInt8:
      return copy_as<int8_t>(view, input, out);
    case DType::kInt16:
      return copy_as<int16_t>(view, input, out);
    case DType::kInt32:
      return copy_as<int32_t>(view, input, out);
    case DType::kInt64:
      return copy_as<int64_t>(view, input, out);
    case DType::kUint8:
      return copy_as<uint8_t>(view, input, out);
    case DType::kUint16:
      return copy_as<uint16_t>(view, input, out);
    case DType::kUint32:
      return copy_as<uint32_t>(view, input, out);
    case DType::kUint64:
      return copy_as<uint64_t>(view, input, out);
    case DType::kFp32:
    case DType::kFp64:
    case DType::kBytes:
    case DType::kFp16:
    case DType::kBf16:
    case DType::kInvalid:
      return copy_as<float>(view, input, out);
  }
  return {Code::kInternal, "unknown dtype"};
}

}  // namespace fastserve::wire
