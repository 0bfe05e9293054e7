// A call on a connection: Call over one HTTP/2 stream. Pooled by the connection.
//
// States: surfaced (the front knows it: on_call was delivered and on_closed was not), finished (its
// trailers are queued; what the peer still sends is dropped). A call that the connection refuses by
// itself is finished without being surfaced, or taken from the front first.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/grpc/call.h"
#include "fastserve/grpc/message_reader.h"
#include "fastserve/grpc/metadata.h"
#include "fastserve/grpc/request_headers.h"
#include "fastserve/http2/connection.h"

namespace fastserve::grpc {

class ServerCall final : public Call {
 public:
  ServerCall(http2::Connection* connection, MetadataDecoder* decoder, const std::string* peer,
             bool* has_announced_encodings)
      : connection_(connection),
        decoder_(decoder),
        peer_(peer),
        has_announced_encodings_(has_announced_encodings) {}

  // For the connection.
  void open(http2::Stream* stream, const RequestHeaders& headers, Nanos now);
  // Ready for the pool.
  void close();
  // Counts `bytes` of the body as taken from the wire, and a whole message of `bytes` as handed to
  // the front; see hold_messages.
  void on_wire_bytes(size_t bytes) {
    withheld_bytes_ += bytes;
    received_bytes_ += bytes;
  }
  void on_message_handed(size_t bytes);
  // Returns to the peer's window what nobody holds any more.
  void return_window();

  // Whether the peer has owed the same byte (of a message that began), or the same window (for an
  // answer that waits), since the check before this one.
  bool check_stalled();
  // Resets the stream; on_closed follows.
  void reset();

  MessageReader& reader() { return reader_; }
  Encoding encoding() const { return encoding_; }
  bool is_finished() const { return finished_; }
  // The front knows the call.
  bool is_surfaced = false;
  // Bytes of an unfinished message counted in the connection's total.
  size_t assembling_bytes = 0;

  // Call.
  std::string_view path() const override { return path_; }
  std::string_view peer() const override { return *peer_; }
  Nanos deadline() const override { return deadline_; }
  std::string_view header(std::string_view name) const override;
  std::span<const Metadatum> metadata() override { return decoder_->decode(stream_->headers()); }
  void send_initial_metadata(std::span<const Metadatum> metadata) override;
  void send_message(Buffer framed) override;
  Buffer take_spare() override { return connection_->take_spare(*stream_); }
  void set_compression(bool on) override { compress_ = on; }
  void finish(const Status& status, std::span<const Metadatum> trailers = {}) override;
  void hold_messages(bool on) override;
  void credit(size_t bytes) override;
  size_t queued_bytes() const override { return stream_->queued_bytes(); }

  // Not gRPC: the answer is HTTP status 415 (Unsupported Media Type).
  void refuse_media_type();

 private:
  static constexpr uint64_t kNotWaiting = UINT64_MAX;

  void grant(size_t bytes);
  // What every answer begins with; grpc-accept-encoding goes with the first answer of a connection
  // and with those to calls that use an encoding, not with each of a million.
  std::span<const http2::OutHeader> first_headers();

  http2::Connection* connection_;
  MetadataDecoder* decoder_;
  const std::string* peer_;
  bool* has_announced_encodings_;  // of the connection
  http2::Stream* stream_ = nullptr;
  std::string_view path_;
  Nanos deadline_ = kNever;
  Encoding encoding_ = Encoding::kIdentity;
  bool accepts_gzip_ = false;
  bool names_encoding_ = false;  // the request has grpc-encoding
  bool compress_ = false;
  bool answers_gzip_ = false;  // the response headers said so
  bool answering_ = false;     // response headers were sent
  bool finished_ = false;
  bool held_ = false;
  // Unread bytes of the stream, and those of them that belong to messages the front still holds
  // (owed <= withheld).
  size_t withheld_bytes_ = 0;
  size_t owed_bytes_ = 0;
  uint64_t received_bytes_ = 0;
  uint64_t checked_progress_ = kNotWaiting;  // bytes both ways at the last check
  MessageReader reader_;
};

}  // namespace fastserve::grpc
