#include "fastserve/route/explanation.h"

#include <string_view>

namespace fastserve::route {
namespace {

class ListedRequest final : public RequestView {
 public:
  ListedRequest(const NamedTexts& headers, const NamedTexts& parameters)
      : headers_(headers), parameters_(parameters) {}

  std::string_view header(std::string_view name) const override { return find(headers_, name); }
  std::string_view parameter(std::string_view name) const override {
    return find(parameters_, name);
  }

 private:
  static std::string_view find(const NamedTexts& texts, std::string_view name) {
    for (const auto& [key, value] : texts) {
      if (key == name) return value;
    }
    return {};
  }

  const NamedTexts& headers_;
  const NamedTexts& parameters_;
};

}  // namespace

Explained explain(const RouteTable& table, const NamedTexts& headers,
                  const NamedTexts& parameters) {
  const ListedRequest request(headers, parameters);
  if (const HeaderRule* rule = table.match(request)) {
    return {.version = rule->version,
            .reason = static_cast<size_t>(Reason::kRule),
            .rule = rule - table.spec().rules.data()};
  }
  const std::string_view key = table.sticky_key(request);
  if (key.empty()) return {.reason = static_cast<size_t>(Reason::kWeight)};
  return {.version = table.choose_key(key).version,
          .reason = static_cast<size_t>(Reason::kSticky),
          .slot = static_cast<int64_t>(table.slots()->slot_of(key))};
}

std::vector<double> shares(const RouteTable& table) {
  std::vector<double> found;
  double sum = 0;
  for (const RouteEntry& entry : table.spec().entries) sum += entry.weight;
  for (size_t i = 0; i < table.spec().entries.size(); ++i) {
    found.push_back(table.slots() != nullptr ? table.slots()->share(i)
                                             : table.spec().entries[i].weight / sum);
  }
  return found;
}

}  // namespace fastserve::route
