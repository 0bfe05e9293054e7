// Records of calls: what is in them, when there is none, and that none is lost or mixed up.
#include "fastserve/front/call_log.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "fastserve/front/raw_port.h"
#include "tests/front_fixture.h"

using namespace fastserve;
using namespace fastserve::testing;
using front::BoundedText;
using front::CallBook;
using front::CallLog;
using front::CallLogOptions;
using front::CallLogStats;
using front::CallMethod;
using front::CallRecord;
using front::TraceContext;
using front::TraceId;

namespace {

constexpr const char* kSampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr const char* kUnsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
constexpr TraceId kTraceId{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736};
constexpr uint64_t kParentId = 0x00f067aa0ba902b7;

constexpr CallLogOptions kEverything{
    .has_tracing = true, .trace_share = 1, .has_access_log = true, .access_share = 1};
constexpr CallLogOptions kParentsAlone{
    .has_tracing = true, .trace_share = 0, .has_access_log = false, .access_share = 0};

// A server of the echo model that records its calls.
struct LoggedFixture {
  explicit LoggedFixture(const CallLogOptions& options = kEverything,
                         const engine::EngineOptions& engine = {.executors = 1, .inline_budget = 0},
                         std::vector<std::string> tokens = {})
      : log(options),
        front(engine,
              {.tokens = std::make_shared<front::TokenList>(std::move(tokens)), .call_log = &log}) {
  }

  // Waits for `count` records: an answer may be with its client before its record was left.
  std::vector<CallRecord> take(size_t count) {
    std::vector<CallRecord> records;
    while (records.size() < count) {
      log.read(1000, &records);
      std::this_thread::yield();
    }
    return records;
  }
  CallRecord take_one() { return take(1).front(); }

  CallLog log;
  FrontFixture front;
};

}  // namespace

TEST_CASE("bounded text is cut before a character that does not fit whole") {
  BoundedText<4> text;
  text.assign("abcd");
  CHECK(text.view() == "abcd");
  CHECK_FALSE(text.is_cut());
  text.assign("abc\xc3\xa4");
  CHECK(text.view() == "abc");
  CHECK(text.is_cut());
  text.assign("a\xe2\x80\xa8z");
  CHECK(text.view() == "a\xe2\x80\xa8");
  text.assign("\x80\x80\x80\x80\x80");  // no character at all
  CHECK(text.view().empty());
  CHECK(text.is_cut());
}

TEST_CASE("call_log follows a caller that sampled and one that did not") {
  CallBook book(kParentsAlone);
  CallRecord* record = book.begin(book.read_context(kSampled, "a=1"), CallMethod::kModelInfer, "p");
  REQUIRE(record != nullptr);
  CHECK(record->trace_id == kTraceId);
  CHECK(record->parent_id == kParentId);
  CHECK(record->span_id != 0);
  CHECK(record->span_id != kParentId);
  CHECK(record->state.view() == "a=1");
  CHECK_FALSE(record->is_logged);
  CHECK(book.begin(book.read_context(kUnsampled, ""), CallMethod::kModelInfer, "") == nullptr);
  CHECK(book.begin({}, CallMethod::kModelInfer, "") == nullptr);
  book.leave(record);
}

TEST_CASE("call_log begins a trace for a call that is in none, and for one whose header is wrong") {
  CallBook book(kEverything);
  CallRecord* fresh = book.begin({}, CallMethod::kModelInfer, "");
  CallRecord* wrong = book.begin(book.read_context("nonsense", "a=1"), CallMethod::kModelInfer, "");
  CHECK(fresh->trace_id.is_valid());
  CHECK(fresh->parent_id == 0);
  CHECK(wrong->trace_id.is_valid());
  CHECK_FALSE(wrong->trace_id == fresh->trace_id);
  CHECK(wrong->state.view().empty());
  CallLogStats stats;
  book.add_to(&stats);
  CHECK(stats.invalid_contexts == 1);
  book.leave(fresh);
  book.leave(wrong);
}

TEST_CASE("call_log writes the caller's trace into lines of calls that are not traced") {
  CallBook book({.has_tracing = false, .has_access_log = true, .access_share = 1});
  CallRecord* record = book.begin(book.read_context(kUnsampled, ""), CallMethod::kModelInfer, "");
  REQUIRE(record != nullptr);
  CHECK(record->trace_id == kTraceId);
  CHECK_FALSE(record->is_traced);
  CHECK(record->span_id == 0);
  book.leave(record);
}

