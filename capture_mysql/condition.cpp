#include "capture_mysql/condition.hpp"

#include <algorithm>
#include <cctype>

namespace muskrat::capture_mysql {
namespace {

bool in_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

class Reader {
 public:
  Reader(const Table& table, const std::string& text, std::string row, std::vector<std::string>* used)
      : table_(table), text_(text), row_(std::move(row)), used_(used) {}

  std::string read() {
    while (at_ < text_.size()) step();
    if (depth_ != 0) refuse("its parentheses do not match");
    return out_;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw Refused("the condition " + text_ + " cannot be used: " + why +
                  ". It is one SQL expression over the table's columns, such as: volume > 5 AND NOT deleted");
  }

  void step() {
    const char c = text_[at_];
    if (c == '\'') return string();
    if (c == '`') return quoted_name();
    if (std::isdigit(static_cast<unsigned char>(c))) return word(false);
    if (in_name(c)) return word(true);
    check(c);
    out_ += c;
    ++at_;
  }

  void check(char c) {
    if (c == ';') refuse("it has a semicolon");
    if (c == '"') refuse("it has a double quote; write strings in single quotes and names in backticks");
    if (c == '@') refuse("it has a variable, and capture must not depend on the session");
    if (c == '#' || starts("--") || starts("/*")) refuse("it has a comment");
    if (c == '\0') refuse("it has a zero byte");
    if (c == '(') ++depth_;
    if (c == ')' && --depth_ < 0) refuse("its parentheses do not match");
  }

  bool starts(const char* with) const { return text_.compare(at_, 2, with) == 0; }

  // Backslashes escape, as in the session that creates the trigger.
  void string() {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '\'') end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) refuse("a string does not end");
    out_ += text_.substr(at_, end + 1 - at_);
    at_ = end + 1;
  }

  void quoted_name() {
    std::string name;
    size_t end = at_ + 1;
    for (;; ++end) {
      if (end >= text_.size()) refuse("a name in backticks does not end");
      if (text_[end] == '`' && (end + 1 >= text_.size() || text_[end + 1] != '`')) break;
      if (text_[end] == '`') ++end;
      name += text_[end];
    }
    at_ = end + 1;
    if (after('.') || after('(')) refuse("it names something in backticks that is no column");
    const Column* column = table_.find(name);
    if (column == nullptr) refuse("table " + table_.quoted() + " has no column " + quote_identifier(name));
    put(*column);
  }

  void word(bool may_be_column) {
    size_t end = at_;
    while (end < text_.size() && in_name(text_[end])) ++end;
    const std::string name = text_.substr(at_, end - at_);
    at_ = end;
    check_word(name);
    if (may_be_column && after('.')) refuse("it has a name with a dot; write the columns alone");
    const Column* column = may_be_column && !after('(') ? table_.find(name) : nullptr;
    if (column != nullptr) {
      put(*column);
    } else {
      out_ += name;
    }
  }

  void check_word(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    if (name == "select") refuse("it has a subquery");
    if (name == "old" || name == "new") refuse("it names OLD or NEW; write the columns alone");
  }

  bool after(char c) const {
    const size_t next = text_.find_first_not_of(" \t\n", at_);
    return next != std::string::npos && text_[next] == c;
  }

  void put(const Column& column) {
    if (used_ != nullptr) used_->push_back(column.name);
    out_ += row_ + "." + quote_identifier(column.name);
  }

  const Table& table_;
  const std::string& text_;
  std::string row_, out_;
  std::vector<std::string>* used_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::string qualified_condition(const Table& table, const std::string& condition, const std::string& row,
                                std::vector<std::string>* used) {
  return Reader(table, condition, row, used).read();
}

}  // namespace muskrat::capture_mysql
