// The tiny models of csrc/tests/data, loaded and run.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "fastserve/runtime/session.h"

#ifndef FASTSERVE_TEST_DATA
#define FASTSERVE_TEST_DATA "csrc/tests/data"
#endif

namespace fastserve::runtime::testing {

// One for the whole test binary, as in a server.
inline std::shared_ptr<Library> library() {
  static std::shared_ptr<Library> opened = [] {
    const char* path = std::getenv("FASTSERVE_ORT_LIBRARY");
    REQUIRE_MESSAGE(
        path != nullptr,
        "set FASTSERVE_ORT_LIBRARY to the libonnxruntime.so.* in the onnxruntime wheel");
    Result<std::shared_ptr<Library>> result = Library::open(path);
    REQUIRE_MESSAGE(result.ok(), (result.ok() ? "" : result.status().message()));
    return *result;
  }();
  return opened;
}

inline std::string read_model(const std::string& name, const std::string& suffix = ".onnx") {
  std::string path = std::string(FASTSERVE_TEST_DATA) + "/" + name + suffix;
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), "no test model at " << path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// `external` is a file of the model's data beside it.
inline Result<std::shared_ptr<Session>> load(const std::string& name,
                                             const SessionOptions& options = {},
                                             const std::string& external = "") {
  std::string bytes = read_model(name);
  std::string data = external.empty() ? "" : read_model(external, "");
  const ExternalFile file = {external, as_bytes(data)};
  return Session::create(library(), as_bytes(bytes), options, name,
                         {&file, external.empty() ? size_t{0} : size_t{1}});
}

// A session with one runner and owned inputs.
class TestModel {
 public:
  explicit TestModel(const std::string& name, const SessionOptions& options = {},
                     const std::string& external = "") {
    Result<std::shared_ptr<Session>> loaded = load(name, options, external);
    REQUIRE_MESSAGE(loaded.ok(), (loaded.ok() ? "" : loaded.status().message()));
    session = *loaded;
    runner = session->make_runner();
    outputs.resize(session->signature().outputs.size());
  }

  // `data`'s elements as the next input.
  template <typename T>
  TestModel& feed(Shape shape, const std::vector<T>& data) {
    auto* first = reinterpret_cast<const std::byte*>(data.data());
    memory_.push_back(
        std::make_unique<std::vector<std::byte>>(first, first + data.size() * sizeof(T)));
    inputs.push_back({*memory_.back(), shape});
    return *this;
  }
  TestModel& feed_strings(Shape shape, const std::vector<std::string>& strings) {
    std::vector<char> wire;
    for (const std::string& one : strings) {
      auto length = static_cast<uint32_t>(one.size());
      auto* bytes = reinterpret_cast<const char*>(&length);
      wire.insert(wire.end(), bytes, bytes + sizeof length);
      wire.insert(wire.end(), one.begin(), one.end());
    }
    return feed(shape, wire);
  }

  // Runs what was fed, for every output (or those in `wanted`), and forgets the inputs.
  Status run(std::vector<bool> wanted = {}) {
    if (wanted.empty()) wanted.assign(outputs.size(), true);
    auto flags = std::make_unique<bool[]>(wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) flags[i] = wanted[i];
    Status status = runner->run(inputs, std::span<const bool>(flags.get(), wanted.size()), outputs);
    inputs.clear();
    memory_.clear();
    return status;
  }

  template <typename T>
  std::vector<T> values(size_t output = 0) const {
    ByteSpan data = outputs[output].data;
    std::vector<T> copy(data.size() / sizeof(T));
    if (!data.empty()) std::memcpy(copy.data(), data.data(), data.size());
    return copy;
  }
  std::vector<std::string> strings(size_t output = 0) const {
    std::vector<std::string> found;
    std::string_view rest = as_text(outputs[output].data);
    while (!rest.empty()) {
      uint32_t length;
      REQUIRE(rest.size() >= sizeof length);
      std::memcpy(&length, rest.data(), sizeof length);
      REQUIRE(rest.size() - sizeof length >= length);
      found.emplace_back(rest.substr(sizeof length, length));
      rest.remove_prefix(sizeof length + length);
    }
    return found;
  }

  std::shared_ptr<Session> session;
  std::unique_ptr<Runner> runner;
  std::vector<RunInput> inputs;
  std::vector<RunOutput> outputs;

 private:
  std::vector<std::unique_ptr<std::vector<std::byte>>> memory_;
};

}  // namespace fastserve::runtime::testing
