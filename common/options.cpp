#include "common/options.hpp"

#include <stdexcept>

#include "common/failure.hpp"
#include "common/secrets.hpp"
#include "common/settings_builder.hpp"

namespace muskrat {
namespace {

[[noreturn]] void programmer(std::string_view name, const char* what) {
  throw std::logic_error("option " + std::string(name) + ": " + what);
}

}  // namespace

std::string describe(const Problem& problem) {
  std::string out = problem.where.file;
  if (problem.where.line > 0) out += ":" + std::to_string(problem.where.line);
  if (!out.empty()) out += ": ";
  return out + (problem.error ? "error: " : "warning: ") + problem.text;
}

const Settings::Value& Settings::value(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) programmer(name, "it is not in this component's table");
  return *found->second;
}

const Settings::Value& Settings::value(std::string_view name, OptionType type) const {
  const Value& found = value(name);
  if (found.type != type) programmer(name, "it is asked for as another type than its table says");
  if (!found.present) programmer(name, "it has neither value nor default; ask has() first");
  return found;
}

bool Settings::knows(std::string_view name) const { return values_.contains(name); }
bool Settings::has(std::string_view name) const { return value(name).present; }
bool Settings::given(std::string_view name) const { return value(name).given; }

const std::string& Settings::text(std::string_view name) const {
  const Value& found = value(name);
  if (found.type != OptionType::text && found.type != OptionType::secret && found.type != OptionType::choice) {
    programmer(name, "it is not a text");
  }
  return found.text;
}

int64_t Settings::integer(std::string_view name) const { return value(name, OptionType::integer).integer; }
double Settings::number(std::string_view name) const { return value(name, OptionType::number).number; }
bool Settings::boolean(std::string_view name) const { return value(name, OptionType::boolean).boolean; }
int64_t Settings::bytes(std::string_view name) const { return value(name, OptionType::bytes).integer; }

milliseconds Settings::duration(std::string_view name) const {
  return milliseconds(value(name, OptionType::duration).integer);
}

const std::vector<std::string>& Settings::texts(std::string_view name) const {
  const Value& found = value(name);
  if (found.type != OptionType::text_list) programmer(name, "it is not a list of texts");
  return found.texts;
}

const std::vector<Settings>& Settings::records(std::string_view name) const {
  const Value& found = value(name);
  if (found.type != OptionType::records) programmer(name, "it is not a list of records");
  return found.records;
}

const Settings& Settings::section(std::string_view name) const {
  return value(name, OptionType::section).records.front();
}

const std::string& Settings::scalar(std::string_view name) const {
  const Value& found = value(name);
  if (found.type != OptionType::scalar && found.type != OptionType::json) programmer(name, "it is not a scalar");
  return found.text;
}

std::string Settings::fresh_secret(std::string_view name) const {
  const Value& found = value(name);
  if (!found.given) return found.text;
  Resolved resolved = resolve_references(found.raw, found.folder);
  if (resolved.error.empty()) return std::move(resolved.text);
  throw Failure(Remedy::reconnect, "the setting " + std::string(name) + " (" + found.where.file + ":" +
                                       std::to_string(found.where.line) + "): " + resolved.error);
}

Where Settings::where(std::string_view name) const {
  const Value& found = value(name);
  return found.given ? found.where : where_;
}

std::vector<Option> joined(std::initializer_list<OptionTable> tables) {
  std::vector<Option> all;
  for (const OptionTable& table : tables) all.insert(all.end(), table.begin(), table.end());
  return all;
}

Settings default_settings(OptionTable table) { return SettingsBuilder(table, {}).finish(); }

}  // namespace muskrat
