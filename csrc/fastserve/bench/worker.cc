#include "fastserve/bench/worker.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <thread>
#include <utility>

#include "fastserve/bench/reply_status.h"

namespace fastserve::bench {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
// Without anything to do the loop looks this often whether it should stop.
constexpr Nanos kLongestSleep = 20 * kMillisecond;
constexpr Nanos kReconnectPause = 100 * kMillisecond;
constexpr Nanos kCpuNotePause = 50 * kMillisecond;
// Requests that are sent at once before sockets are read again.
constexpr int kSendsPerTurn = 4096;
constexpr size_t kMaxExampleBytes = 300;

// A header's value: at most eight digits and the finest unit that has room for them.
std::string timeout_text(Nanos timeout) {
  constexpr std::array<std::pair<Nanos, char>, 4> kUnits = {
      {{1, 'n'}, {kMicrosecond, 'u'}, {kMillisecond, 'm'}, {kSecond, 'S'}}};
  for (const auto& unit : kUnits) {
    if (timeout / unit.first < 100'000'000)
      return std::to_string(timeout / unit.first) + unit.second;
  }
  return "99999999S";
}

Nanos thread_cpu() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<Nanos>(time.tv_sec) * kSecond + time.tv_nsec;
}

http2::ClientSession::Headers request_headers(const LoadOptions& options) {
  http2::ClientSession::Headers headers = {{":method", "POST"},
                                           {":scheme", options.tls ? "https" : "http"},
                                           {":path", options.path},
                                           {":authority", options.authority},
                                           {"te", "trailers"},
                                           {"content-type", "application/grpc"},
                                           {"user-agent", "fastserve-bench"}};
  if (options.deadline != kNever) {
    headers.emplace_back("grpc-timeout", timeout_text(options.deadline));
  }
  headers.insert(headers.end(), options.headers.begin(), options.headers.end());
  return headers;
}

}  // namespace

Worker::Worker(const LoadOptions& options, const Target& target, Share share, RunState* state,
               Tally* tally)
    : options_(options),
      target_(target),
      share_(share),
      state_(state),
      tally_(tally),
      headers_(request_headers(options)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
      connections_(static_cast<size_t>(share.connections)) {
  buffers_.received.extend(kReadBytes);
  for (uint32_t i = 0; i < connections_.size(); ++i) connections_[i].index = i;
  payload_ = static_cast<size_t>(share.index) % options.payloads.size();
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // tells each expiry once, and is never read
  event.data.ptr = nullptr;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event);
}

Worker::~Worker() {
  close(timer_);
  close(epoll_);
}

void Worker::run() {
  now_ = monotonic_now();
  const bool is_connected = connect_all();
  state_->connecting.fetch_sub(1);
  if (is_connected && wait_for_others()) drive();
  tally_->unanswered.add(open_calls());
  for (; is_connected && has_more_due(); schedule_->advance()) {
    ++sent_count_;  // has_more() counts it
    tally_->unsent.add(1);
  }
  for (Connection& connection : connections_) connection.close();
  note_cpu();
  tally_->is_done.store(true, std::memory_order_release);
}

// Until every connection takes requests. A load through fewer connections than asked for would
// measure something else.
bool Worker::connect_all() {
  const Nanos until = now_ + options_.connect_timeout;
  for (Connection& connection : connections_) open(&connection);
  while (settled_ < connections_.size()) {
    if (state_->is_stopping) return false;
    flush_touched();
    wait(std::min(until, now_ + kLongestSleep));
    settled_ = 0;
    for (Connection& connection : connections_) settled_ += connection.has_room(1);
    if (tally_->lost.get() > 0) {
      fail("a connection failed before the load began: " + last_loss_);
      return false;
    }
    if (now_ > until && settled_ < connections_.size()) {
      fail(std::to_string(connections_.size() - settled_) + " of " +
           std::to_string(connections_.size()) +
           " connections were not ready in time; is it a server of HTTP/2 " +
           (options_.tls ? "with" : "without") + " TLS?");
      return false;
    }
  }
  flush_touched();
  return true;
}

