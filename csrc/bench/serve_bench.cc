// The whole request path without Python: one model behind the real transport, until its standard
// input closes. For h2load, for profilers, and for counting instructions (bench/instructions.py).
//
//   serve_bench LIBONNXRUNTIME MODEL.onnx MAX_ROWS [IO_THREADS [INLINE_US [POLL_US [RECORD
//   [WATCH [ROUTE]]]]]]
//
// RECORD, a share: so many calls are recorded for a span and a line of the access log, and thrown
// away by a thread of their own. WATCH, 1: every row is sketched. ROUTE, 1: a route chooses the
// version, by the header x-user.
//
// Prints the port on one line when it answers. The model's name is "mlp".
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/engine/engine.h"
#include "fastserve/engine/version_watch.h"
#include "fastserve/front/bridge.h"
#include "fastserve/front/call_log.h"
#include "fastserve/front/thread_front.h"
#include "fastserve/net/server.h"
#include "fastserve/route/route_table.h"
#include "fastserve/runtime/session.h"
#include "fastserve/sketch/table_schema.h"

namespace {

using namespace fastserve;

// Sketches of every input and output, as a version is watched where nothing says otherwise.
void watch(engine::Version& version) {
  std::vector<sketch::TensorColumns> tensors;
  auto add = [&](const runtime::TensorSpec& spec, bool is_input) {
    int64_t elements = 1;
    for (size_t axis = 1; axis < spec.shape.rank(); ++axis) elements *= spec.shape[axis];
    tensors.push_back(
        {.name = spec.name, .is_input = is_input, .dtype = spec.dtype, .elements = elements});
  };
  for (const auto& spec : version.wire().inputs) add(spec, true);
  for (const auto& spec : version.wire().outputs) add(spec, false);
  engine::WatchOptions options;
  options.schema = std::make_shared<const sketch::TableSchema>(
      sketch::TableSchema::make(std::move(tensors)).value());
  version.watch(engine::VersionWatch::make("mlp", 1, version.wire(), true, options).value(),
                nullptr);
}

std::shared_ptr<const route::RouteTable> sticky_route(size_t writers) {
  route::RouteSpec spec;
  spec.generation = 1;
  spec.entries = {{.version = 1, .weight = 1}};
  spec.sticky = {.source = route::StickyKey::Source::kHeader, .name = "x-user"};
  return route::RouteTable::make(std::move(spec), writers).value();
}

int fail(const Status& status) {
  std::fprintf(stderr, "%s\n", status.message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(
        stderr, "usage: serve_bench LIBONNXRUNTIME MODEL.onnx MAX_ROWS [IO_THREADS [BUDGET_US]]\n");
    return 2;
  }
  const int io_threads = argc > 4 ? std::atoi(argv[4]) : 1;
  const Nanos budget = (argc > 5 ? std::atoll(argv[5]) : 500) * kMicrosecond;

  auto library = runtime::Library::open(argv[1]);
  if (!library.ok()) return fail(library.status());
  std::ifstream file(argv[2], std::ios::binary);
  const std::string model((std::istreambuf_iterator<char>(file)), {});
  auto session = runtime::Session::create(*library, as_bytes(model), {}, "mlp");
  if (!session.ok()) return fail(session.status());

  engine::Engine engine({.executors = 1, .inline_budget = budget});
  engine::VersionConfig config;
  config.model = "mlp";
  config.is_batching = true;
  config.has_rows_axis = true;
  config.max_rows = static_cast<uint32_t>(std::atoi(argv[3]));
  engine::VersionHandle version = engine.make_version(config, *session).value();
  for (uint32_t rows = 1; rows <= config.max_rows; rows *= 2) {
    for (int i = 0; i < 20; ++i) {
      const auto ran = engine.warm_up(*version, rows);
      if (!ran.ok()) return fail(ran.status());
    }
  }
  if (argc > 8 && std::atoi(argv[8]) != 0) watch(*version);
  auto models = std::make_shared<engine::ModelSet>();
  engine::ModelEntry entry;
  entry.name = "mlp";
  entry.ready.push_back(version);
  entry.serving = version->config().number;
  if (argc > 9 && std::atoi(argv[9]) != 0) entry.route = sticky_route(engine.writers());
  models->put(std::move(entry));
  engine.publish(models);

  front::Bridge bridge;
  net::ServerOptions options;
  options.io_threads = io_threads;
  if (argc > 6) options.poll_budget = std::atoll(argv[6]) * kMicrosecond;
  const double share = argc > 7 ? std::atof(argv[7]) : 0;
  front::CallLog log({.has_tracing = share > 0,
                      .trace_share = share,
                      .has_access_log = share > 0,
                      .access_share = share});
  std::atomic<bool> is_over{share <= 0};
  std::thread reader([&] {
    std::vector<front::CallRecord> records;
    while (!is_over) {
      records.clear();
      log.read(1024, &records);
      if (records.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const front::FrontOptions front{.tokens = nullptr, .call_log = share > 0 ? &log : nullptr};
  net::Server server(options, front::thread_front_factory(&engine, &bridge, front));
  int os_error = 0;
  const auto bound = server.listen_tcp("127.0.0.1", 0, nullptr, &os_error);
  if (!bound.ok()) std::exit(fail(bound.status()));
  if (const Status status = server.start(); !status.ok()) std::exit(fail(status));
  std::printf("%d\n", bound.value().port);
  std::fflush(stdout);
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  server.close();
  is_over = true;
  reader.join();
  return 0;
}
