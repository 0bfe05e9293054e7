#include "fastserve/grpc/server_call.h"

#include <algorithm>
#include <array>
#include <utility>

#include "fastserve/grpc/percent_encoding.h"

namespace fastserve::grpc {
namespace {

using http2::OutHeader;

// Clients commonly accept 8 KiB of trailers in all.
constexpr size_t kMaxMessageBytes = 4096;
// Read buffer kept by a pooled call; larger ones are freed.
constexpr size_t kPooledReadBytes = 4096;

constexpr OutHeader kStatus200{":status", "200", true};
constexpr OutHeader kStatus415{":status", "415", true};
constexpr OutHeader kContentType{"content-type", "application/grpc", true};
constexpr OutHeader kGrpcEncodingGzip{"grpc-encoding", "gzip", true};
constexpr OutHeader kGrpcAcceptEncoding{"grpc-accept-encoding", kAcceptedEncodings, true};
constexpr OutHeader kGrpcStatusOk{"grpc-status", "0", true};

constexpr std::array<std::string_view, 17> kCodes = {
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"};

// `message` outlives the fields.
void add_status(const Status& status, OutFields* fields, std::string* message) {
  fields->add(OutHeader{"grpc-status", kCodes[static_cast<size_t>(status.code())], true});
  if (status.ok() || status.message().empty()) return;
  *message = percent_encode(status.message(), kMaxMessageBytes);
  fields->add(OutHeader{"grpc-message", *message});
}

void write_prefix(bool compressed, size_t size, std::byte* prefix) {
  prefix[0] = std::byte{compressed};
  for (int i = 0; i < 4; ++i) prefix[1 + i] = static_cast<std::byte>(size >> (24 - 8 * i));
}

}  // namespace

void ServerCall::open(http2::Stream* stream, const RequestHeaders& headers, Nanos now) {
  stream_ = stream;
  path_ = headers.path;
  deadline_ = headers.timeout > kNever - now ? kNever : now + headers.timeout;
  encoding_ = headers.encoding;
  accepts_gzip_ = headers.accepts_gzip;
  names_encoding_ = headers.names_encoding;
}

void ServerCall::close() {
  stream_ = nullptr;
  user = nullptr;
  user_tag = 0;
  is_surfaced = compress_ = answers_gzip_ = answering_ = finished_ = held_ = false;
  withheld_bytes_ = owed_bytes_ = assembling_bytes = 0;
  received_bytes_ = 0;
  checked_progress_ = kNotWaiting;
  reader_.next(kPooledReadBytes);
}

bool ServerCall::check_stalled() {
  if (stream_ == nullptr) return false;
  // While the front holds messages it is we who keep the window back.
  const bool is_owed_bytes = reader_.is_mid_message() && owed_bytes_ == 0;
  const bool is_waiting = is_owed_bytes || stream_->queued_bytes() > 0;
  const uint64_t progress = is_waiting ? received_bytes_ + stream_->sent_bytes() : kNotWaiting;
  return std::exchange(checked_progress_, progress) == progress && is_waiting;
}

void ServerCall::reset() { connection_->reset(*stream_, http2::kCancel); }

std::string_view ServerCall::header(std::string_view name) const {
  for (const http2::Header& header : stream_->headers()) {
    if (header.name == name) return header.value;
  }
  return {};
}

std::span<const OutHeader> ServerCall::first_headers() {
  static constexpr std::array<OutHeader, 3> kFirst = {kStatus200, kContentType,
                                                      kGrpcAcceptEncoding};
  const bool announce = names_encoding_ || !std::exchange(*has_announced_encodings_, true);
  return std::span(kFirst).first(announce ? 3 : 2);
}

void ServerCall::send_initial_metadata(std::span<const Metadatum> metadata) {
  if (answering_ || finished_) return;
  answering_ = true;
  answers_gzip_ = compress_ && accepts_gzip_;
  const std::span<const OutHeader> first = first_headers();
  if (metadata.empty() && !answers_gzip_) {
    connection_->respond(*stream_, first);
    return;
  }
  OutFields fields;
  fields.add(first);
  if (answers_gzip_) fields.add(kGrpcEncodingGzip);
  fields.add(metadata);
  connection_->respond(*stream_, fields.fields());
}

void ServerCall::send_message(Buffer framed) {
  if (finished_) return;
  if (!answering_) send_initial_metadata({});
  const bool compressed =
      answers_gzip_ && compress_ && gzip_message(framed.bytes(), kMessageHeadroom, &framed);
  write_prefix(compressed, framed.size() - kMessageHeadroom, framed.data());
  connection_->send(*stream_, std::move(framed));
}

void ServerCall::finish(const Status& status, std::span<const Metadatum> trailers) {
  if (finished_) return;
  finished_ = true;
  if (answering_ && status.ok() && trailers.empty()) {
    connection_->finish(*stream_, {&kGrpcStatusOk, 1});
  } else {
    std::string message;
    OutFields fields;
    if (!answering_) fields.add(first_headers());
    add_status(status, &fields, &message);
    fields.add(trailers);
    if (answering_) {
      connection_->finish(*stream_, fields.fields());
    } else {
      connection_->respond_and_end(*stream_, fields.fields());
    }
  }
  // What is left of the request is dropped; the peer's window is whole again.
  owed_bytes_ = 0;
  held_ = false;
  return_window();
}

void ServerCall::refuse_media_type() {
  finished_ = true;
  connection_->respond_and_end(*stream_, {&kStatus415, 1});
}

void ServerCall::hold_messages(bool on) {
  held_ = on;
  if (on) return;
  owed_bytes_ = 0;
  return_window();
}

void ServerCall::credit(size_t bytes) {
  bytes = std::min(bytes, owed_bytes_);
  owed_bytes_ -= bytes;
  grant(bytes);
  if (owed_bytes_ == 0) return_window();
}

void ServerCall::on_message_handed(size_t bytes) {
  // Prefixes, and what compression saved or cost, are nobody's: only the message itself is owed.
  owed_bytes_ = std::min(withheld_bytes_, owed_bytes_ + bytes);
  grant(withheld_bytes_ - owed_bytes_);
}

void ServerCall::return_window() {
  if (!held_) owed_bytes_ = 0;
  // Bytes of a message under way are granted unless the front holds earlier ones: a message larger
  // than the window could not arrive otherwise.
  if (owed_bytes_ == 0) grant(withheld_bytes_);
}

void ServerCall::grant(size_t bytes) {
  if (bytes == 0) return;
  withheld_bytes_ -= bytes;
  connection_->consume(*stream_, bytes);
}

}  // namespace fastserve::grpc
