// What the verbs print: text, colours where a person looks, tables.
//
// Used by every verb. Colours only on a terminal and without NO_COLOR; what is
// piped is plain. Text that came from elsewhere goes through harmless() first.
// Thread rule: the main thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muskrat::cli {

// Standard output, flushed. Throws BrokenPipe when the reader is gone, Failure{stop} when it cannot be written.
void print(std::string_view text);
// The same for what nobody need read to its end, such as help: a reader that is gone is the end, and no error.
void print_while_read(std::string_view text);
// Standard error; never throws.
void complain(std::string_view text);

bool on_terminal();       // standard output is one
size_t terminal_width();  // of standard output; 0 = none, or unknown

enum class Colour { plain, red, green, yellow, blue, faint, bold };
std::string coloured(Colour colour, std::string_view text);

// How many columns a text takes (its code points: near enough for what we print).
size_t columns_of(std::string_view text);

// Without control characters, which a terminal would obey.
std::string harmless(std::string_view text);
// At most `columns` wide, with an ellipsis in place of the rest; 0 = as it is.
std::string shortened(std::string_view text, size_t columns);

// "1 error", "3 errors".
std::string counted(size_t n, std::string_view noun);

// Columns padded to their widest cell; the last one is not padded.
class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  void add(std::vector<std::string> cells, Colour colour = Colour::plain);
  bool empty() const { return rows_.empty(); }
  std::string text(std::string_view indent = "") const;

 private:
  struct Row {
    std::vector<std::string> cells;
    Colour colour;
  };
  std::vector<std::string> headings_;
  std::vector<Row> rows_;
};

}  // namespace muskrat::cli
