// Certificates made for a test: an authority, and those whom it signs.
#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace fastserve::net::testing {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<X509_free>>;
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free_all>>;

inline std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

// A certificate and its key, signed by `issuer` or by itself. `names` as OpenSSL writes a
// subjectAltName: "DNS:models.test,IP:127.0.0.1".
struct Identity {
  explicit Identity(const char* name, const Identity* issuer = nullptr, const char* names = nullptr)
      : key(EVP_EC_gen("P-256")), certificate(X509_new()) {
    X509* const x509 = certificate.get();
    static long serial = 1;
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    const Identity& signer = issuer != nullptr ? *issuer : *this;
    X509_set_issuer_name(x509, X509_get_subject_name(signer.certificate.get()));
    extend(NID_basic_constraints, issuer != nullptr ? "CA:FALSE" : "critical,CA:TRUE");
    if (names != nullptr) extend(NID_subject_alt_name, names);
    X509_sign(x509, signer.key.get(), EVP_sha256());
  }
  std::string certificate_pem() const {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate.get());
    return text_of(bio.get());
  }
  std::string key_pem(const char* passphrase = nullptr) const {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key.get(),
                             passphrase != nullptr ? EVP_aes_128_cbc() : nullptr, nullptr, 0,
                             nullptr, const_cast<char*>(passphrase));
    return text_of(bio.get());
  }

  KeyPtr key;
  CertificatePtr certificate;

 private:
  void extend(int kind, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    X509_add_ext(certificate.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
};

struct Identities {
  Identity authority{"authority"};
  Identity server{"server", &authority, "DNS:models.test,IP:127.0.0.1,IP:::1"};
  Identity client{"client", &authority};
  Identity stranger{"stranger"};
};
inline const Identities& identities() {
  static const Identities made;
  return made;
}

}  // namespace fastserve::net::testing
