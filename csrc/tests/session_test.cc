#include "fastserve/runtime/session.h"

#include <algorithm>
#include <tuple>

#include "test_model.h"

using namespace fastserve;
using namespace fastserve::runtime;
using namespace fastserve::runtime::testing;

namespace {

Status load_error(const std::string& name) {
  Result<std::shared_ptr<Session>> loaded = load(name);
  REQUIRE_FALSE(loaded.ok());
  return loaded.status();
}

bool contains(const Status& status, std::string_view text) {
  return status.message().find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("library reports its version and the CPU provider") {
  CHECK(library()->version().starts_with("1."));
  bool has_cpu = false;
  for (const std::string& name : library()->available_providers()) {
    has_cpu |= name == "CPUExecutionProvider";
  }
  CHECK(has_cpu);
}

TEST_CASE("library refuses a path that is not ONNX Runtime, naming it") {
  for (const char* path : {"/nowhere/libonnxruntime.so", "libm.so.6"}) {
    Result<std::shared_ptr<Library>> opened = Library::open(path);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.status().code() == Code::kFailedPrecondition);
    CHECK(contains(opened.status(), path));
    CHECK(contains(opened.status(), "pip install"));
  }
}

TEST_CASE("session reads names, types, dimensions and symbols") {
  TestModel model("mlp");
  const Signature& signature = model.session->signature();
  REQUIRE(signature.inputs.size() == 1);
  CHECK(signature.inputs[0].name == "x");
  CHECK(signature.inputs[0].dtype == DType::kFp32);
  CHECK(signature.inputs[0].shape == Shape{kDynamic, 4});
  CHECK(signature.inputs[0].symbols == std::vector<std::string>{"rows", ""});
  REQUIRE(signature.outputs.size() == 2);
  CHECK(signature.outputs[0].name == "probability");
  CHECK(signature.outputs[0].shape == Shape{kDynamic, 3});
  CHECK(signature.outputs[1].name == "label");
  CHECK(signature.outputs[1].dtype == DType::kInt64);
  CHECK(signature.outputs[1].shape == Shape{kDynamic});

  CHECK(TestModel("fixed_batch").session->signature().inputs[0].shape == Shape{8, 2});
  CHECK(TestModel("scalar").session->signature().inputs[1].shape == Shape{});
  TestModel unnamed("unnamed_axis");
  CHECK(unnamed.session->signature().inputs[0].shape == Shape{kDynamic, 2});
}

TEST_CASE("session reads what the file says about itself") {
  TestModel model("mlp");
  const ModelMetadata& metadata = model.session->metadata();
  CHECK(metadata.producer == "fastserve-tests");
  CHECK(metadata.graph_name == "tiny mlp");
  CHECK(metadata.domain == "org.example");
  CHECK(metadata.description == "four numbers to three classes");
  CHECK(metadata.version == 42);
  auto custom = metadata.custom;
  std::sort(custom.begin(), custom.end());
  CHECK(custom == std::vector<std::pair<std::string, std::string>>{{"author", "nobody"},
                                                                   {"trained", "never"}});
}

TEST_CASE("session maps every element type of the protocol") {
  const std::pair<const char*, DType> kinds[] = {
      {"bool", DType::kBool},     {"uint8", DType::kUint8},   {"uint16", DType::kUint16},
      {"uint32", DType::kUint32}, {"uint64", DType::kUint64}, {"int8", DType::kInt8},
      {"int16", DType::kInt16},   {"int32", DType::kInt32},   {"int64", DType::kInt64},
      {"fp16", DType::kFp16},     {"bf16", DType::kBf16},     {"fp32", DType::kFp32},
      {"fp64", DType::kFp64},     {"bytes", DType::kBytes}};
  for (const auto& [kind, dtype] : kinds) {
    const std::string name = kind;  // clang 14 captures no structured binding
    CAPTURE(name);
    TestModel model("identity_" + name);
    CHECK(model.session->signature().inputs[0].dtype == dtype);
    CHECK(model.session->signature().outputs[0].dtype == dtype);
  }
}

TEST_CASE("session refuses what is not a dense tensor of a protocol type, by name and type") {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"sequence_output", "output 'y'", "sequence"},
      {"sequence_input", "input 'x'", "sequence"},
      {"zipmap", "output 'y'", "sequence"},
      {"float8_output", "output 'y'", "float8e4m3fn"},
      {"int4_output", "output 'y'", "int4"}};
  for (const auto& [file, tensor, type] : cases) {
    const std::string name = file;
    CAPTURE(name);
    Status status = load_error(name);
    CHECK(status.code() == Code::kUnimplemented);
    CHECK(contains(status, tensor));
    CHECK(contains(status, type));
  }
}