TEST_CASE("call_log drops a tracestate that is too long") {
  CallBook book(kParentsAlone);
  const std::string longest(CallRecord::kMaxStateBytes, 'x');
  for (const auto& [state, kept] :
       std::vector<std::pair<std::string, std::string>>{{longest, longest}, {longest + "x", ""}}) {
    CallRecord* record =
        book.begin(book.read_context(kSampled, state), CallMethod::kModelInfer, "");
    CHECK(record->state.view() == kept);
    book.leave(record);
  }
}

TEST_CASE("call_log counts what finds no record, and goes on when some were read") {
  constexpr size_t kRecords = 4;
  CallBook book(kEverything, kRecords);
  for (size_t i = 0; i < kRecords; ++i) {
    CallRecord* record = book.begin({}, CallMethod::kModelInfer, "");
    REQUIRE(record != nullptr);
    record->rows = static_cast<uint32_t>(i);
    book.leave(record);
  }
  CHECK(book.begin({}, CallMethod::kModelInfer, "") == nullptr);
  CallLogStats stats;
  book.add_to(&stats);
  CHECK(stats.recorded == kRecords);
  CHECK(stats.dropped_spans == 1);
  CHECK(stats.dropped_lines == 1);

  std::vector<CallRecord> records;
  book.read(3, &records);
  REQUIRE(records.size() == 3);
  for (uint32_t i = 0; i < 3; ++i) CHECK(records[i].rows == i);
  CallRecord* again = book.begin({}, CallMethod::kModelInfer, "");
  REQUIRE(again != nullptr);
  again->rows = 9;
  book.leave(again);
  book.read(100, &records);  // the rest of what was left before
  book.read(100, &records);
  REQUIRE(records.size() == 5);
  CHECK(records[3].rows == 3);
  CHECK(records[4].rows == 9);
}

TEST_CASE("call_log opens no book when nothing is asked for") {
  CallLog log({});
  CHECK(log.open_book() == nullptr);
}

TEST_CASE("call_log keeps what a closed book held until it is read") {
  CallLog log(kEverything);
  auto book = log.open_book();
  book->leave(book->begin({}, CallMethod::kModelInfer, ""));
  book->close();
  book.reset();
  CHECK(log.stats().recorded == 1);
  std::vector<CallRecord> records;
  log.read(10, &records);
  log.read(10, &records);
  CHECK(records.size() == 1);
  CHECK(log.stats().recorded == 1);
}

TEST_CASE("a recorded ModelInfer has its phases in order, its sizes and whose it is") {
  LoggedFixture f;
  SocketClient client(f.front.connect());
  const std::string body = request({5, 6}, "an id");
  const int32_t id = client.call(kInfer, frame_message(body), true, "",
                                 {{"traceparent", kSampled}, {"tracestate", "vendor=1"}});
  REQUIRE(client.pump_until_closed(id));
  const CallRecord record = f.take_one();
  CHECK(record.method == CallMethod::kModelInfer);
  CHECK(record.code == Code::kOk);
  CHECK(record.trace_id == kTraceId);
  CHECK(record.parent_id == kParentId);
  CHECK(record.state.view() == "vendor=1");
  CHECK(record.model.view() == "echo");
  CHECK(record.version == 1);
  CHECK(record.id.view() == "an id");
  CHECK(record.peer.view().starts_with("ipv4:127.0.0.1:"));
  CHECK(record.rows == 2);
  CHECK(record.received_bytes == body.size());
  CHECK(record.sent_bytes == client.answer(id).messages()[0].size());
  CHECK(record.begun > 0);
  CHECK(record.received >= record.begun);
  CHECK(record.timing.started >= record.received);
  CHECK(record.timing.gathered >= record.timing.started);
  CHECK(record.timing.computed >= record.timing.gathered);
  CHECK(record.answered >= record.timing.computed);
  // The caller sees nothing of it.
  CHECK(client.answer(id).headers.count("traceparent") == 0);
}

TEST_CASE("refused calls are recorded with the status that they got") {
  LoggedFixture f;
  SocketClient client(f.front.connect());
  CHECK(client.unary(kInfer, block(1, "nobody") + block(3, "seven")).status() == "5");
  CallRecord record = f.take_one();
  CHECK(record.code == Code::kNotFound);
  CHECK(record.model.view() == "nobody");
  CHECK(record.id.view() == "seven");
  CHECK(record.version == 0);
  CHECK(record.rows == 0);
  CHECK(record.timing.started == 0);
  CHECK(record.sent_bytes == 0);

  CHECK(client.unary(kInfer, "\xff").status() == "3");
  record = f.take_one();
  CHECK(record.code == Code::kInvalidArgument);
  CHECK(record.model.view().empty());

  const int32_t none = client.call(kInfer, "");
  CHECK(client.pump_until_closed(none));
  CHECK(f.take_one().code == Code::kUnimplemented);
}

