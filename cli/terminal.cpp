#include "cli/terminal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/exit.hpp"
#include "common/failure.hpp"

namespace muskrat::cli {
namespace {

bool use_colours() {
  static const bool use = [] {
    const char* no_color = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    return on_terminal() && !(no_color && *no_color) && !(term && std::strcmp(term, "dumb") == 0);
  }();
  return use;
}

const char* escape_of(Colour colour) {
  switch (colour) {
    case Colour::red:
      return "\033[31m";
    case Colour::green:
      return "\033[32m";
    case Colour::yellow:
      return "\033[33m";
    case Colour::blue:
      return "\033[34m";
    case Colour::faint:
      return "\033[2m";
    case Colour::bold:
      return "\033[1m";
    case Colour::plain:
      break;
  }
  return "";
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

size_t columns_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

void print(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return;
  if (errno == EPIPE) throw BrokenPipe{};
  throw Failure(Remedy::stop, std::string("cannot write to standard output: ") + std::strerror(errno));
}

void print_while_read(std::string_view text) {
  try {
    print(text);
  } catch (const BrokenPipe&) {  // NOLINT(bugprone-empty-catch)
  }
}

// Nobody is left to tell when even this fails.
void complain(std::string_view text) { static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr)); }

bool on_terminal() {
  static const bool is = ::isatty(STDOUT_FILENO) == 1;
  return is;
}

size_t terminal_width() {
  struct winsize size {};
  if (!on_terminal() || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

std::string coloured(Colour colour, std::string_view text) {
  if (!use_colours() || colour == Colour::plain) return std::string(text);
  return escape_of(colour) + std::string(text) + "\033[0m";
}

std::string harmless(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters too, two bytes in UTF-8.
    const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (byte < 0x20 || byte == 0x7f || c1) {
      out += '?';
      if (c1) ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string shortened(std::string_view text, size_t columns) {
  if (columns == 0 || columns_of(text) <= columns) return std::string(text);
  size_t end = 0;
  for (size_t seen = 0; end < text.size(); ++end) {
    if (!continues(text[end]) && ++seen == columns) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string counted(size_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}

void Table::add(std::vector<std::string> cells, Colour colour) {
  cells.resize(headings_.size());
  rows_.push_back({std::move(cells), colour});
}

std::string Table::text(std::string_view indent) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < headings_.size(); ++i) {
    size_t widest = columns_of(headings_[i]);
    for (const Row& row : rows_) widest = std::max(widest, columns_of(row.cells[i]));
    widths.push_back(widest);
  }
  const auto line = [&](const std::vector<std::string>& cells, Colour colour) {
    std::string out;
    for (size_t i = 0; i < cells.size(); ++i) {
      out += cells[i];
      if (i + 1 < cells.size()) out.append(widths[i] - columns_of(cells[i]) + 2, ' ');
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return std::string(indent) + coloured(colour, out) + "\n";
  };
  std::string out = line(headings_, Colour::bold);
  for (const Row& row : rows_) out += line(row.cells, row.colour);
  return out;
}

}  // namespace muskrat::cli
