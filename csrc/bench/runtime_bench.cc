// What a run costs on top of ONNX Runtime, and what its memory settings cost.
//
// Usage: runtime_bench LIBONNXRUNTIME MODEL.onnx [ROWS...]
//   For each number of rows: nanoseconds of Runner::run() against the bare C API, once with every
//   value made anew and once with the same values written in place (the floor), interleaved, median
//   of 21. Further dynamic axes count as 1. All inputs must be numbers.
// Usage: runtime_bench --memory LIBONNXRUNTIME MODEL.onnx MAX_ROWS RUNS
//   For each choice of arena and memory pattern, in a process of its own: resident memory after
//   load, its peak and its end after RUNS runs of 1..MAX_ROWS rows in a scrambled order, and the
//   time per row.

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/runtime/element_type.h"
#include "fastserve/runtime/ort_session.h"

namespace {

using namespace fastserve;
using namespace fastserve::runtime;

// Time of this thread on a core: a run with one intra-op thread stays on it, and neighbours on a
// shared machine count less than by the wall clock.
Nanos thread_now() {
  timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return static_cast<Nanos>(ts.tv_sec) * kSecond + ts.tv_nsec;
}

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "runtime_bench: %s\n", message.c_str());
  std::exit(1);
}

std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(std::string("cannot read ") + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Loaded {
  std::shared_ptr<OrtLibrary> library;
  std::shared_ptr<OrtSessionOwner> session;
};

Loaded load(const char* library_path, const char* model_path, const SessionOptions& options) {
  Result<std::shared_ptr<Library>> library = Library::open(library_path);
  if (!library.ok()) fail(library.status().message());
  std::string bytes = read_file(model_path);
  Result<std::shared_ptr<Session>> session =
      Session::create(*library, as_bytes(bytes), options, "bench");
  if (!session.ok()) fail(session.status().message());
  return {std::static_pointer_cast<OrtLibrary>(*library),
          std::static_pointer_cast<OrtSessionOwner>(*session)};
}

// Inputs of `rows` rows, all zero bytes but the first of each element of a float (a small number).
class Feed {
 public:
  Feed(const Signature& signature, int64_t rows) {
    for (const TensorSpec& spec : signature.inputs) {
      Shape shape = spec.shape;
      for (size_t axis = 0; axis < shape.rank(); ++axis) {
        if (shape[axis] == kDynamic) shape[axis] = axis == 0 ? rows : 1;
      }
      int64_t elements = 0;
      if (spec.dtype == DType::kBytes || !shape.element_count(&elements)) fail("unusable input");
      std::vector<std::byte>& data =
          memory_.emplace_back(static_cast<size_t>(elements) * dtype_size(spec.dtype));
      if (spec.dtype == DType::kFp32) {
        for (size_t i = 0; i < static_cast<size_t>(elements); ++i) {
          float value = static_cast<float>(i % 31) / 31;
          std::memcpy(data.data() + i * sizeof value, &value, sizeof value);
        }
      }
      inputs.push_back({data, shape});
    }
  }
  std::vector<RunInput> inputs;

 private:
  std::vector<std::vector<std::byte>> memory_;
};

void check(const OrtApi& api, OrtStatus* error) {
  if (error != nullptr) fail(api.GetErrorMessage(error));
}

// The same run by the bare C API.
class BareRun {
 public:
  BareRun(const Loaded& loaded, const Feed& feed) : loaded_(loaded), feed_(feed) {
    const Signature& signature = loaded.session->signature();
    for (const TensorSpec& spec : signature.inputs) input_names_.push_back(spec.name.c_str());
    for (const TensorSpec& spec : signature.outputs) output_names_.push_back(spec.name.c_str());
    inputs_.resize(input_names_.size());
    outputs_.resize(output_names_.size());
    for (size_t i = 0; i < inputs_.size(); ++i) inputs_[i] = make_input(i);
    run();  // leaves the outputs for run_in_place()
  }
  ~BareRun() {
    for (OrtValue* value : inputs_) api().ReleaseValue(value);
    for (OrtValue* value : outputs_) api().ReleaseValue(value);
  }
  void run_in_place() { run(); }
  void run_anew() {
    std::vector<OrtValue*> kept_inputs = inputs_;
    std::vector<OrtValue*> kept_outputs = outputs_;
    for (size_t i = 0; i < inputs_.size(); ++i) inputs_[i] = make_input(i);
    std::fill(outputs_.begin(), outputs_.end(), nullptr);
    run();
    for (OrtValue* output : outputs_) {
      void* data = nullptr;
      check(api(), api().GetTensorMutableData(output, &data));
      OrtTensorInfo* info = nullptr;
      check(api(), api().GetTensorTypeAndShape(output, &info));
      size_t rank = 0;
      int64_t dims[kMaxRank];
      check(api(), api().GetDimensionsCount(info, &rank));
      check(api(), api().GetDimensions(info, dims, rank));
      api().ReleaseTensorInfo(info);
      api().ReleaseValue(output);
    }
    for (OrtValue* input : inputs_) api().ReleaseValue(input);
    inputs_ = kept_inputs;
    outputs_ = kept_outputs;
  }

 private:
  const OrtApi& api() const { return loaded_.library->api(); }
  OrtValue* make_input(size_t i) const {
    const RunInput& input = feed_.inputs[i];
    OrtValue* value = nullptr;
    check(api(), api().CreateTensorWithDataAsOrtValue(
                     loaded_.library->cpu(), const_cast<std::byte*>(input.data.data()),
                     input.data.size(), input.shape.data(), input.shape.rank(),
                     element_from_dtype(loaded_.session->signature().inputs[i].dtype), &value));
    return value;
  }
  void run() {
    check(api(),
          api().Run(loaded_.session->get(), nullptr, input_names_.data(), inputs_.data(),
                    inputs_.size(), output_names_.data(), output_names_.size(), outputs_.data()));
  }

  const Loaded& loaded_;
  const Feed& feed_;
  std::vector<const char*> input_names_;
  std::vector<const char*> output_names_;
  std::vector<OrtValue*> inputs_;
  std::vector<OrtValue*> outputs_;
};

template <typename Work>
double time_ns(int calls, Work&& work) {
  Nanos start = thread_now();
  for (int i = 0; i < calls; ++i) work();
  return static_cast<double>(thread_now() - start) / calls;
}

double median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

int bench_overhead(char** arguments, int count) {
  Loaded loaded = load(arguments[0], arguments[1], {});
  std::vector<int64_t> row_counts;
  for (int i = 2; i < count; ++i) row_counts.push_back(std::atoll(arguments[i]));
  if (row_counts.empty()) row_counts = {1, 64};
  std::printf("%8s %14s %14s %14s %18s\n", "rows", "bare anew ns", "bare kept ns", "Runner ns",
              "Runner over kept");
  for (int64_t rows : row_counts) {
    Feed feed(loaded.session->signature(), rows);
    BareRun bare(loaded, feed);
    std::unique_ptr<Runner> runner = loaded.session->make_runner();
    std::vector<RunOutput> outputs(loaded.session->signature().outputs.size());
    auto wanted = std::make_unique<bool[]>(outputs.size());
    std::fill_n(wanted.get(), outputs.size(), true);
    auto run = [&] {
      Status status = runner->run(feed.inputs, {wanted.get(), outputs.size()}, outputs);
      if (!status.ok()) fail(status.message());
    };
    double once = time_ns(20, run);
    int calls = static_cast<int>(std::clamp(5e6 / once, 5.0, 5000.0));
    std::vector<double> anew, kept, ours, over;
    for (int repeat = 0; repeat < 21; ++repeat) {
      anew.push_back(time_ns(calls, [&] { bare.run_anew(); }));
      kept.push_back(time_ns(calls, [&] { bare.run_in_place(); }));
      ours.push_back(time_ns(calls, run));
      over.push_back(ours.back() - kept.back());
    }
    std::printf("%8lld %14.0f %14.0f %14.0f %18.0f\n", static_cast<long long>(rows), median(anew),
                median(kept), median(ours), median(over));
  }
  return 0;
}

// From /proc/self/status, in MB.
double resident_mb(const char* key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::atof(line.c_str() + std::strlen(key)) / 1024;
  }
  return 0;
}

