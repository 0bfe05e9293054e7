#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "fastserve/net/tls_context.h"
#include "fastserve/net/tls_session.h"
#include "tests/identity.h"

namespace fastserve::net {
namespace {

using testing::Freed;
using testing::identities;
using testing::Identity;
using testing::text_of;
using Fault = TlsSession::Fault;

struct Trust {
  std::string name = "models.test";
  std::string authorities = identities().authority.certificate_pem();
  const Identity* identity = nullptr;
};

std::shared_ptr<const TlsContext> client_context(const Trust& trust) {
  const auto made =
      TlsContext::make_client(trust.name, trust.authorities,
                              trust.identity != nullptr ? trust.identity->certificate_pem() : "",
                              trust.identity != nullptr ? trust.identity->key_pem() : "");
  REQUIRE(made.ok());
  return made.value();
}

std::shared_ptr<const TlsContext> server_context(bool asks_client = false) {
  const auto made =
      TlsContext::make(identities().server.certificate_pem(), identities().server.key_pem(),
                       asks_client ? identities().authority.certificate_pem() : "");
  REQUIRE(made.ok());
  return made.value();
}

// Both ends of one connection.
struct Pair {
  explicit Pair(const Trust& trust, bool asks_client = false)
      : contexts{client_context(trust), server_context(asks_client)},
        client(*contexts[0]),
        server(*contexts[1]) {
    status = client.decrypt({}, &client_got);
  }
  // Carries bytes both ways until neither has any. What the client said last is in `status`.
  void pump() {
    while (!client.output().empty() || !server.output().empty()) {
      Buffer up;
      up.swap(client.output());
      if (!up.empty()) static_cast<void>(server.decrypt(up.bytes(), &server_got));
      Buffer down;
      down.swap(server.output());
      if (!down.empty() && status.ok()) status = client.decrypt(down.bytes(), &client_got);
    }
  }