// The last that is connected says when the load begins.
bool Worker::wait_for_others() {
  while (state_->connecting.load() > 0) {
    if (state_->is_stopping) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  Nanos expected = 0;
  const Nanos now = monotonic_now();
  if (state_->began.compare_exchange_strong(expected, now)) {
    Nanos never = kNever;
    state_->measure_from.compare_exchange_strong(never, now + options_.warm_up);
  }
  return true;
}

void Worker::drive() {
  const Nanos began = state_->began;
  if (options_.duration != kNever) end_ = began + options_.duration;
  if (is_open_loop()) {
    schedule_ = std::make_unique<Schedule>(
        options_.arrivals, options_.per_second / options_.threads, began,
        static_cast<double>(share_.index) / options_.threads,
        mix(options_.seed * kGoldenStep + static_cast<uint64_t>(share_.index)));
  }
  for (Connection& connection : connections_) touch(&connection);
  now_ = monotonic_now();
  moved_ = now_;
  Nanos give_up = kNever;
  while (true) {
    if (give_up == kNever && (!has_more() || now_ >= end_)) give_up = now_ + options_.drain;
    if (is_stalled()) return;
    is_open_loop() ? send_due() : send_closed();
    flush_touched();
    if (!has_more() && open_calls() == 0) return;
    if (now_ >= give_up || is_failed_ || state_->is_abandoned) return;
    wait(std::min(next_wake(), give_up));
    expire();
    reconnect_due();
    if (now_ - cpu_noted_ > kCpuNotePause) note_cpu();
  }
}

// A request is left to send, now or later.
bool Worker::has_more() const {
  if (sent_count_ >= share_.max_requests || state_->is_stopping) return false;
  return is_open_loop() ? schedule_->due() < end_ : now_ < end_;
}

// Without a time limit nothing but this ends a load whose server has stopped answering.
bool Worker::is_stalled() const {
  if (options_.duration != kNever || now_ - moved_ <= options_.drain) return false;
  return is_open_loop() ? has_more_due() : true;
}

bool Worker::has_more_due() const {
  return schedule_ != nullptr && has_more() && schedule_->due() <= now_;
}

void Worker::send_due() {
  if (is_full_) return;
  now_ = monotonic_now();
  for (int i = 0; i < kSendsPerTurn && has_more_due(); ++i) {
    Connection* connection = free_connection();
    if (connection == nullptr) {
      is_full_ = true;
      return;
    }
    send_one(connection, schedule_->due());
    schedule_->advance();
  }
}

void Worker::send_closed() {
  if (touched_.empty()) return;
  now_ = monotonic_now();
  const auto in_flight = static_cast<size_t>(options_.in_flight);
  for (Connection* connection : touched_) {
    while (connection->has_room(in_flight) && has_more()) send_one(connection, now_);
  }
}

void Worker::send_one(Connection* connection, Nanos due) {
  const Payload& payload = options_.payloads[payload_];
  if (++payload_ == options_.payloads.size()) payload_ = 0;
  const uint32_t stream =
      connection->session().open(as_bytes(payload.body), {due, now_, payload.group});
  touch(connection);
  moved_ = now_;
  ++sent_count_;
  tally_->sent.add(1);
  if (due >= state_->measure_from.load(std::memory_order_relaxed)) tally_->delay.add(now_ - due);
  if (options_.deadline != kNever) {
    expiries_.push_back(
        {now_ + options_.deadline, connection->index, connection->generation, stream});
  }
}

Connection* Worker::free_connection() {
  const auto in_flight = static_cast<size_t>(options_.in_flight);
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = connections_[cursor_];
    if (++cursor_ == connections_.size()) cursor_ = 0;
    if (connection.has_room(in_flight)) return &connection;
  }
  return nullptr;
}

void Worker::on_reply(const http2::Ticket& ticket, const http2::Reply& reply) {
  tally_->received_bytes.add(reply.body_bytes);
  count(ticket, static_cast<int>(reply_status(reply)), reply.grpc_message);
}

void Worker::count(const http2::Ticket& ticket, int status, std::string_view message) {
  moved_ = now_;
  GroupTally& group = *tally_->groups[ticket.group];
  Counter& counter = group.statuses[static_cast<size_t>(status)];
  if (status != 0 && counter.get() == 0) {
    std::lock_guard lock(tally_->mutex);
    std::string& example = tally_->examples[static_cast<size_t>(status)];
    if (example.empty()) example = message.substr(0, kMaxExampleBytes);
  }
  counter.add(1);
  if (ticket.due < state_->measure_from.load(std::memory_order_relaxed)) return;
  group.measured.add(1);
  state_->last_reply.store(now_, std::memory_order_relaxed);
  if (status != 0) return;
  group.measured_ok.add(1);
  group.latency.add(now_ - ticket.due);
}

// Deadlines are equal, so they pass in the order of sending.
void Worker::expire() {
  while (!expiries_.empty() && expiries_.front().expiry <= now_) {
    const Sent sent = expiries_.front();
    expiries_.pop_front();
    Connection& connection = connections_[sent.connection];
    http2::Ticket ticket;
    if (connection.is_closed() || connection.generation != sent.generation ||
        !connection.session().cancel(sent.stream, &ticket)) {
      continue;
    }
    touch(&connection);
    count(ticket, static_cast<int>(Code::kDeadlineExceeded), "no answer within the deadline");
  }
}

