#include "fastserve/front/bridge_port.h"

#include <string>
#include <utility>

namespace fastserve::front {

BridgePort::BridgePort(Bridge* bridge, int index, TimerWheel* wheel, std::function<void()> wake)
    : bridge_(bridge), index_(static_cast<uint64_t>(index)), wheel_(wheel) {
  Bridge::Inbox& inbox = bridge_->inboxes_[index_];
  std::lock_guard lock(inbox.mutex);
  inbox.wake = std::move(wake);
}

BridgePort::~BridgePort() {
  for (const auto& slot : slots_) wheel_->disarm(slot->deadline);
  Bridge::Inbox& inbox = bridge_->inboxes_[index_];
  std::lock_guard lock(inbox.mutex);
  inbox.wake = nullptr;
  inbox.commands.take(&commands_);
}

void BridgePort::on_call(grpc::Call& call) {
  BridgeCall* slot = bridge_->may_start() ? acquire() : nullptr;
  if (slot == nullptr) {
    // Marked as ours without a slot: the events to come are dropped.
    call.user = reinterpret_cast<void*>(uintptr_t{1});
    call.finish({Code::kResourceExhausted, "too many calls wait for the control plane (limit " +
                                               std::to_string(kMaxWaitingCalls) +
                                               "); retry later"});
    return;
  }
  slot->call = &call;
  slot->sent_bytes = 0;
  slot->is_waiting_peer = false;
  slot->is_over = false;
  call.user = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(slot) | 1);
  call.hold_messages(true);
  wheel_->arm(slot->deadline, call.deadline());

  BridgeEvent event;
  event.kind = BridgeEvent::Kind::kStart;
  event.call = slot->id;
  event.path = call.path();
  event.peer = call.peer();
  event.deadline = call.deadline();
  for (const grpc::Metadatum& each : call.metadata()) {
    event.metadata.emplace_back(std::string(each.key), std::string(each.value));
  }
  bridge_->post(std::move(event));
}

void BridgePort::on_message(grpc::Call& call, Buffer& message) {
  BridgeCall* slot = bridge_call(call);
  if (slot == nullptr || slot->is_over) {
    call.credit(message.size());
    return;
  }
  BridgeEvent event;
  event.kind = BridgeEvent::Kind::kMessage;
  event.call = slot->id;
  event.message = std::move(message);
  bridge_->post(std::move(event));
}

void BridgePort::on_half_close(grpc::Call& call) {
  post(bridge_call(call), BridgeEvent::Kind::kHalfClose);
}

void BridgePort::on_writable(grpc::Call& call) {
  BridgeCall* slot = bridge_call(call);
  if (slot == nullptr || !slot->is_waiting_peer) return;
  slot->is_waiting_peer = false;
  slot->sent_bytes = 0;
  post(slot, BridgeEvent::Kind::kWritable);
}

void BridgePort::on_closed(grpc::Call& call, bool /*cancelled*/) {
  BridgeCall* slot = bridge_call(call);
  call.user = nullptr;
  if (slot == nullptr) return;
  post(slot, BridgeEvent::Kind::kCancelled);
  release(slot);
}

void BridgePort::run_inbox(Nanos /*now*/) {
  bridge_->inboxes_[index_].commands.take(&commands_);
  for (BridgeCommand& command : commands_) run(command);
  commands_.clear();
}

void BridgePort::run(BridgeCommand& command) {
  BridgeCall* slot = find(command.call);
  if (slot == nullptr || slot->is_over) return;
  std::vector<grpc::Metadatum> metadata;
  metadata.reserve(command.metadata.size());
  for (const auto& [key, value] : command.metadata) metadata.push_back({key, value});
  grpc::Call& call = *slot->call;
  switch (command.kind) {
    case BridgeCommand::Kind::kInitialMetadata:
      call.send_initial_metadata(metadata);
      return;
    case BridgeCommand::Kind::kMessage:
      send_message(slot, std::move(command.message));
      return;
    case BridgeCommand::Kind::kCredit:
      call.credit(command.credit_bytes);
      return;
    case BridgeCommand::Kind::kCompress:
      call.set_compression(true);
      return;
    case BridgeCommand::Kind::kFinish:
      slot->is_over = true;
      wheel_->disarm(slot->deadline);
      call.finish(command.status, metadata);  // last: the call may be gone when it returns
      return;
  }
}

void BridgePort::send_message(BridgeCall* slot, Buffer message) {
  if (message.size() < grpc::kMessageHeadroom) return;
  slot->sent_bytes += message.size() - grpc::kMessageHeadroom;
  slot->call->send_message(std::move(message));
  if (slot->sent_bytes <= kWritableWindowBytes || slot->is_waiting_peer) return;
  // Over the window. When the peer keeps up nothing was left queued over the mark and no
  // on_writable will come, so the sender is told at once.
  if (slot->call->queued_bytes() > kWritableWindowBytes) {
    slot->is_waiting_peer = true;
  } else {
    slot->sent_bytes = 0;
    post(slot, BridgeEvent::Kind::kWritable);
  }
}

void BridgePort::on_deadline(Timer& /*timer*/, void* owner, Nanos /*now*/) {
  auto* slot = static_cast<BridgeCall*>(owner);
  slot->port->post(slot, BridgeEvent::Kind::kCancelled);
  slot->call->finish({Code::kDeadlineExceeded, "Deadline Exceeded"});
}

void BridgePort::post(BridgeCall* slot, BridgeEvent::Kind kind) {
  if (slot == nullptr || slot->is_over) return;
  if (kind == BridgeEvent::Kind::kCancelled) slot->is_over = true;
  BridgeEvent event;
  event.kind = kind;
  event.call = slot->id;
  bridge_->post(std::move(event));
}

BridgePort::BridgeCall* BridgePort::acquire() {
  if (free_.empty()) {
    if (slots_.size() == kMaxSlots) return nullptr;
    auto slot = std::make_unique<BridgeCall>();
    slot->port = this;
    slot->id = ((index_ << kSlotBits) | slots_.size()) << kGenerationBits;
    slot->deadline.set(on_deadline, slot.get());
    free_.push_back(slot.get());
    slots_.push_back(std::move(slot));
  }
  BridgeCall* slot = free_.back();
  free_.pop_back();
  ++slot->id;  // the next generation; 0 is never used, so no id is 0
  ++open_calls_;
  return slot;
}

void BridgePort::release(BridgeCall* slot) {
  wheel_->disarm(slot->deadline);
  slot->call = nullptr;
  --open_calls_;
  if ((slot->id & kLastGeneration) != kLastGeneration) free_.push_back(slot);
}

BridgePort::BridgeCall* BridgePort::find(uint64_t id) {
  const size_t number = (id >> kGenerationBits) & (kMaxSlots - 1);
  if (number >= slots_.size()) return nullptr;
  BridgeCall* slot = slots_[number].get();
  return slot->id == id && slot->call != nullptr ? slot : nullptr;
}

}  // namespace fastserve::front
