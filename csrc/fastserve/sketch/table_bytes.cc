// TableSketch to and from bytes, little-endian:
//
//   "FSSK", version u16 (1), reserved u16 (0), seed u64, tensors u32
//   for each tensor: rows u64, elements i64, is input u8, data type u8, name size u16, name
//   for each feature: size u32, payload
//   CRC-32 u32 of all bytes before it
//
// The payload of a number feature is its moments (count, missing, infinite, zeros u64; minimum,
// maximum, mean, M2 f64) and then the bytes of its quantile sketch in the format of DataSketches;
// that of a category feature is told in category_bytes.cc.
#include <cmath>
#include <cstring>
#include <utility>

#include "fastserve/base/crc32.h"
#include "fastserve/base/quoted.h"
#include "fastserve/sketch/byte_cursor.h"
#include "fastserve/sketch/kll_format.h"
#include "fastserve/sketch/random.h"
#include "fastserve/sketch/table_sketch.h"

namespace fastserve::sketch {
namespace {

constexpr std::string_view kMagic = "FSSK";
constexpr uint16_t kVersion = 1;
constexpr size_t kCrcBytes = 4;

Status damaged(const std::string& what) {
  return {Code::kDataLoss, "the sketch is damaged: " + what};
}

void append_moments(const Moments& moments, std::string* out) {
  append(out, moments.count);
  append(out, moments.missing);
  append(out, moments.infinite);
  append(out, moments.zeros);
  append(out, moments.minimum);
  append(out, moments.maximum);
  append(out, moments.mean);
  append(out, moments.m2);
}

Moments read_moments(ByteReader* reader) {
  Moments moments;
  moments.count = reader->read<uint64_t>();
  moments.missing = reader->read<uint64_t>();
  moments.infinite = reader->read<uint64_t>();
  moments.zeros = reader->read<uint64_t>();
  moments.minimum = reader->read<double>();
  moments.maximum = reader->read<double>();
  moments.mean = reader->read<double>();
  moments.m2 = reader->read<double>();
  return moments;
}

// What is wrong with the moments beside the sketch of the same values; "" when nothing is.
template <typename T>
std::string fault_of(const Moments& moments, const QuantileSketch<T>& quantiles) {
  if (moments.count >= kMaxCount || moments.missing > moments.count ||
      moments.infinite > moments.count - moments.missing || moments.zeros > moments.finite()) {
    return "its counts contradict each other";
  }
  if (moments.finite() != quantiles.count()) return "its moments and quantiles count differently";
  if (quantiles.k() != kDefaultK<T> || quantiles.min_k() != kDefaultK<T>) {
    return "k is " + std::to_string(quantiles.k()) + ", expected " + std::to_string(kDefaultK<T>);
  }
  if (quantiles.empty()) {
    const Moments none;
    return moments.minimum == none.minimum && moments.maximum == none.maximum &&
                   moments.mean == 0 && moments.m2 == 0
               ? ""
               : "it has moments of no values";
  }
  if (moments.minimum != static_cast<double>(quantiles.minimum()) ||
      moments.maximum != static_cast<double>(quantiles.maximum()) ||
      !std::isfinite(moments.minimum) || !std::isfinite(moments.maximum)) {
    return "its minimum or maximum differs from its quantiles'";
  }
  // Of doubles near the largest, sums and squares are infinite and their mean may be NaN.
  if constexpr (sizeof(T) == sizeof(float)) {
    if (!std::isfinite(moments.mean) || !(moments.m2 >= 0)) return "its mean is no number";
  }
  return "";
}

template <typename T>
void append_feature(const NumberSketch<T>& sketch, std::string* out) {
  append_moments(sketch.moments, out);
  *out += sketch.quantiles.serialize();
}

template <typename T>
Status restore_feature(ByteSpan payload, size_t index, uint64_t seed, NumberColumns<T>* columns) {
  ByteReader reader(payload);
  const Moments moments = read_moments(&reader);
  if (!reader.ok()) return invalid_argument("ends within its moments");
  Result<QuantileSketch<T>> quantiles =
      QuantileSketch<T>::parse(reader.take(reader.left()), mix(seed + index));
  if (!quantiles.ok()) return quantiles.status();
  const std::string fault = fault_of(moments, *quantiles);
  if (!fault.empty()) return invalid_argument(fault);
  columns->restore(index, {moments, std::move(*quantiles)});
  return ok_status();
}

Status restore_feature(ByteSpan payload, size_t index, DType dtype, CategoryColumns* columns) {
  Result<CategorySketch> sketch = CategorySketch::parse(dtype, payload);
  if (!sketch.ok()) return sketch.status();
  columns->restore(index, std::move(*sketch));
  return ok_status();
}

void append_schema(const TableSchema& schema, const std::vector<uint64_t>& rows, std::string* out) {
  append(out, static_cast<uint32_t>(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    const TensorColumns& tensor = schema.tensors()[i];
    append(out, rows[i]);
    append(out, tensor.elements);
    append(out, static_cast<uint8_t>(tensor.is_input));
    append(out, static_cast<uint8_t>(tensor.dtype));
    append(out, static_cast<uint16_t>(tensor.name.size()));
    *out += tensor.name;
  }
}

Result<TableSchema> read_schema(ByteReader* reader, std::vector<uint64_t>* rows) {
  const auto count = reader->read<uint32_t>();
  if (!reader->ok() || count > kMaxTensors) return damaged("its number of tensors");
  std::vector<TensorColumns> tensors;
  for (uint32_t i = 0; i < count; ++i) {
    TensorColumns tensor;
    rows->push_back(reader->read<uint64_t>());
    tensor.elements = reader->read<int64_t>();
    const auto is_input = reader->read<uint8_t>();
    tensor.is_input = is_input == 1;
    tensor.dtype = static_cast<DType>(reader->read<uint8_t>());
    tensor.name = as_text(reader->take(reader->read<uint16_t>()));
    if (!reader->ok() || is_input > 1 || rows->back() >= kMaxCount) {
      return damaged("tensor " + std::to_string(i) + " of its schema");
    }
    tensors.push_back(std::move(tensor));
  }
  return TableSchema::make(std::move(tensors));
}

// The container's frame: magic, version, CRC. Errors as TableSketch::parse has them.
Status check_frame(ByteSpan bytes) {
  if (bytes.size() < kMagic.size() || as_text(bytes.first(kMagic.size())) != kMagic) {
    return invalid_argument("these bytes are not a sketch of fastserve: they do not begin with " +
                            quoted(kMagic));
  }
  ByteReader reader(bytes.subspan(kMagic.size()));
  const auto version = reader.read<uint16_t>();
  const auto reserved = reader.read<uint16_t>();
  if (!reader.ok() || reader.left() < kCrcBytes) return damaged("it ends within its header");
  if (version != kVersion || reserved != 0) {
    return invalid_argument("the sketch has version " + std::to_string(version) +
                            ", this fastserve reads version " + std::to_string(kVersion));
  }
  uint32_t stored;
  std::memcpy(&stored, bytes.data() + bytes.size() - kCrcBytes, kCrcBytes);
  if (crc32(bytes.first(bytes.size() - kCrcBytes)) != stored) {
    return damaged("the checksum of its " + std::to_string(bytes.size()) + " bytes does not fit");
  }
  return ok_status();
}

}  // namespace

std::string TableSketch::serialize() const {
  std::string out(kMagic);
  append(&out, kVersion);
  append(&out, uint16_t{0});
  append(&out, seed_);
  append_schema(schema(), rows_, &out);
  for (size_t feature = 0; feature < schema().features().size(); ++feature) {
    const size_t size_at = out.size();
    append(&out, uint32_t{0});
    const size_t tensor = schema().features()[feature].tensor;
    const size_t column = feature - schema().first_feature(tensor);
    std::visit(
        [&]<typename C>(const C& columns) {
          if constexpr (std::is_same_v<C, CategoryColumns>) {
            columns.feature(column).serialize(&out);
          } else {
            append_feature(columns.settled(column), &out);
          }
        },
        columns_[tensor]);
    const auto size = static_cast<uint32_t>(out.size() - size_at - sizeof(uint32_t));
    std::memcpy(out.data() + size_at, &size, sizeof(size));
  }
  append(&out, crc32(as_bytes(out)));
  return out;
}

Result<TableSketch> TableSketch::parse(ByteSpan bytes) {
  if (Status status = check_frame(bytes); !status.ok()) return status;
  constexpr size_t kFrame = kMagic.size() + 2 * sizeof(uint16_t);
  ByteReader reader(bytes.subspan(kFrame, bytes.size() - kFrame - kCrcBytes));
  const auto seed = reader.read<uint64_t>();
  std::vector<uint64_t> rows;
  Result<TableSchema> schema = read_schema(&reader, &rows);
  if (!schema.ok()) return damaged(schema.status().message());
  // Each feature has its size at least: no few bytes make many sketches.
  if (schema->features().size() * sizeof(uint32_t) > reader.left()) {
    return damaged("it ends before its features");
  }
  TableSketch sketch(std::make_shared<const TableSchema>(std::move(*schema)), seed);
  sketch.rows_ = std::move(rows);
  for (size_t feature = 0; feature < sketch.schema().features().size(); ++feature) {
    const size_t at = kFrame + reader.at();
    const ByteSpan payload = reader.take(reader.read<uint32_t>());
    const Status status =
        reader.ok() ? sketch.restore(feature, payload) : invalid_argument("ends too early");
    if (!status.ok()) {
      return damaged("feature " + quoted(sketch.schema().features()[feature].name) + " at byte " +
                     std::to_string(at) + ": " + status.message());
    }
  }
  if (reader.left() != 0) return damaged(std::to_string(reader.left()) + " bytes too many");
  return sketch;
}

Status TableSketch::restore(size_t feature, ByteSpan payload) {
  const size_t tensor = schema().features()[feature].tensor;
  const size_t column = feature - schema().first_feature(tensor);
  const DType dtype = schema().tensors()[tensor].dtype;
  const uint64_t seed = mix(seed_ + schema().first_feature(tensor));
  return std::visit(
      [&]<typename C>(C& columns) {
        if constexpr (std::is_same_v<C, CategoryColumns>) {
          return restore_feature(payload, column, dtype, &columns);
        } else {
          return restore_feature(payload, column, seed, &columns);
        }
      },
      columns_[tensor]);
}

}  // namespace fastserve::sketch
