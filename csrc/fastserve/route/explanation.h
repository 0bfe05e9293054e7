// What a RouteTable would do with a request of these headers and parameters, and why. For people:
// nothing is counted and nothing dealt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fastserve/route/route_table.h"

namespace fastserve::route {

struct Explained {
  int64_t version = 0;  // 0: the weights decide, from one request to the next
  size_t reason = 0;    // a Reason
  int64_t rule = -1;    // index of the rule that matched
  int64_t slot = -1;    // of the sticky key
};

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

// Names of headers in lower case.
Explained explain(const RouteTable& table, const NamedTexts& headers, const NamedTexts& parameters);

// Of the entries, in their order: their part of all sticky keys, or the weight's of the sum where
// the route has no key.
std::vector<double> shares(const RouteTable& table);

}  // namespace fastserve::route