void bench_memory_choice(char** arguments, bool cpu_arena, bool memory_pattern) {
  SessionOptions options;
  options.cpu_arena = cpu_arena;
  options.memory_pattern = memory_pattern;
  auto max_rows = static_cast<uint32_t>(std::atoi(arguments[2]));
  int runs = std::atoi(arguments[3]);
  Loaded loaded = load(arguments[0], arguments[1], options);
  double after_load = resident_mb("VmRSS:");
  std::unique_ptr<Runner> runner = loaded.session->make_runner();
  std::vector<RunOutput> outputs(loaded.session->signature().outputs.size());
  auto wanted = std::make_unique<bool[]>(outputs.size());
  std::fill_n(wanted.get(), outputs.size(), true);
  std::vector<Feed> feeds;
  for (uint32_t rows = 1; rows <= max_rows; ++rows) {
    feeds.emplace_back(loaded.session->signature(), rows);
  }
  uint32_t state = 1;
  Nanos spent = 0;
  uint64_t total_rows = 0;
  for (int i = 0; i < runs; ++i) {
    state = state * 1664525 + 1013904223;
    uint32_t rows = 1 + (state >> 16) % max_rows;
    Nanos start = thread_now();
    Status status = runner->run(feeds[rows - 1].inputs, {wanted.get(), outputs.size()}, outputs);
    spent += thread_now() - start;
    total_rows += rows;
    if (!status.ok()) fail(status.message());
  }
  std::printf("%-6s %-8s %12.1f %10.1f %10.1f %12.2f\n", cpu_arena ? "on" : "off",
              memory_pattern ? "on" : "off", after_load, resident_mb("VmHWM:"),
              resident_mb("VmRSS:"),
              static_cast<double>(spent) / 1e3 / static_cast<double>(total_rows));
}

int bench_memory(char** arguments) {
  std::printf("%-6s %-8s %12s %10s %10s %12s\n", "arena", "pattern", "loaded MB", "peak MB",
              "end MB", "us/row");
  for (int repeat = 0; repeat < 3; ++repeat) {
    for (bool cpu_arena : {true, false}) {
      for (bool memory_pattern : {true, false}) {
        std::fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
          bench_memory_choice(arguments, cpu_arena, memory_pattern);
          std::fflush(stdout);
          _exit(0);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) fail("a run failed");
      }
    }
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 6 && std::strcmp(arguments[1], "--memory") == 0) return bench_memory(arguments + 2);
  if (count >= 3) return bench_overhead(arguments + 1, count - 1);
  fail("usage: runtime_bench [--memory] LIBONNXRUNTIME MODEL.onnx [ROWS... | MAX_ROWS RUNS]");
}