TEST_CASE("callers that were not let in are recorded and never traced") {
  LoggedFixture f(kEverything, {.executors = 1, .inline_budget = 0}, {"first", "second"});
  SocketClient client(f.front.connect());
  for (const char* path : {kInfer, kStream, "/fastserve.v1.Control/ListModels"}) {
    const int32_t id =
        client.call(path, frame_message(request({1})), true, "", {{"traceparent", kSampled}});
    REQUIRE(client.pump_until_closed(id));
    const CallRecord record = f.take_one();
    CHECK(record.code == Code::kUnauthenticated);
    CHECK_FALSE(record.is_traced);
    CHECK(record.is_logged);
    CHECK(record.path.view() == (record.method == CallMethod::kOther ? path : ""));
  }
  const int32_t id = client.call(kInfer, frame_message(request({1})), true, "",
                                 {{"authorization", "Bearer second"}});
  REQUIRE(client.pump_until_closed(id));
  CHECK(f.take_one().token == (1 << 16 | 1));  // of the first list
}

TEST_CASE("an overdue and a cancelled call are recorded once, whether they ran or waited") {
  LoggedFixture f;
  f.front.session->close_gate();
  SocketClient client(f.front.connect());
  const int32_t runs = client.call(kInfer, frame_message(request({1}, "runs")));
  client.write();
  f.front.session->wait_for_runs(1);
  // Later than the kernel may hold its message back for (Nagle's rule, a delayed acknowledgement).
  const int32_t overdue = client.call(kInfer, frame_message(request({2}, "overdue")), true, "300m");
  CHECK(client.pump_until_closed(overdue));
  const CallRecord late = f.take_one();
  CHECK(late.code == Code::kDeadlineExceeded);
  CHECK(late.id.view() == "overdue");
  CHECK(late.timing.started == 0);

  const int32_t waits = client.call(kInfer, frame_message(request({3}, "waits")));
  const int32_t silent = client.call(kInfer, "", /*ends=*/false);
  client.write();
  client.reset(waits);
  client.reset(silent);
  client.reset(runs);
  client.write();
  std::set<std::string> ids;
  for (const CallRecord& record : f.take(3)) {
    CHECK(record.code == Code::kCancelled);
    ids.insert(std::string(record.id.view()));
  }
  CHECK(ids == std::set<std::string>{"", "runs", "waits"});
  f.front.session->open_gate();
  CHECK(client.unary(kInfer, request({4}, "after")).status() == "0");
  CHECK(f.take_one().id.view() == "after");
}

TEST_CASE("a call that waits for its version to be loaded is recorded when it is answered") {
  LoggedFixture f;
  f.front.publish_unloaded(/*is_on_demand=*/true);
  SocketClient client(f.front.connect());
  const int32_t parked = client.call(kInfer, frame_message(request({1}, "parked")));
  client.write();
  while (f.front.engine.wanted().take().empty()) std::this_thread::yield();
  f.front.publish();
  REQUIRE(client.pump_until_closed(parked));
  const CallRecord record = f.take_one();
  CHECK(record.code == Code::kOk);
  CHECK(record.id.view() == "parked");
  CHECK(record.timing.computed > record.received);
}

TEST_CASE("every message of a stream is recorded, in the stream's trace, with its own span") {
  LoggedFixture f(kParentsAlone);
  SocketClient client(f.front.connect());
  std::string body;
  for (int64_t i = 0; i < 5; ++i) {
    body += frame_message(i == 3 ? block(1, "nobody") + block(3, "r3")
                                 : request({i}, "r" + std::to_string(i)));
  }
  const int32_t id = client.call(kStream, body, true, "", {{"traceparent", kSampled}});
  REQUIRE(client.pump_until_closed(id));
  std::set<uint64_t> spans;
  std::set<std::string> ids;
  for (const CallRecord& record : f.take(5)) {
    CHECK(record.method == CallMethod::kModelStreamInfer);
    CHECK(record.trace_id == kTraceId);
    CHECK(record.parent_id == kParentId);
    CHECK(record.code == (record.id.view() == "r3" ? Code::kNotFound : Code::kOk));
    spans.insert(record.span_id);
    ids.insert(std::string(record.id.view()));
  }
  CHECK(spans.size() == 5);
  CHECK(ids.size() == 5);
}

