#include "common/jq_scan.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "common/jq_numbers.hpp"

namespace muskrat::jq {
namespace {

struct Refused {
  std::string_view name, why;
};
constexpr std::string_view sees = "an expression sees the event alone";
constexpr std::string_view inputs = "there is one input, the event";
constexpr std::string_view modules = "an expression stands alone, without modules";
constexpr std::string_view clock =
    "an event that is delivered again must give the same; use $event.captured_at for when it happened";
constexpr std::string_view zone = "it depends on where the host runs; times are in UTC";
constexpr std::string_view ends = "an expression makes values; use error(\"…\") to refuse an event";
constexpr std::string_view talks = "customers' data does not go to the log; use muskrat explain to look at it";

constexpr std::array refused_names{
    Refused{"env", sees},
    Refused{"get_jq_origin", sees},
    Refused{"get_prog_origin", sees},
    Refused{"get_search_list", sees},
    Refused{"input", inputs},
    Refused{"inputs", inputs},
    Refused{"input_filename", inputs},
    Refused{"input_line_number", inputs},
    Refused{"import", modules},
    Refused{"include", modules},
    Refused{"module", modules},
    Refused{"modulemeta", modules},
    Refused{"now", clock},
    Refused{"localtime", zone},
    Refused{"strflocaltime", zone},
    Refused{"halt", ends},
    Refused{"halt_error", ends},
    Refused{"debug", talks},
    Refused{"stderr", talks},
};
constexpr std::array refused_variables{Refused{"ENV", sees}, Refused{"__prog_args", sees}, Refused{"__prog_name", sees},
                                       Refused{"JQ_BUILD_CONFIGURATION", sees}};

bool space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool in_name(char c) { return starts_name(c) || digit(c); }

std::string fault_of(const auto& list, std::string_view name, std::string_view sigil) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Refused& one) { return one.name == name; });
  if (found == list.end()) return {};
  return std::string(sigil) + std::string(name) + " is refused: " + std::string(found->why);
}

// Walks over the tokens; open_ holds what is open: ( [ {, " for a string and i for an interpolation in one.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Scan run() {
    while (at_ < text_.size() && result_.fault.empty()) step();
    return std::move(result_);
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool inside(char what) const { return !open_.empty() && open_.back() == what; }
  void refuse(std::string why) {
    if (result_.fault.empty()) result_.fault = std::move(why);
  }

  void step() {
    if (inside('"')) return in_string();
    const char c = peek();
    if (space(c))
      ++at_;
    else if (c == '#')
      comment();
    else if (starts_name(c))
      name();
    else if (digit(c) || (c == '.' && digit(peek(1))))
      number();
    else if (c == '$')
      variable();
    else if (c == '@' || (c == '.' && starts_name(peek(1))))
      skip_name(1);
    else
      mark(c);
  }

  void in_string() {
    const char c = text_[at_++];
    if (c == '"') open_.pop_back();
    if (c != '\\') return;
    if (peek() == '(') open_.push_back('i');
    before_ = '(';
    ++at_;
  }

  // Up to the line's end. What newer versions take for the comment's next line is looked at all the same.
  void comment() { at_ = std::min(text_.find_first_of("\r\n", at_), text_.size()); }

  std::string_view take_name() {
    const size_t start = at_;
    while (in_name(peek())) ++at_;
    return text_.substr(start, at_ - start);
  }

  void skip_name(size_t ahead) {
    at_ += ahead;
    take_name();
    before_ = 'a';
  }

  void name() {
    const std::string_view name = take_name();
    const bool key = inside('{') && (before_ == '{' || before_ == ',');  // {env: 1} is a member's name
    if (!key) refuse(fault_of(refused_names, name, ""));
    // From 1.8 on it may stand bare as a member's value, where its commas would make names of members of what follows.
    if (!key && name == "if" && inside('{')) refuse("if is refused: as the value of a member it needs parentheses");
    before_ = 'a';
  }

  void variable() {
    ++at_;
    while (space(peek())) ++at_;
    const std::string_view name = take_name();
    refuse(fault_of(refused_variables, name, "$"));
    result_.uses_event = result_.uses_event || name == "event";
    before_ = 'a';
  }

  void number() {
    const size_t start = at_;
    while (digit(peek()) || peek() == '.') ++at_;
    if ((peek() == 'e' || peek() == 'E') &&
        (digit(peek(1)) || ((peek(1) == '-' || peek(1) == '+') && digit(peek(2))))) {
      at_ += 2;
      while (digit(peek())) ++at_;
    }
    if (!exact_in_jq(text_.substr(start, at_ - start)))
      refuse("it holds a number of 2^53 or beyond, or one with more digits than jq keeps");
    before_ = 'a';
  }

  void mark(char c) {
    ++at_;
    before_ = c;
    if (c == '(' || c == '[' || c == '{' || c == '"') open_.push_back(c);
    if (c != ')' && c != ']' && c != '}') return;
    if (open_.empty()) return refuse(std::string("a closing ") + c + " too many");
    open_.pop_back();
  }

  std::string_view text_;
  size_t at_ = 0;
  char before_ = '\0';  // the token before: a mark, or 'a' for any other
  std::vector<char> open_;
  Scan result_;
};

}  // namespace

Scan scan(std::string_view expression) { return Scanner(expression).run(); }

}  // namespace muskrat::jq
