#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "fastserve/net/server.h"
#include "fastserve/net/tls_context.h"
#include "fastserve/net/tls_session.h"
#include "tests/echo_front.h"
#include "tests/identity.h"
#include "tests/socket_client.h"

namespace fastserve::net {
namespace {

using testing::EchoHouse;
using testing::Freed;
using testing::identities;
using testing::Identity;
using testing::SocketClient;
using testing::text_of;

using ContextPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;

struct ClientOptions {
  std::string_view alpn = std::string_view("\x02h2", 3);
  int max_version = 0;
  const Identity* identity = nullptr;
  const char* ciphers = nullptr;
};

// A handshake over a blocking socket; null when it fails.
SSL* handshake(int descriptor, const ClientOptions& options) {
  const ContextPtr context(SSL_CTX_new(TLS_client_method()));
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()),
                      identities().authority.certificate.get());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (options.max_version != 0) {
    SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
    SSL_CTX_set_security_level(context.get(), 0);
    SSL_CTX_set_max_proto_version(context.get(), options.max_version);
  }
  if (options.ciphers != nullptr) SSL_CTX_set_cipher_list(context.get(), options.ciphers);
  if (options.identity != nullptr) {
    SSL_CTX_use_certificate(context.get(), options.identity->certificate.get());
    SSL_CTX_use_PrivateKey(context.get(), options.identity->key.get());
  }
  SSL* ssl = SSL_new(context.get());
  if (!options.alpn.empty()) {
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(options.alpn.data()),
                        static_cast<unsigned int>(options.alpn.size()));
  }
  SSL_set_fd(ssl, descriptor);
  if (SSL_connect(ssl) == 1) return ssl;
  SSL_free(ssl);
  return nullptr;
}

struct Fixture {
  explicit Fixture(bool asks_client = false, Timeouts timeouts = {}) {
    ServerOptions options;
    options.io_threads = 1;
    options.timeouts = timeouts;
    server = std::make_unique<Server>(options, house.factory());
    auto tls =
        TlsContext::make(identities().server.certificate_pem(), identities().server.key_pem(),
                         asks_client ? identities().authority.certificate_pem() : "");
    REQUIRE(tls.ok());
    int os_error = 0;
    const auto bound = server->listen_tcp("127.0.0.1", 0, tls.value(), &os_error);
    REQUIRE(bound.ok());
    port = bound.value().port;
    REQUIRE(server->start().ok());
  }
  // Whether a call gets through.
  bool is_served(const ClientOptions& options) {
    const int descriptor = testing::connect_tcp(port);
    SSL* const ssl = handshake(descriptor, options);
    if (ssl == nullptr) {
      close(descriptor);
      return false;
    }
    SocketClient client(descriptor, ssl);
    return client.unary("/test/echo", "secret").messages() == std::vector<std::string>{"secret"};
  }

  EchoHouse house;
  std::unique_ptr<Server> server;
  uint16_t port = 0;
};

TEST_CASE("tls serves calls over TLS 1.3 and 1.2 with h2") {
  Fixture f;
  CHECK(f.is_served({}));
  CHECK(f.is_served({.max_version = TLS1_2_VERSION}));
}

TEST_CASE("tls carries messages of many records both ways") {
  Fixture f;
  const int descriptor = testing::connect_tcp(f.port);
  SSL* const ssl = handshake(descriptor, {});
  REQUIRE(ssl != nullptr);
  SocketClient client(descriptor, ssl);
  std::string large(3 << 20, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 + i / 257);
  const auto& answer = client.unary("/test/echo", large);
  REQUIRE(answer.messages().size() == 1);
  CHECK(answer.messages()[0] == large);
}