TEST_CASE("session refuses files that are no model with a reason in one line") {
  for (const std::string name :
       {"empty", "truncated", "not_onnx", "opset_99", "unknown_operator"}) {
    CAPTURE(std::string(name));
    Status status = load_error(name);
    CHECK(status.code() == Code::kInvalidArgument);
    CHECK(status.message().find('\n') == std::string::npos);
    CHECK(status.message().size() > 20);
  }
  CHECK(contains(load_error("opset_99"), "99"));
  CHECK(contains(load_error("unknown_operator"), "Frobnicate"));
}

TEST_CASE("session refuses or fully reads every truncation of a model") {
  std::string whole = read_model("mlp");
  for (size_t length = 0; length < whole.size(); ++length) {
    Result<std::shared_ptr<Session>> loaded = Session::create(
        library(), as_bytes(std::string_view(whole).substr(0, length)), {}, "truncated");
    // A file cut between the fields behind its graph is a model still.
    if (loaded.ok()) {
      CHECK(length > whole.size() * 3 / 4);
      CHECK((*loaded)->signature().outputs.size() == 2);
    }
  }
}

TEST_CASE("session does not need the model's bytes after it was made") {
  std::string bytes = read_model("mlp");
  Result<std::shared_ptr<Session>> loaded = Session::create(library(), as_bytes(bytes), {}, "mlp");
  REQUIRE(loaded.ok());
  std::fill(bytes.begin(), bytes.end(), '\xa5');
  std::vector<float> x(4, 0.5F);
  RunInput input{{reinterpret_cast<const std::byte*>(x.data()), 16}, Shape{1, 4}};
  const bool wanted[] = {true, true};
  std::vector<RunOutput> outputs(2);
  CHECK((*loaded)->make_runner()->run({&input, 1}, wanted, outputs).ok());
}

TEST_CASE("session refuses an execution provider that is not there, naming those that are") {
  SessionOptions options;
  options.providers.push_back({"QNNExecutionProvider", {}});
  Result<std::shared_ptr<Session>> loaded = load("mlp", options);
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.status().code() == Code::kFailedPrecondition);
  CHECK(contains(loaded.status(), "QNNExecutionProvider"));
  CHECK(contains(loaded.status(), "CPUExecutionProvider"));

  options.providers = {{"CPUExecutionProvider", {}}};
  CHECK(load("mlp", options).ok());
}

TEST_CASE("session takes every option and config entries") {
  SessionOptions options;
  options.intra_op_threads = 2;
  options.inter_op_threads = 2;
  options.allow_spinning = true;
  options.cpu_arena = false;
  options.memory_pattern = false;
  options.optimization_level = 0;
  options.config_entries = {{"session.set_denormal_as_zero", "1"}};
  TestModel model("mlp", options);
  CHECK(model.feed<float>({1, 4}, {1, 2, 3, 4}).run().ok());
  options.config_entries = {{"", "no key"}};
  CHECK_FALSE(load("mlp", options).ok());
}

TEST_CASE("session takes external data from memory and does not need it after it was made") {
  std::string bytes = read_model("external");
  std::string data = read_model("external", ".bin");
  const std::vector<ExternalFile> files = {{"external.bin", as_bytes(data)}};
  Result<std::shared_ptr<Session>> loaded =
      Session::create(library(), as_bytes(bytes), {}, "external", files);
  REQUIRE_MESSAGE(loaded.ok(), (loaded.ok() ? "" : loaded.status().message()));
  std::fill(data.begin(), data.end(), '\xa5');
  std::vector<float> x(4, 0.5F);
  TestModel whole("mlp");
  REQUIRE(whole.feed(Shape{1, 4}, x).run().ok());
  RunInput input{{reinterpret_cast<const std::byte*>(x.data()), 16}, Shape{1, 4}};
  const bool wanted[] = {true, true};
  std::vector<RunOutput> outputs(2);
  auto runner = (*loaded)->make_runner();
  REQUIRE(runner->run({&input, 1}, wanted, outputs).ok());
  CHECK(as_text(outputs[0].data) == as_text(whole.outputs[0].data));
}

TEST_CASE("session refuses external data that is missing or too short, naming it") {
  const std::string bytes = read_model("external");
  const std::string data = read_model("external", ".bin");
  for (const ExternalFile& file : {ExternalFile{"another.bin", as_bytes(data)},
                                   ExternalFile{"external.bin", as_bytes(data).first(100)}}) {
    Result<std::shared_ptr<Session>> loaded =
        Session::create(library(), as_bytes(bytes), {}, "external", {&file, 1});
    REQUIRE_FALSE(loaded.ok());
    CHECK(contains(loaded.status(), file.name == "another.bin" ? "external.bin" : "w2"));
  }
}
