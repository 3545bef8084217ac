// Option tables: a component says which settings it takes, with type, default,
// range and help; validation, `muskrat check`, --help and the generated
// reference in docs/configuration.md all follow from the table.
//
// Used by common/config.cpp (which fills a Settings from YAML) and by every
// source and endpoint (which reads it). Settings are sealed: once loaded they
// have been checked, so the getters only throw on a programmer's mistake.
// Thread rule: immutable after loading.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"

namespace muskrat {

enum class OptionType {
  text,
  secret,   // like text; shown as *** everywhere; ${ENV} and ${file:PATH} are the ways to give it
  integer,  // range "1..65535"
  number,
  boolean,
  duration,   // 250ms, 10s, 5m, 2h, 7d
  bytes,      // 512, 64KiB, 16MiB, 1GiB
  choice,     // range "a|b|c"
  text_list,  // a list of texts, or one text
  records,    // a list of maps, each with the table `children`; one map alone is a list of one
  scalar,     // any YAML scalar, kept as canonical JSON text (numbers keep their digits)
  section,    // one map with the table `children`; a missing one has the children's defaults
  json,       // anything YAML can say, lists and maps too, kept as canonical JSON text
};

struct Option {
  std::string_view name;
  OptionType type;
  std::string_view default_value;  // as it would stand in YAML; "" = none
  std::string_view range;          // see OptionType; "" = any
  std::string_view help;           // one sentence, with the unit
  bool required = false;
  std::span<const Option> children = {};  // records and section only
  bool shorthand = false;                 // in records: a plain scalar element stands for this option alone
};

using OptionTable = std::span<const Option>;

// Several tables as one: a kind's own options and those of a part that it is made with.
std::vector<Option> joined(std::initializer_list<OptionTable> tables);

// Where a setting was written, for error messages.
struct Where {
  std::string file;
  int line = 0;
};

struct Problem {
  Where where;
  std::string text;   // what is wrong and what to do
  bool error = true;  // else a warning
};

// "muskrat.yaml:12: error: …"
std::string describe(const Problem& problem);

// A name that is not in the table is a programmer's mistake: std::logic_error. Of an option without value and default,
// text(), scalar(), texts() and records() are empty; the other getters throw std::logic_error (ask has() first).
class Settings {
 public:
  bool knows(std::string_view name) const;  // the table has such an option
  bool has(std::string_view name) const;    // given, or has a default
  bool given(std::string_view name) const;  // stands in the file
  const std::string& text(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  bool boolean(std::string_view name) const;
  milliseconds duration(std::string_view name) const;
  int64_t bytes(std::string_view name) const;
  const std::vector<std::string>& texts(std::string_view name) const;
  const std::vector<Settings>& records(std::string_view name) const;
  const Settings& section(std::string_view name) const;
  // Canonical JSON of a `scalar` or `json`.
  const std::string& scalar(std::string_view name) const;
  // The text with its ${NAME} and ${file:PATH} resolved anew: to be asked for at every connect, so that a rotated
  // secret needs no restart. Failure{reconnect} when the file or variable is gone.
  std::string fresh_secret(std::string_view name) const;
  // The line of the option, or of the component when it was not given.
  Where where(std::string_view name) const;

 private:
  friend class SettingsBuilder;  // common/settings_builder.hpp
  struct Value;
  const Value& value(std::string_view name) const;
  const Value& value(std::string_view name, OptionType type) const;
  std::map<std::string, std::shared_ptr<const Value>, std::less<>> values_;
  Where where_;
};

// A table's defaults alone: what a section that is missing in the file holds.
Settings default_settings(OptionTable table);

}  // namespace muskrat
