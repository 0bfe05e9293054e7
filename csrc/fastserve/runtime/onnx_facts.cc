#include "fastserve/runtime/onnx_facts.h"

#include <algorithm>
#include <string_view>

#include "fastserve/wire/protobuf_reader.h"

namespace fastserve::runtime {
namespace {

using wire::make_tag;
using wire::ProtobufReader;
using wire::WireType;

// No graph that people make nests deeper; a file that does is an attack.
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxNameBytes = 200;
// The largest models have some thousand tensors.
constexpr size_t kMaxExternal = 100'000;
constexpr size_t kMaxEntries = 64;
constexpr size_t kMaxTextBytes = 4096;
constexpr size_t kMaxOpsets = 1024;
// A flatbuffer of ONNX Runtime has these at byte 4 and is then never read as protobuf.
constexpr std::string_view kOrtFormat = "ORTM";

enum class Kind : uint8_t {
  kNone,
  kModel,
  kTraining,
  kFunction,
  kMainGraph,
  kGraph,
  kSparse,
  kNode,
  kAttribute,
  kInitializer,
  kTensor,
  kOpset,
};

// The message in a length-delimited field, if it can lead to a tensor. Source: onnx.proto.
Kind child(Kind parent, uint32_t field) {
  switch (parent) {
    case Kind::kModel:
      if (field == 7) return Kind::kMainGraph;
      if (field == 8) return Kind::kOpset;
      if (field == 20) return Kind::kTraining;
      return field == 25 ? Kind::kFunction : Kind::kNone;
    case Kind::kTraining:
      return field == 1 || field == 2 ? Kind::kGraph : Kind::kNone;
    case Kind::kFunction:
      if (field == 7) return Kind::kNode;
      return field == 11 ? Kind::kAttribute : Kind::kNone;
    case Kind::kMainGraph:
    case Kind::kGraph:
      if (field == 1) return Kind::kNode;
      if (field == 5) return parent == Kind::kMainGraph ? Kind::kInitializer : Kind::kTensor;
      return field == 15 ? Kind::kSparse : Kind::kNone;
    case Kind::kSparse:
      return field == 1 || field == 2 ? Kind::kTensor : Kind::kNone;
    case Kind::kNode:
      return field == 5 ? Kind::kAttribute : Kind::kNone;
    case Kind::kAttribute:
      if (field == 5 || field == 10) return Kind::kTensor;
      if (field == 6 || field == 11) return Kind::kGraph;
      return field == 22 || field == 23 ? Kind::kSparse : Kind::kNone;
    default:
      return Kind::kNone;
  }
}

constexpr uint32_t kIrVersion = make_tag(1, WireType::kVarint);
constexpr uint32_t kOpsetDomain = make_tag(1, WireType::kLength);
constexpr uint32_t kOpsetVersion = make_tag(2, WireType::kVarint);
constexpr uint32_t kTensorName = make_tag(8, WireType::kLength);
constexpr uint32_t kTensorExternalData = make_tag(13, WireType::kLength);
constexpr uint32_t kTensorDataLocation = make_tag(14, WireType::kVarint);
constexpr uint32_t kEntryKey = make_tag(1, WireType::kLength);
constexpr uint32_t kEntryValue = make_tag(2, WireType::kLength);
constexpr uint64_t kExternal = 1;

Status corrupt(std::string reason) { return {Code::kDataLoss, std::move(reason)}; }

class FactsReader {
 public:
  explicit FactsReader(ByteSpan model) : model_(model) {}

  Result<OnnxFacts> read() {
    // A loop over the open messages, not recursion: the file chooses the depth.
    std::vector<Frame> open;
    open.push_back({Kind::kModel, ProtobufReader(model_)});
    while (!open.empty()) {
      Frame& top = open.back();
      if (top.reader.at_end()) {
        open.pop_back();
        continue;
      }
      Frame inner{Kind::kNone, ProtobufReader({})};
      Status status = read_field(&top, &inner);
      if (!status.ok()) return status;
      if (inner.kind == Kind::kNone) continue;
      if (open.size() >= kMaxDepth) {
        return corrupt("graphs are nested deeper than " + std::to_string(kMaxDepth) + " messages");
      }
      open.push_back(inner);
    }
    return std::move(facts_);
  }

 private:
  struct Frame {
    Kind kind;
    ProtobufReader reader;
  };

  // Reads on in `frame` until a message to go into, which comes back in `inner`, or its end.
  Status read_field(Frame* frame, Frame* inner) {
    // A copy that stays in registers: a tree's nodes are millions of fields to step over.
    ProtobufReader reader = frame->reader;
    while (!reader.at_end()) {
      uint32_t tag = 0;
      if (!reader.read_tag(&tag)) return malformed(reader);
      const bool is_bytes = static_cast<WireType>(tag & 7) == WireType::kLength;
      const Kind kind = is_bytes ? child(frame->kind, tag >> 3) : Kind::kNone;
      if (kind == Kind::kNone) {
        const bool is_version = frame->kind == Kind::kModel && tag == kIrVersion;
        if (!(is_version ? read_ir_version(&reader) : skip(&reader, tag))) return malformed(reader);
        continue;
      }
      ByteSpan bytes;
      if (!reader.read_bytes(&bytes)) return malformed(reader);
      if (kind == Kind::kOpset || kind == Kind::kInitializer || kind == Kind::kTensor) {
        Status status = kind == Kind::kOpset
                            ? read_opset(ProtobufReader(bytes))
                            : read_tensor(ProtobufReader(bytes), kind == Kind::kInitializer);
        if (!status.ok()) return status;
        continue;
      }
      if (kind == Kind::kNode) ++facts_.node_count;
      *inner = {kind, ProtobufReader(bytes)};
      break;
    }
    frame->reader = reader;
    return {};
  }