void Worker::flush_touched() {
  flushing_.swap(touched_);
  for (Connection* connection : flushing_) {
    connection->is_touched = false;
    if (connection->is_closed() || connection->is_connecting()) continue;
    const bool was_blocked = connection->is_blocked();
    const Status status = connection->flush();
    if (!status.ok()) {
      lose(connection, status.message());
      continue;
    }
    if (connection->is_blocked() != was_blocked) watch(connection);
    if (connection->session().is_closing() && connection->session().open_calls() == 0) {
      lose(connection, "the server said GOAWAY");
    }
  }
  flushing_.clear();
}

Nanos Worker::next_wake() const {
  Nanos wake = now_ + kLongestSleep;
  if (is_open_loop() && !is_full_ && has_more()) wake = std::min(wake, schedule_->due());
  if (!expiries_.empty()) wake = std::min(wake, expiries_.front().expiry);
  if (!touched_.empty()) wake = now_;
  return wake;
}

void Worker::wait(Nanos until) {
  std::array<epoll_event, 256> events;
  const bool is_due = until <= monotonic_now();
  if (!is_due && until != armed_) {
    itimerspec when{};
    when.it_value.tv_sec = until / kSecond;
    when.it_value.tv_nsec = until % kSecond;
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
    armed_ = until;
  }
  const int count =
      epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), is_due ? 0 : 50);
  now_ = monotonic_now();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    if (event.data.ptr == nullptr) continue;  // the timer
    on_event(static_cast<Connection*>(event.data.ptr), event.events);
  }
}

void Worker::on_event(Connection* connection, uint32_t events) {
  if (connection->is_closed()) return;
  touch(connection);
  if (connection->is_connecting()) {
    const Status status = connection->finish_connect();
    if (!status.ok()) return lose(connection, status.message());
    tally_->connects.add(1);
    all_lost_since_ = kNever;
    watch(connection);
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    const Status status = connection->read(&buffers_, [this] { now_ = monotonic_now(); });
    if (!status.ok()) lose(connection, status.message());
  }
}

void Worker::touch(Connection* connection) {
  is_full_ = false;
  if (connection->is_touched) return;
  connection->is_touched = true;
  touched_.push_back(connection);
}

void Worker::watch(Connection* connection) {
  epoll_event event{};
  event.events =
      connection->is_connecting() || connection->is_blocked() ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.ptr = connection;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, connection->descriptor(), &event) != 0) {
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->descriptor(), &event);
  }
}

void Worker::open(Connection* connection) {
  connection->reconnect_at = kNever;
  const Status status = connection->connect(target_, options_.tls.get(), headers_, this);
  if (!status.ok()) return lose(connection, status.message());
  watch(connection);
}

// Its calls are over too. Made anew after a pause, for a server that restarts.
void Worker::lose(Connection* connection, const std::string& why) {
  last_loss_ = why;
  tally_->lost.add(1);
  if (!connection->is_closed()) {
    connection->session().abandon([this, &why](const http2::Ticket& ticket) {
      count(ticket, static_cast<int>(Code::kUnavailable), why);
    });
    connection->close();
  }
  connection->reconnect_at = now_ + kReconnectPause;
  next_reconnect_ = std::min(next_reconnect_, connection->reconnect_at);
  const bool is_any_left = std::any_of(connections_.begin(), connections_.end(),
                                       [](const Connection& each) { return each.is_ready(); });
  if (!is_any_left && all_lost_since_ == kNever) all_lost_since_ = now_;
}

void Worker::reconnect_due() {
  if (all_lost_since_ != kNever && now_ - all_lost_since_ > options_.connect_timeout) {
    fail("every connection was lost and none could be made again: " + last_loss_);
  }
  if (now_ < next_reconnect_ || !has_more()) return;
  next_reconnect_ = kNever;
  for (Connection& connection : connections_) {
    if (connection.reconnect_at <= now_) open(&connection);
    next_reconnect_ = std::min(next_reconnect_, connection.reconnect_at);
  }
}

void Worker::fail(std::string why) {
  is_failed_ = true;
  state_->is_stopping = true;  // what the others would measure is another load
  std::lock_guard lock(tally_->mutex);
  tally_->failure = std::move(why);
}

size_t Worker::open_calls() const {
  size_t count = 0;
  for (const Connection& connection : connections_) count += connection.open_calls();
  return count;
}

void Worker::note_cpu() {
  cpu_noted_ = now_;
  const auto cpu = static_cast<uint64_t>(thread_cpu());
  tally_->busy_ns.add(cpu - tally_->busy_ns.get());
}

}  // namespace fastserve::bench
