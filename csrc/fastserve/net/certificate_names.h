// Whom a certificate is for.
#pragma once

#include <string>

struct x509_st;

namespace fastserve::net {

// The host names and IP addresses that `certificate` carries, fit for an error message: quoted,
// with commas, the first few; "no name" where it has none.
std::string certificate_names(const x509_st* certificate);

}  // namespace fastserve::net