TEST_CASE("tls refuses TLS 1.1, suites without forward secrecy, and clients without h2") {
  Fixture f;
  CHECK_FALSE(f.is_served({.max_version = TLS1_1_VERSION}));
  CHECK_FALSE(f.is_served({.max_version = TLS1_2_VERSION, .ciphers = "AES128-GCM-SHA256"}));
  CHECK_FALSE(f.is_served({.max_version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA"}));
  CHECK_FALSE(f.is_served({.alpn = std::string_view("\x08http/1.1", 9)}));
  CHECK_FALSE(f.is_served({.alpn = ""}));
  CHECK(f.is_served({.alpn = std::string_view("\x08http/1.1\x02h2", 12)}));
  CHECK(f.house.opened == 1);
}

TEST_CASE("tls with a client CA serves only clients that it signed") {
  Fixture f(true);
  CHECK(f.is_served({.identity = &identities().client}));
  CHECK_FALSE(f.is_served({}));
  CHECK_FALSE(f.is_served({.identity = &identities().stranger}));
  CHECK_FALSE(f.is_served({.max_version = TLS1_2_VERSION}));
  CHECK(f.is_served({.max_version = TLS1_2_VERSION, .identity = &identities().client}));
  CHECK(f.house.opened == 2);
}

TEST_CASE("tls closes a client that does not finish its handshake, and one that speaks in clear") {
  Timeouts timeouts;
  timeouts.opening = 20 * kMillisecond;
  Fixture f(false, timeouts);
  const int silent = testing::connect_tcp(f.port);
  char byte;
  CHECK(recv(silent, &byte, 1, 0) == 0);
  close(silent);
  SocketClient clear(testing::connect_tcp(f.port));
  CHECK(clear.unary("/test/echo", "x").status().empty());
  CHECK(f.house.opened == 0);
}

TEST_CASE("tls says goodbye when the server drains") {
  Timeouts timeouts;
  timeouts.drain_step = 2 * kMillisecond;
  Fixture f(false, timeouts);
  const int descriptor = testing::connect_tcp(f.port);
  SSL* const ssl = handshake(descriptor, {});
  REQUIRE(ssl != nullptr);
  SocketClient client(descriptor, ssl);
  client.unary("/test/echo", "x");
  f.server->start_drain();
  CHECK(client.pump_until_end());
  CHECK((SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
}

TEST_CASE("tls context names the part that cannot be used and how to mend it") {
  const Identity& server = identities().server;
  const auto message_of = [](std::string_view certificate, std::string_view key,
                             std::string_view client_ca) {
    const auto made = TlsContext::make(certificate, key, client_ca);
    REQUIRE_FALSE(made.ok());
    CHECK(made.status().code() == Code::kInvalidArgument);
    return made.status().message();
  };
  const auto has = [](const std::string& message, std::string_view part) {
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  const std::string certificate = server.certificate_pem();
  const std::string key = server.key_pem();
  has(message_of("", key, ""), "TLS certificate");
  has(message_of("no PEM", key, ""), "TLS certificate");
  has(message_of(key, key, ""), "TLS certificate");
  has(message_of(certificate, "", ""), "TLS private key");
  has(message_of(certificate, identities().client.key_pem(), ""), "belongs to the certificate");
  has(message_of(certificate, server.key_pem("passphrase"), ""), "unencrypted");
  has(message_of(certificate, key, "no PEM"), "TLS client CA");
  std::string damaged = certificate;
  damaged[certificate.size() / 2] = '!';
  has(message_of(damaged, key, ""), "TLS certificate");
  has(message_of(certificate + damaged, key, ""), "TLS certificate");
  CHECK(TlsContext::make(certificate + identities().authority.certificate_pem(), key, "").ok());
}

TEST_CASE("tls session survives every truncation and corruption of a client's first bytes") {
  // A recorded ClientHello, cut and flipped; the session must refuse or wait, never crash.
  const auto context =
      TlsContext::make(identities().server.certificate_pem(), identities().server.key_pem(), "");
  REQUIRE(context.ok());
  const ContextPtr client_context(SSL_CTX_new(TLS_client_method()));
  const std::unique_ptr<SSL, Freed<SSL_free>> client(SSL_new(client_context.get()));
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(client.get(), BIO_new(BIO_s_mem()), out);
  SSL_connect(client.get());
  const std::string hello = text_of(out);
  REQUIRE(hello.size() > 100);
  for (size_t i = 0; i < hello.size(); ++i) {
    Buffer plain;
    TlsSession cut(*context.value());
    CHECK(cut.decrypt(as_bytes(std::string_view(hello).substr(0, i)), &plain).ok());
    std::string flipped = hello;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x55);
    TlsSession session(*context.value());
    static_cast<void>(session.decrypt(as_bytes(flipped), &plain));
    CHECK_FALSE(session.is_established());
    CHECK(plain.empty());
  }
}

}  // namespace
}  // namespace fastserve::net