  std::shared_ptr<const TlsContext> contexts[2];
  TlsSession client;
  TlsSession server;
  Buffer client_got;
  Buffer server_got;
  Status status;
};

void check_refused(Pair* pair, Fault fault, std::string_view said) {
  pair->pump();
  CHECK_FALSE(pair->status.ok());
  CHECK(pair->client.fault() == fault);
  CAPTURE(pair->status.message());
  CHECK(pair->status.message().find(said) != std::string::npos);
}

TEST_CASE("tls_client takes a server that its authority signed for the name, and is understood") {
  for (const char* name : {"models.test", "MODELS.test", "127.0.0.1", "::1"}) {
    CAPTURE(name);
    Pair pair({.name = name});
    pair.pump();
    REQUIRE(pair.status.ok());
    REQUIRE(pair.client.is_established());
    REQUIRE(pair.server.is_established());
    const std::string large(100'000, 'x');
    REQUIRE(pair.client.encrypt(as_bytes(large)).ok());
    REQUIRE(pair.server.encrypt(as_bytes("answer")).ok());
    pair.pump();
    CHECK(as_text(pair.server_got.bytes()) == large);
    CHECK(as_text(pair.client_got.bytes()) == "answer");
    pair.server.close();
    pair.pump();
    CHECK(pair.status.code() == Code::kCancelled);
  }
}

TEST_CASE("tls_client trusts whom it was told to trust, and nobody else") {
  Pair unknown({.authorities = identities().stranger.certificate_pem()});
  check_refused(&unknown, Fault::kAuthority, "certificate verify failed: unable to get local");
  CHECK_FALSE(unknown.client.is_established());
  Pair system({.authorities = ""});
  check_refused(&system, Fault::kAuthority, "certificate verify failed");
  // Not an authority at all, but named as the one to trust.
  Pair pinned({.authorities = identities().server.certificate_pem()});
  pinned.pump();
  CHECK(pinned.client.is_established());
}

TEST_CASE("tls_client refuses a certificate for others, and says for whom it is") {
  Pair name({.name = "other.test"});
  check_refused(&name, Fault::kName,
                "expected 'other.test'; the certificate is for 'models.test', '127.0.0.1', '::1'");
  Pair address({.name = "127.0.0.2"});
  check_refused(&address, Fault::kName, "IP address mismatch, expected '127.0.0.2'");
  // No host's name by the rules: must not be taken for one that needs no check.
  for (const char* odd : {"127.0.0.1.", "fe80::1%lo", "*.test", "models.test."}) {
    CAPTURE(odd);
    Pair pair({.name = odd});
    check_refused(&pair, Fault::kName, "certificate verify failed");
  }
}

TEST_CASE("tls_client shows its certificate, and hears when it is missed or not trusted") {
  Pair good({.identity = &identities().client}, true);
  good.pump();
  CHECK(good.client.is_established());
  CHECK(good.server.is_established());
  Pair none({}, true);
  check_refused(&none, Fault::kCertificate, "certificate required");
  Pair stranger({.identity = &identities().stranger}, true);
  check_refused(&stranger, Fault::kCertificate, "unknown ca");
}

// OpenSSL's own server end, which knows nothing of ALPN.
TEST_CASE("tls_client leaves a server that does not choose h2") {
  const std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>> context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate(context.get(), identities().server.certificate.get());
  SSL_CTX_use_PrivateKey(context.get(), identities().server.key.get());
  const std::unique_ptr<SSL, Freed<SSL_free>> server(SSL_new(context.get()));
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(server.get(), in, out);
  SSL_set_accept_state(server.get());

  const auto trusting = client_context({});
  TlsSession client(*trusting);
  Buffer got;
  Status status = client.decrypt({}, &got);
  for (int turn = 0; turn < 4 && status.ok(); ++turn) {
    BIO_write(in, client.output().data(), static_cast<int>(client.output().size()));
    client.output().clear();
    SSL_do_handshake(server.get());
    const std::string answer = text_of(out);
    static_cast<void>(BIO_reset(out));
    status = client.decrypt(as_bytes(answer), &got);
  }
  CHECK_FALSE(status.ok());
  CHECK(status.message().find("did not choose the protocol h2") != std::string::npos);
  CHECK_FALSE(client.is_established());
}

TEST_CASE("tls_client knows a server that speaks no TLS") {
  const auto trusting = client_context({});
  for (const std::string_view said :
       {std::string_view("\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", 15),
        std::string_view("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string_view("220 mail\r\n")}) {
    TlsSession client(*trusting);
    Buffer got;
    REQUIRE(client.decrypt({}, &got).ok());
    CHECK_FALSE(client.decrypt(as_bytes(said), &got).ok());
    CHECK(client.fault() == Fault::kNoTls);
  }
}

TEST_CASE("tls_client context names the part that cannot be used and how to mend it") {
  const std::string certificate = identities().client.certificate_pem();
  const std::string key = identities().client.key_pem();
  const auto check = [](std::string_view part, const std::string& name,
                        std::string_view authorities, std::string_view own,
                        std::string_view own_key) {
    const auto made = TlsContext::make_client(name, authorities, own, own_key);
    REQUIRE_FALSE(made.ok());
    CHECK(made.status().code() == Code::kInvalidArgument);
    CAPTURE(made.status().message());
    CHECK(made.status().message().find(part) != std::string::npos);
  };
  check("TLS server CA", "a", "no PEM", "", "");
  check("TLS certificate", "a", "", "", key);
  check("the client's certificate first", "a", "", "no PEM", key);
  check("TLS private key", "a", "", certificate, "");
  check("belongs to the certificate", "a", "", certificate, identities().server.key_pem());
  check("TLS server name ''", "", "", "", "");
  check("TLS server name", std::string(256, 'a'), "", "", "");
  check("TLS server name", std::string("a\0b", 3), "", "", "");
}

TEST_CASE("tls_client survives every truncation and corruption of a server's first bytes") {
  size_t size = 1;
  for (size_t i = 0; i < size; i += 5) {
    Pair cut({});
    Pair flipped({});
    for (Pair* pair : {&cut, &flipped}) {
      REQUIRE(pair->server.decrypt(pair->client.output().bytes(), &pair->server_got).ok());
    }
    std::string answer(as_text(flipped.server.output().bytes()));
    size = answer.size();
    answer[i] = static_cast<char>(answer[i] ^ 0x55);
    static_cast<void>(flipped.client.decrypt(as_bytes(answer), &flipped.client_got));
    CHECK(flipped.client_got.empty());
    const std::string whole(as_text(cut.server.output().bytes()));
    CHECK(cut.client.decrypt(as_bytes(std::string_view(whole).substr(0, i)), &cut.client_got).ok());
    CHECK_FALSE(cut.client.is_established());
  }
  CHECK(size > 500);
}

}  // namespace
}  // namespace fastserve::net
