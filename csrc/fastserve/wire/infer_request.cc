#include "fastserve/wire/infer_request.h"

#include <string>

#include "fastserve/wire/protobuf_reader.h"

namespace fastserve::wire {
namespace {

constexpr uint32_t length_tag(uint32_t field) { return make_tag(field, WireType::kLength); }
constexpr uint32_t varint_tag(uint32_t field) { return make_tag(field, WireType::kVarint); }

// Levels that may open inside a message which is itself nested this deep.
constexpr int kInMessage = kMaxNesting;
constexpr int kInTensor = kMaxNesting - 1;

// Fields of the messages, by tag. The numbers are those of proto/open_inference_grpc.proto.
namespace request_field {
constexpr uint32_t kModelName = length_tag(1);
constexpr uint32_t kModelVersion = length_tag(2);
constexpr uint32_t kId = length_tag(3);
constexpr uint32_t kParameters = length_tag(4);
constexpr uint32_t kInputs = length_tag(5);
constexpr uint32_t kOutputs = length_tag(6);
constexpr uint32_t kRawInputContents = length_tag(7);
}  // namespace request_field

namespace input_field {
constexpr uint32_t kName = length_tag(1);
constexpr uint32_t kDatatype = length_tag(2);
constexpr uint32_t kShapePacked = length_tag(3);
constexpr uint32_t kShape = varint_tag(3);
constexpr uint32_t kParameters = length_tag(4);
constexpr uint32_t kContents = length_tag(5);
}  // namespace input_field

namespace requested_output_field {
constexpr uint32_t kName = length_tag(1);
constexpr uint32_t kParameters = length_tag(2);
}  // namespace requested_output_field

namespace entry_field {
constexpr uint32_t kKey = length_tag(1);
constexpr uint32_t kValue = length_tag(2);
}  // namespace entry_field

namespace parameter_field {
constexpr uint32_t kBool = varint_tag(1);
constexpr uint32_t kInt64 = varint_tag(2);
constexpr uint32_t kString = length_tag(3);
constexpr uint32_t kDouble = make_tag(4, WireType::kFixed64);
constexpr uint32_t kUint64 = varint_tag(5);
}  // namespace parameter_field

// One parse. Functions return false at the first fault, which status() then describes.
class Parser {
 public:
  Parser(ByteSpan message, const RequestLimits& limits, InferRequestView* view)
      : message_(message), limits_(limits), view_(*view) {}

  bool parse();
  Status status() const;

 private:
  bool parse_input(ByteSpan bytes);
  bool parse_output(ByteSpan bytes);
  bool parse_shape(ByteSpan packed, InputView* input);
  bool parse_entry(ByteSpan bytes, int nesting, bool* has_unknown);
  bool parse_value(ByteSpan bytes, int nesting, Parameter* parameter);
  bool add_parameter(ByteSpan bytes, int nesting, ParameterRange* range);
  bool add_contents(ByteSpan bytes, InputView* input);
  bool gather_scattered_parameters();

  [[gnu::cold]] bool malformed(const ProtobufReader& reader, const char* where) {
    error_ = reader.error();
    where_ = where;
    at_ =
        static_cast<size_t>(reader.position() - reinterpret_cast<const uint8_t*>(message_.data()));
    return false;
  }
  [[gnu::cold]] bool over_limit(const char* what, uint32_t limit) {
    where_ = what;
    limit_ = limit;
    return false;
  }

  const ByteSpan message_;
  const RequestLimits& limits_;
  InferRequestView& view_;
  // Request-level parameters that stand between tensors' own do not form one run in the pool.
  bool is_scattered_ = false;