TEST_CASE("raw_port records as the native front does") {
  LoggedFixture f;
  front::RawPort port(&f.front.engine, &f.log);
  const front::RawOrigin origin{.method = CallMethod::kModelStreamInfer,
                                .peer = "ipv4:10.0.0.1:5",
                                .traceparent = kSampled,
                                .tracestate = "a=1",
                                .token = 3};
  Nanos retry_after = 0;
  const std::string body = request({1, 2}, "raw");
  REQUIRE(port.submit(1, as_bytes(body), kNever, {}, origin, &retry_after).ok());
  std::vector<front::RawAnswer> answers;
  while (answers.empty()) port.take(&answers);
  CallRecord record = f.take_one();
  CHECK(record.code == Code::kOk);
  CHECK(record.method == CallMethod::kModelStreamInfer);
  CHECK(record.peer.view() == "ipv4:10.0.0.1:5");
  CHECK(record.token == 3);
  CHECK(record.parent_id == kParentId);
  CHECK(record.sent_bytes > 0);

  CHECK_FALSE(port.submit(2, as_bytes("\xff"), kNever, {}, origin, &retry_after).ok());
  CHECK(f.take_one().code == Code::kInvalidArgument);

  f.front.session->close_gate();
  REQUIRE(port.submit(3, as_bytes(body), kNever, {}, origin, &retry_after).ok());
  f.front.session->wait_for_runs(1);
  port.cancel(3);
  f.front.session->open_gate();
  answers.clear();
  std::vector<CallRecord> records;
  while (records.empty()) {
    port.take(&answers);
    f.log.read(10, &records);
  }
  CHECK(records[0].code == Code::kCancelled);
  CHECK(answers.empty());
}

TEST_SUITE("storm") {
  TEST_CASE("call_log loses and mixes no record between its threads") {
    constexpr int kWriters = 3;
    constexpr uint32_t kCalls = 20'000;
    CallLog log(kEverything);
    std::atomic<int> writing{kWriters};
    std::vector<std::thread> threads;
    for (int writer = 0; writer < kWriters; ++writer) {
      threads.emplace_back([&, writer] {
        auto book = log.open_book();
        for (uint32_t i = 0; i < kCalls; ++i) {
          CallRecord* record = book->begin({}, CallMethod::kModelInfer, std::to_string(i));
          if (record == nullptr) continue;  // counted
          record->rows = i;
          record->version = writer;
          book->leave(record);
        }
        book->close();
        --writing;
      });
    }
    std::vector<CallRecord> records;
    uint64_t seen = 0;
    std::vector<int64_t> last(kWriters, -1);
    for (bool is_last = false; !is_last;) {
      is_last = writing == 0;
      do {
        records.clear();
        log.read(100, &records);
        for (const CallRecord& record : records) {
          CHECK(record.peer.view() == std::to_string(record.rows));
          int64_t& before = last[static_cast<size_t>(record.version)];
          CHECK(int64_t{record.rows} > before);
          before = record.rows;
        }
        seen += records.size();
      } while (!records.empty());
    }
    for (std::thread& thread : threads) thread.join();
    const CallLogStats stats = log.stats();
    CHECK(stats.recorded == seen);
    CHECK(stats.recorded + stats.dropped_spans == uint64_t{kWriters} * kCalls);
    CHECK(stats.dropped_lines == stats.dropped_spans);
  }

  TEST_CASE("every call of a server under resets and deadlines is recorded exactly once") {
    LoggedFixture f(kEverything, {.executors = 2, .inline_budget = 20 * kMicrosecond});
    constexpr int kThreads = 2;
    constexpr int kCalls = 300;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&] {
        SocketClient client(f.front.connect());
        for (int i = 0; i < kCalls; ++i) {
          const std::string body = frame_message(request({i}));
          const int32_t id = client.call(kInfer, body, true, i % 3 == 1 ? "1m" : "");
          if (i % 3 == 0) {
            client.write();
            client.reset(id);
          }
          if (i % 20 == 19) client.pump_until_closed(id);
        }
        const int32_t last = client.call(kInfer, frame_message(request({0})));
        client.pump_until_closed(last);
      });
    }
    // A call that was reset before the server read its headers is not there at all.
    std::atomic<bool> is_over{false};
    std::vector<CallRecord> records;
    std::thread reader([&] {
      while (!is_over) f.log.read(64, &records);
    });
    for (std::thread& thread : threads) thread.join();
    f.front.session->open_gate();
    f.front.server.close();
    is_over = true;
    reader.join();
    size_t before = 0;
    do {
      before = records.size();
      f.log.read(1000, &records);
    } while (records.size() != before);
    CHECK(records.size() == f.log.stats().recorded);
    CHECK(records.size() > kThreads * kCalls / 2);
    CHECK(records.size() <= kThreads * (kCalls + 1));
    std::set<uint64_t> spans;
    for (const CallRecord& record : records) spans.insert(record.span_id);
    CHECK(spans.size() == records.size());
  }
}
