#include "common/settings_builder.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <stdexcept>

#include "common/duration.hpp"
#include "common/json.hpp"

namespace muskrat {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};
constexpr std::array<Unit, 5> durations{{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 6> sizes{
    {{"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", int64_t{1} << 40}}};

template <class Number>
bool whole(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool with_unit(std::string_view text, std::span<const Unit> units, int64_t& out) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (!whole(text.substr(0, digits), out)) return false;
  std::string_view unit = text.substr(digits);
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  for (const Unit& known : units) {
    if (known.name == unit)
      return out <= std::numeric_limits<int64_t>::max() / known.factor && (out *= known.factor, true);
  }
  return out == 0 && unit.empty();  // "0" needs no unit
}

bool parse_boolean(std::string_view text, bool& out) {
  out = text == "true" || text == "yes" || text == "on";
  return out || text == "false" || text == "no" || text == "off";
}

bool one_of(std::string_view choices, std::string_view text) {
  for (size_t start = 0; start <= choices.size();) {
    const size_t bar = std::min(choices.find('|', start), choices.size());
    if (choices.substr(start, bar - start) == text) return true;
    start = bar + 1;
  }
  return false;
}

struct Figures {
  int64_t integer = 0;
  double number = 0;
};

bool parse_figures(OptionType type, std::string_view text, Figures& out) {
  switch (type) {
    case OptionType::integer:
      return whole(text, out.integer);
    case OptionType::number:
      return whole(text, out.number) && out.number - out.number == 0;
    case OptionType::duration:
      return with_unit(text, durations, out.integer);
    case OptionType::bytes:
      return with_unit(text, sizes, out.integer);
    default:
      return true;
  }
}

bool in_range(const Option& option, const Figures& figures) {
  const size_t dots = option.range.find("..");
  if (dots == std::string_view::npos) return true;
  const std::string_view low_text = option.range.substr(0, dots), high_text = option.range.substr(dots + 2);
  Figures low, high;
  const bool low_ok = low_text.empty() || (parse_figures(option.type, low_text, low) &&
                                           low.integer <= figures.integer && low.number <= figures.number);
  return low_ok && (high_text.empty() || (parse_figures(option.type, high_text, high) &&
                                          figures.integer <= high.integer && figures.number <= high.number));
}

std::string choice_words(std::string_view choices) {
  std::string out = "one of ";
  for (char c : choices) {
    if (c == '|') {
      out += ", ";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::optional<milliseconds> parse_duration(std::string_view text) {
  int64_t count = 0;
  return with_unit(text, durations, count) ? std::optional(milliseconds(count)) : std::nullopt;
}

std::string duration_text(milliseconds span) {
  const auto fits = [&](const Unit& unit) { return span.count() % unit.factor == 0; };
  const auto largest = std::find_if(durations.rbegin(), durations.rend(), fits);
  return std::to_string(span.count() / largest->factor) + std::string(largest->name);
}

std::string canonical_json(const std::string& text, bool quoted) {
  if (quoted) return json::quote(text);
  if (text.empty() || text == "~" || text == "null") return "null";
  if (text == "true" || text == "false") return text;
  std::string why;
  const auto document = json::Document::parse(text, why);
  if (document && document->root().type() == json::Type::number) return document->root().dump();
  return json::quote(text);
}

std::string range_words(std::string_view range) {
  const size_t dots = range.find("..");
  if (dots == std::string_view::npos) return {};
  const std::string low(range.substr(0, dots)), high(range.substr(dots + 2));
  if (high.empty()) return ", at least " + low;
  if (low.empty()) return ", at most " + high;
  return ", from " + low + " to " + high;
}

std::string expectation(const Option& option) {
  switch (option.type) {
    case OptionType::text:
    case OptionType::secret:
      return "a text";
    case OptionType::integer:
      return "a whole number" + range_words(option.range);
    case OptionType::number:
      return "a number" + range_words(option.range);
    case OptionType::boolean:
      return "true or false";
    case OptionType::duration:
      return "a duration such as 250ms, 10s, 5m, 2h or 7d" + range_words(option.range);
    case OptionType::bytes:
      return "a size such as 512, 64KiB, 16MiB or 1GiB" + range_words(option.range);
    case OptionType::choice:
      return choice_words(option.range);
    case OptionType::text_list:
      return "a text or a list of texts";
    case OptionType::records:
      return "a list of maps";
    case OptionType::scalar:
      return "a text, a number, true, false or null";
    case OptionType::section:
      return "a map";
    case OptionType::json:
      return "any value";
  }
  return {};
}

SettingsBuilder::SettingsBuilder(OptionTable table, Where where) : table_(table), where_(std::move(where)) {
  for (const Option& option : table_) {
    Settings::Value& value = fresh(option, where_);
    value.given = false;
    value.present = false;
    if (option.type == OptionType::section) {
      value.records.push_back(SettingsBuilder(option.children, where_).finish());
      value.present = true;
    }
    if (option.default_value.empty()) continue;
    ScalarText scalar;
    scalar.text = scalar.raw = option.default_value;
    if (!set(option, scalar).empty()) throw std::logic_error("bad default of option " + std::string(option.name));
    values_.find(option.name)->second->given = false;
  }
}

Settings::Value& SettingsBuilder::fresh(const Option& option, const Where& where) {
  auto& slot = values_[std::string(option.name)];
  slot = std::make_shared<Settings::Value>();
  slot->type = option.type;
  slot->present = slot->given = true;
  slot->where = where;
  return *slot;
}

std::string SettingsBuilder::set(const Option& option, const ScalarText& scalar) {
  const std::string& text = scalar.text;
  Figures figures;
  bool boolean = false;
  const bool good = parse_figures(option.type, text, figures) && in_range(option, figures) &&
                    (option.type != OptionType::boolean || parse_boolean(text, boolean)) &&
                    (option.type != OptionType::choice || one_of(option.range, text));
  if (!good || option.type == OptionType::records || option.type == OptionType::section) {
    return "expected " + expectation(option);
  }
  if (option.required && text.empty()) return "must not be empty";
  Settings::Value& value = fresh(option, scalar.where);
  value.raw = scalar.raw;
  value.folder = scalar.folder;
  value.integer = figures.integer;
  value.number = figures.number;
  value.boolean = boolean;
  value.text = option.type == OptionType::scalar ? canonical_json(text, scalar.quoted) : text;
  if (option.type == OptionType::text_list) value.texts = {text};
  return {};
}

void SettingsBuilder::set_texts(const Option& option, std::vector<std::string> texts, const Where& where) {
  fresh(option, where).texts = std::move(texts);
}

void SettingsBuilder::set_json(const Option& option, std::string text, const Where& where) {
  fresh(option, where).text = std::move(text);
}

void SettingsBuilder::set_records(const Option& option, std::vector<Settings> records, const Where& where) {
  fresh(option, where).records = std::move(records);
}

std::vector<std::string_view> SettingsBuilder::missing() const {
  std::vector<std::string_view> names;
  for (const Option& option : table_) {
    const Settings::Value& value = *values_.find(option.name)->second;
    if (option.required && !value.given) names.push_back(option.name);
  }
  return names;
}

Settings SettingsBuilder::finish() {
  Settings settings;
  for (auto& [name, value] : values_) settings.values_.emplace(name, std::move(value));
  settings.where_ = where_;
  return settings;
}

}  // namespace muskrat