  WireError error_ = WireError::kNone;
  const char* where_ = "";
  size_t at_ = 0;
  uint32_t limit_ = 0;
};

Status Parser::status() const {
  if (error_ == WireError::kNone) {
    return invalid_argument("ModelInferRequest has too many " + std::string(where_) + ": at most " +
                            std::to_string(limit_) + " are taken");
  }
  return invalid_argument("malformed ModelInferRequest: " + std::string(wire_error_text(error_)) +
                          ", in " + where_ + ", before byte " + std::to_string(at_) + " of " +
                          std::to_string(message_.size()));
}

bool Parser::parse() {
  ProtobufReader reader(message_);
  while (!reader.at_end()) {
    uint32_t tag;
    ByteSpan bytes;
    if (!reader.read_tag(&tag)) return malformed(reader, "the request");
    switch (tag) {
      case request_field::kModelName:
        if (!reader.read_string(&view_.model_name)) return malformed(reader, "model_name");
        break;
      case request_field::kModelVersion:
        if (!reader.read_string(&view_.model_version)) return malformed(reader, "model_version");
        break;
      case request_field::kId:
        if (!reader.read_string(&view_.id)) return malformed(reader, "id");
        break;
      case request_field::kParameters:
        if (!reader.read_bytes(&bytes)) return malformed(reader, "parameters");
        is_scattered_ |=
            view_.parameters.count != 0 &&
            view_.parameters.begin + view_.parameters.count != view_.parameters_pool.size();
        if (!add_parameter(bytes, kInMessage - 1, &view_.parameters)) return false;
        break;
      case request_field::kInputs:
        if (!reader.read_bytes(&bytes)) return malformed(reader, "inputs");
        if (!parse_input(bytes)) return false;
        break;
      case request_field::kOutputs:
        if (!reader.read_bytes(&bytes)) return malformed(reader, "outputs");
        if (!parse_output(bytes)) return false;
        break;
      case request_field::kRawInputContents:
        if (!reader.read_bytes(&bytes)) return malformed(reader, "raw_input_contents");
        if (view_.raw_inputs.size() >= limits_.max_inputs) [[unlikely]] {
          return over_limit("raw_input_contents", limits_.max_inputs);
        }
        view_.raw_inputs.push_back(bytes);
        break;
      default:
        if (!reader.skip_field(tag, kInMessage)) return malformed(reader, "an unknown field");
    }
  }
  return !is_scattered_ || gather_scattered_parameters();
}

bool Parser::parse_input(ByteSpan message) {
  if (view_.inputs.size() >= limits_.max_inputs) [[unlikely]] {
    return over_limit("inputs", limits_.max_inputs);
  }
  InputView& input = view_.inputs.emplace_back();
  ProtobufReader reader(message);
  while (!reader.at_end()) {
    uint32_t tag;
    uint64_t value;
    ByteSpan bytes;
    if (!reader.read_tag(&tag)) return malformed(reader, "inputs");
    switch (tag) {
      case input_field::kName:
        if (!reader.read_string(&input.name)) return malformed(reader, "inputs.name");
        break;
      case input_field::kDatatype:
        if (!reader.read_string(&input.datatype)) return malformed(reader, "inputs.datatype");
        input.dtype = dtype_from_name(input.datatype);
        break;
      case input_field::kShapePacked:
        if (!reader.read_bytes(&bytes)) return malformed(reader, "inputs.shape");
        if (!parse_shape(bytes, &input)) return false;
        break;
      case input_field::kShape:
        if (!reader.read_varint(&value)) return malformed(reader, "inputs.shape");
        if (input.shape.full()) {
          input.rank_too_large = true;
        } else {
          input.shape.push_back(static_cast<int64_t>(value));
        }
        break;
      case input_field::kParameters:
        if (!reader.read_bytes(&bytes)) return malformed(reader, "inputs.parameters");
        if (!add_parameter(bytes, kInTensor - 1, &input.parameters)) return false;
        break;
      case input_field::kContents:
        if (!reader.read_bytes(&bytes)) return malformed(reader, "inputs.contents");
        if (!add_contents(bytes, &input)) return false;
        break;
      default:
        if (!reader.skip_field(tag, kInTensor)) {
          return malformed(reader, "an unknown field of inputs");
        }
    }
  }
  return true;
}

bool Parser::parse_shape(ByteSpan packed, InputView* input) {
  ProtobufReader reader(packed);
  while (!reader.at_end()) {
    uint64_t value;
    if (!reader.read_varint(&value)) return malformed(reader, "inputs.shape");
    if (input->shape.full()) {
      input->rank_too_large = true;
    } else {
      input->shape.push_back(static_cast<int64_t>(value));
    }
  }
  return true;
}

bool Parser::parse_output(ByteSpan message) {
  if (view_.outputs.size() >= limits_.max_outputs) [[unlikely]] {
    return over_limit("outputs", limits_.max_outputs);
  }
  OutputView& output = view_.outputs.emplace_back();
  ProtobufReader reader(message);
  while (!reader.at_end()) {
    uint32_t tag;
    ByteSpan bytes;
    if (!reader.read_tag(&tag)) return malformed(reader, "outputs");
    switch (tag) {
      case requested_output_field::kName:
        if (!reader.read_string(&output.name)) return malformed(reader, "outputs.name");
        break;
      case requested_output_field::kParameters:
        if (!reader.read_bytes(&bytes)) return malformed(reader, "outputs.parameters");
        if (!add_parameter(bytes, kInTensor - 1, &output.parameters)) return false;
        break;
      default:
        if (!reader.skip_field(tag, kInTensor)) {
          return malformed(reader, "an unknown field of outputs");
        }
    }
  }
  return true;
}

// A request's `contents` may come in parts, which merge: repeated fields append.
bool Parser::add_contents(ByteSpan bytes, InputView* input) {
  input->has_contents = true;
  if (bytes.empty()) return true;
  if (view_.contents_pool.size() >= limits_.max_contents_parts) [[unlikely]] {
    return over_limit("parts of inputs.contents", limits_.max_contents_parts);
  }
  if (input->contents_count == 0) {
    input->contents_begin = static_cast<uint32_t>(view_.contents_pool.size());
  }
  ++input->contents_count;
  view_.contents_pool.push_back(bytes);
  return true;
}

bool Parser::add_parameter(ByteSpan bytes, int nesting, ParameterRange* range) {
  if (range->count >= limits_.max_parameters) [[unlikely]] {
    return over_limit("parameters", limits_.max_parameters);
  }
  if (range->count == 0) range->begin = static_cast<uint32_t>(view_.parameters_pool.size());
  bool has_unknown = false;
  if (!parse_entry(bytes, nesting, &has_unknown)) return false;
  if (has_unknown) [[unlikely]] {
    view_.parameters_pool.pop_back();
  } else {
    ++range->count;
  }
  return true;
}

// A map's entry: a message of key and value, either of which may be missing or come twice. An entry
// with any other field is unknown as a whole, as in upb.
bool Parser::parse_entry(ByteSpan message, int nesting, bool* has_unknown) {
  Parameter& parameter = view_.parameters_pool.emplace_back();
  ProtobufReader reader(message);
  while (!reader.at_end()) {
    uint32_t tag;
    ByteSpan bytes;
    if (!reader.read_tag(&tag)) return malformed(reader, "parameters");
    switch (tag) {
      case entry_field::kKey:
        if (!reader.read_string(&parameter.key)) return malformed(reader, "a parameter's name");
        break;
      case entry_field::kValue:
        if (!reader.read_bytes(&bytes)) return malformed(reader, "a parameter's value");
        if (!parse_value(bytes, nesting - 1, &parameter)) return false;
        break;
      default:
        if (!reader.skip_field(tag, nesting)) {
          return malformed(reader, "an unknown field of parameters");
        }
        *has_unknown = true;
    }
  }
  return true;
}

// One choice of several: the last one that occurs is the value.
bool Parser::parse_value(ByteSpan message, int nesting, Parameter* parameter) {
  using Kind = Parameter::Kind;
  ProtobufReader reader(message);
  while (!reader.at_end()) {
    uint32_t tag;
    uint64_t value;
    if (!reader.read_tag(&tag)) return malformed(reader, "a parameter's value");
    switch (tag) {
      case parameter_field::kBool:
        if (!reader.read_varint(&value)) return malformed(reader, "bool_param");
        parameter->kind = Kind::kBool;
        parameter->as_bool = value != 0;
        break;
      case parameter_field::kInt64:
        if (!reader.read_varint(&value)) return malformed(reader, "int64_param");
        parameter->kind = Kind::kInt64;
        parameter->as_int64 = static_cast<int64_t>(value);
        break;
      case parameter_field::kString:
        if (!reader.read_string(&parameter->as_string)) return malformed(reader, "string_param");
        parameter->kind = Kind::kString;
        break;
      case parameter_field::kDouble:
        if (!reader.read_fixed(&parameter->as_double)) return malformed(reader, "double_param");
        parameter->kind = Kind::kDouble;
        break;
      case parameter_field::kUint64:
        if (!reader.read_varint(&value)) return malformed(reader, "uint64_param");
        parameter->kind = Kind::kUint64;
        parameter->as_uint64 = value;
        break;
      default:
        if (!reader.skip_field(tag, nesting)) {
          return malformed(reader, "an unknown field of a parameter");
        }
    }
  }
  return true;
}

// Reads the request's own parameters once more, into one run at the pool's end. No known client
// interleaves them with tensors; protobuf allows it.
bool Parser::gather_scattered_parameters() {
  ParameterRange gathered;
  ProtobufReader reader(message_);
  while (!reader.at_end()) {
    uint32_t tag;
    ByteSpan bytes;
    if (!reader.read_tag(&tag)) return malformed(reader, "the request");
    if (tag != request_field::kParameters) {
      if (!reader.skip_field(tag, kInMessage)) return malformed(reader, "an unknown field");
    } else {
      if (!reader.read_bytes(&bytes)) return malformed(reader, "parameters");
      if (!add_parameter(bytes, kInMessage - 1, &gathered)) return false;
    }
  }
  view_.parameters = gathered;
  return true;
}

// Keeps what ordinary requests need, gives back what an unusual one has claimed.
template <typename T>
void clear_keeping_some(std::vector<T>* items) {
  constexpr size_t kKeptBytes = 256 * 1024;
  items->clear();
  if (items->capacity() * sizeof(T) > kKeptBytes) [[unlikely]] {
    items->shrink_to_fit();
  }
}

}  // namespace

void InferRequestView::clear() {
  model_name = {};
  model_version = {};
  id = {};
  parameters = {};
  clear_keeping_some(&inputs);
  clear_keeping_some(&outputs);
  clear_keeping_some(&raw_inputs);
  clear_keeping_some(&parameters_pool);
  clear_keeping_some(&contents_pool);
}

Status parse_infer_request(ByteSpan message, const RequestLimits& limits, InferRequestView* view) {
  view->clear();
  Parser parser(message, limits, view);
  if (parser.parse()) [[likely]] {
    return ok_status();
  }
  return parser.status();
}

}  // namespace fastserve::wire
