// How a Settings comes to be: text by text, against an option table.
//
// Used by config.cpp's readers and options.cpp alone; components see only the
// sealed Settings. The builder checks types, ranges and choices, fills in the
// defaults, and says what is wrong as a value. It knows nothing of YAML.
// Thread rule: one owner.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/options.hpp"

namespace muskrat {

struct Settings::Value {
  OptionType type = OptionType::text;
  bool present = false;  // given, or has a default
  bool given = false;
  Where where;
  std::string raw, folder;  // as it stands in the file, and what its ${file:…} is relative to
  std::string text;         // text, secret, choice; a scalar's canonical JSON
  int64_t integer = 0;      // integer, bytes; a duration's milliseconds
  double number = 0;
  bool boolean = false;
  std::vector<std::string> texts;
  std::vector<Settings> records;  // of a section: one
};

// One scalar as it was written.
struct ScalarText {
  std::string text;    // references resolved
  std::string raw;     // before that
  std::string folder;  // of the file it stands in
  bool quoted = false;
  Where where;
};

class SettingsBuilder {
 public:
  SettingsBuilder(OptionTable table, Where where);

  // Each returns what is wrong, in words that fit after "<option>: "; "" when all is well.
  std::string set(const Option& option, const ScalarText& scalar);
  void set_texts(const Option& option, std::vector<std::string> texts, const Where& where);
  void set_json(const Option& option, std::string text, const Where& where);
  void set_records(const Option& option, std::vector<Settings> records, const Where& where);

  // The required options that were not given.
  std::vector<std::string_view> missing() const;
  Settings finish();

 private:
  Settings::Value& fresh(const Option& option, const Where& where);

  OptionTable table_;
  std::map<std::string, std::shared_ptr<Settings::Value>, std::less<>> values_;
  Where where_;
};

// A scalar of YAML as JSON: plain null, booleans and numbers keep their kind, all else is a string.
std::string canonical_json(const std::string& text, bool quoted);

// What an option takes, for messages and the reference: "a duration such as 250ms, 10s, 5m, 2h or 7d, from 1s to 1h".
std::string expectation(const Option& option);
// Its range alone: ", from 1s to 1h" or "".
std::string range_words(std::string_view range);

}  // namespace muskrat
