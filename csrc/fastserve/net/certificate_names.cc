#include "fastserve/net/certificate_names.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>
#include <string_view>

#include "fastserve/base/quoted.h"

namespace fastserve::net {
namespace {

constexpr int kMostNames = 8;
constexpr int kIpv4Bytes = 4;
constexpr int kIpv6Bytes = 16;

// Empty for what is neither.
std::string text_of(const GENERAL_NAME* name) {
  int type = 0;
  const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &type));
  if (type != GEN_DNS && type != GEN_IPADD) return "";
  const unsigned char* data = ASN1_STRING_get0_data(value);
  const int size = ASN1_STRING_length(value);
  if (type == GEN_DNS) {
    return quoted({reinterpret_cast<const char*>(data), static_cast<size_t>(size)});
  }
  if (size != kIpv4Bytes && size != kIpv6Bytes) return "";
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(size == kIpv4Bytes ? AF_INET : AF_INET6, data, text.data(), text.size());
  return quoted(text.data());
}

}  // namespace

std::string certificate_names(const x509_st* certificate) {
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  std::string shown;
  int count = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const std::string text = text_of(sk_GENERAL_NAME_value(names.get(), i));
    if (text.empty()) continue;
    if (++count > kMostNames) return shown + ", ...";
    shown += (shown.empty() ? "" : ", ") + text;
  }
  return shown.empty() ? "no name" : shown;
}

}  // namespace fastserve::net
