// ONNX Runtime behind its C API: the library, one session per model version, and the scratch that
// one thread needs to run it. The only place in the tree that knows ONNX Runtime.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/runtime/signature.h"
#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"

namespace fastserve::runtime {

// The loaded libonnxruntime and its environment. One per process; never unloaded while a session
// lives (sessions share it).
class Library {
 public:
  // `path`: the wheel's libonnxruntime.so.*. kFailedPrecondition when it cannot be opened or is
  // older than the C API version that we call, saying which version was found and needed.
  static Result<std::shared_ptr<Library>> open(const std::string& path);
  virtual ~Library() = default;
  virtual std::string version() const = 0;
  virtual std::vector<std::string> available_providers() const = 0;
};

struct ProviderOptions {
  std::string name;  // "CPUExecutionProvider", "XNNPACK", "CUDAExecutionProvider", ...
  std::vector<std::pair<std::string, std::string>> options;
};

struct SessionOptions {
  int intra_op_threads = 1;  // 1: runs on the calling thread alone
  int inter_op_threads = 1;
  bool allow_spinning = false;
  // Chosen by csrc/bench/runtime_bench.cc --memory, batches of 1..32 rows of a convolutional net in
  // any order: resident at the end 146 MB, against 191 with patterns and 131-199 without the arena,
  // and no slower than any (page faults cost the arena's absence 10 %); an mlp and trees show no
  // difference. Patterns plan one block per shape, which costs memory where the rows of batches
  // vary.
  bool cpu_arena = true;
  bool memory_pattern = false;
  int optimization_level = 99;             // 0 off, 1 basic, 2 extended, 99 all
  std::vector<ProviderOptions> providers;  // tried in order; CPU is always last
  std::vector<std::pair<std::string, std::string>> config_entries;
};

// A file in which the model keeps data of its tensors, named as the model names it.
struct ExternalFile {
  std::string name;
  ByteSpan data;
};

// An input for one run. BYTES data is in wire form (4-byte little-endian length, bytes, ...),
// checked by the caller. `data` is aligned to the element size, at least.
struct RunInput {
  ByteSpan data;
  Shape shape;
};

// An output of the last run. BYTES data is in wire form. Valid until the next run of the same
// Runner or its end.
struct RunOutput {
  DType dtype = DType::kInvalid;
  Shape shape;
  ByteSpan data;
  bool present = false;  // false: not asked for, or an optional output that the graph left out
};

class Session;

// One thread's scratch for running a session: cached values, output buffers, string conversion.
// Thread: one at a time. Holds a reference to its session.
class Runner {
 public:
  virtual ~Runner() = default;
  // `inputs` in the signature's order. `wanted[i]` selects output i; only selected outputs are
  // computed and filled in `outputs` (size = signature outputs). Errors: kInternal with ONNX
  // Runtime's own message; kCancelled after terminate().
  virtual Status run(std::span<const RunInput> inputs, std::span<const bool> wanted,
                     std::span<RunOutput> outputs) = 0;
  // Thread: any. Makes a run in progress return kCancelled at the next operator; no effect when
  // idle.
  virtual void terminate() = 0;
};

// One model version, ready to run. Thread: any number of Runners at once.
class Session {
 public:
  // Reads nothing from disk: `model` are the file's bytes and `external` the files that its
  // initializers name (see onnx_facts.h), both only needed during the call. Errors:
  // kInvalidArgument (not ONNX, truncated, unknown opset; the message keeps ONNX Runtime's reason),
  // kUnimplemented (an input or output that is not a dense tensor of a type the protocol can name;
  // says its name and type).
  static Result<std::shared_ptr<Session>> create(std::shared_ptr<Library> library, ByteSpan model,
                                                 const SessionOptions& options,
                                                 const std::string& log_id,
                                                 std::span<const ExternalFile> external = {});
  virtual ~Session() = default;
  virtual const Signature& signature() const = 0;
  virtual const ModelMetadata& metadata() const = 0;
  virtual std::unique_ptr<Runner> make_runner() = 0;
};

}  // namespace fastserve::runtime
