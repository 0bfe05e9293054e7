// Sketches from any bytes: refused, or a valid sketch that is written as it was read, answers,
// merges and goes on. The checksum is made right first, or every input would end at it.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fastserve/base/crc32.h"
#include "fastserve/sketch/distribution.h"
#include "fastserve/sketch/scores.h"
#include "fastserve/sketch/table_sketch.h"

namespace {

using namespace fastserve;
using namespace fastserve::sketch;

template <typename T>
void check_quantiles(ByteSpan bytes) {
  Result<QuantileSketch<T>> read = QuantileSketch<T>::parse(bytes, 1);
  if (!read.ok()) return;
  if (read->serialize() != as_text(bytes)) std::abort();
  (void)Distribution(*read).quantile(0.5);
  if (read->count() > (uint64_t{1} << 58)) return;
  const uint64_t count = read->count();
  read->merge(*read);
  if (read->count() != 2 * count) std::abort();
}

void check_table(ByteSpan bytes) {
  constexpr size_t kCrcBytes = 4;
  if (bytes.size() < kCrcBytes) return;
  std::string container(as_text(bytes));
  const uint32_t sum = crc32(as_bytes(container).first(container.size() - kCrcBytes));
  std::memcpy(container.data() + container.size() - kCrcBytes, &sum, kCrcBytes);
  Result<TableSketch> read = TableSketch::parse(as_bytes(container));
  if (!read.ok()) return;
  if (read->serialize() != container) std::abort();
  for (size_t feature = 0; feature < read->schema().features().size(); ++feature) {
    if (!read->summary(feature).ok()) std::abort();
  }
  if (!scores(*read, *read).ok()) std::abort();
  TableSketch twice(*read);
  if (!twice.merge(*read).ok()) return;  // more rows than are counted
  if (twice.rows() != 2 * read->rows()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  check_table(bytes);
  check_quantiles<float>(bytes);
  check_quantiles<double>(bytes);
  return 0;
}