  static bool skip(ProtobufReader* reader, uint32_t tag) {
    switch (static_cast<WireType>(tag & 7)) {
      case WireType::kVarint: {
        uint64_t ignored;
        return reader->read_varint(&ignored);
      }
      case WireType::kLength: {
        ByteSpan ignored;
        return reader->read_bytes(&ignored);
      }
      case WireType::kFixed32: {
        uint32_t ignored;
        return reader->read_fixed(&ignored);
      }
      default:
        return reader->skip_field(tag, wire::kMaxNesting);
    }
  }

  bool read_ir_version(ProtobufReader* reader) {
    uint64_t version = 0;
    if (!reader->read_varint(&version)) return false;
    facts_.ir_version = static_cast<int64_t>(version);
    return true;
  }

  Status read_opset(ProtobufReader reader) {
    std::pair<std::string, int64_t> opset;
    while (!reader.at_end()) {
      uint32_t tag = 0;
      if (!reader.read_tag(&tag)) return malformed(reader);
      if (tag == kOpsetVersion) {
        uint64_t version = 0;
        if (!reader.read_varint(&version)) return malformed(reader);
        opset.second = static_cast<int64_t>(version);
      } else if (tag == kOpsetDomain) {
        Status status = read_text(&reader, "the domain of an opset", &opset.first);
        if (!status.ok()) return status;
      } else if (!reader.skip_field(tag, wire::kMaxNesting)) {
        return malformed(reader);
      }
    }
    if (facts_.opsets.size() >= kMaxOpsets) {
      return corrupt("more than " + std::to_string(kMaxOpsets) + " opsets are imported");
    }
    facts_.opsets.push_back(std::move(opset));
    return {};
  }

  Status read_tensor(ProtobufReader reader, bool is_initializer) {
    ExternalTensor tensor;
    tensor.is_initializer = is_initializer;
    bool is_external = false;
    ByteSpan name;
    while (!reader.at_end()) {
      uint32_t tag = 0;
      if (!reader.read_tag(&tag)) return malformed(reader);
      if (tag == kTensorName) {
        if (!reader.read_bytes(&name)) return malformed(reader);
      } else if (tag == kTensorDataLocation) {
        uint64_t place = 0;
        if (!reader.read_varint(&place)) return malformed(reader);
        is_external |= place == kExternal;
      } else if (tag == kTensorExternalData) {
        ByteSpan entry;
        if (!reader.read_bytes(&entry)) return malformed(reader);
        is_external = true;
        Status status = read_entry(ProtobufReader(entry), &tensor);
        if (!status.ok()) return status;
      } else if (!reader.skip_field(tag, wire::kMaxNesting)) {
        return malformed(reader);
      }
    }
    if (!is_external) return {};
    if (facts_.external.size() >= kMaxExternal) {
      return corrupt("more than " + std::to_string(kMaxExternal) +
                     " tensors keep their data elsewhere");
    }
    tensor.name = as_text(name.first(std::min(name.size(), kMaxNameBytes)));
    facts_.external.push_back(std::move(tensor));
    return {};
  }

  Status read_entry(ProtobufReader reader, ExternalTensor* tensor) {
    std::pair<std::string, std::string> entry;
    while (!reader.at_end()) {
      uint32_t tag = 0;
      if (!reader.read_tag(&tag)) return malformed(reader);
      if (tag == kEntryKey || tag == kEntryValue) {
        Status status = read_text(&reader, "an entry of external data",
                                  tag == kEntryKey ? &entry.first : &entry.second);
        if (!status.ok()) return status;
      } else if (!reader.skip_field(tag, wire::kMaxNesting)) {
        return malformed(reader);
      }
    }
    if (tensor->entries.size() >= kMaxEntries) {
      return corrupt("a tensor has more than " + std::to_string(kMaxEntries) +
                     " entries of external data");
    }
    tensor->entries.push_back(std::move(entry));
    return {};
  }

  Status read_text(ProtobufReader* reader, std::string_view what, std::string* text) {
    std::string_view view;
    if (!reader->read_string(&view)) return malformed(*reader);
    if (view.size() > kMaxTextBytes) {
      return corrupt(std::string(what) + " has " + std::to_string(view.size()) +
                     " bytes, more than the limit of " + std::to_string(kMaxTextBytes));
    }
    *text = view;
    return {};
  }

  Status malformed(const ProtobufReader& reader) const {
    const auto* begin = reinterpret_cast<const uint8_t*>(model_.data());
    return corrupt(
        "truncated or not an ONNX file: " + std::string(wire::wire_error_text(reader.error())) +
        " (at byte " + std::to_string(reader.position() - begin) + ")");
  }

  const ByteSpan model_;
  OnnxFacts facts_;
};

}  // namespace

Result<OnnxFacts> read_onnx_facts(ByteSpan model) {
  if (as_text(model).substr(0, 8).ends_with(kOrtFormat) && model.size() >= 8) {
    return Status{Code::kUnimplemented,
                  "the file is in ONNX Runtime's own format (.ort): serve the .onnx file that it "
                  "was made from"};
  }
  return FactsReader(model).read();
}

}  // namespace fastserve::runtime
