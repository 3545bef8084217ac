#include "cli/source_table.hpp"

#include <algorithm>
#include <vector>

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "common/suggest.hpp"

namespace muskrat::cli {
namespace {

// SOURCE.TABLE, where SOURCE is one of the configuration; else the table is as it was written.
const Component* named_before(const Config& config, std::string& table) {
  const size_t dot = table.find('.');
  if (dot == std::string::npos) return nullptr;
  for (const Component& source : config.sources) {
    if (source.name != table.substr(0, dot)) continue;
    table = table.substr(dot + 1);
    return &source;
  }
  return nullptr;
}

const Component* only_one(const Config& config, std::span<const std::string_view> kinds) {
  const Component* only = nullptr;
  for (const Component& source : config.sources) {
    if (std::find(kinds.begin(), kinds.end(), source.kind) == kinds.end()) continue;
    if (only != nullptr) return nullptr;
    only = &source;
  }
  return only == nullptr && config.sources.size() == 1 ? &config.sources.front() : only;
}

}  // namespace

const Component& source_of_table(const Config& config, std::span<const std::string_view> kinds,
                                 const std::string& source, std::string& table) {
  if (!source.empty()) return find_component(config.sources, source, "source");
  if (const Component* named = named_before(config, table)) return *named;
  if (const Component* only = only_one(config, kinds)) return *only;
  std::vector<std::string_view> names;
  for (const Component& known : config.sources) names.emplace_back(known.name);
  throw UsageError("which source? Give SOURCE.TABLE or --source; there are " + listed(names));
}

}  // namespace muskrat::cli
