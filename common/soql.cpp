#include "common/soql.hpp"

namespace muskrat::salesforce {

std::string text_literal(std::string_view text) {
  std::string literal = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') literal += '\\';
    if (c == '\n')
      literal += "\\n";
    else if (c == '\r')
      literal += "\\r";
    else
      literal += c;
  }
  return literal + "'";
}

}  // namespace muskrat::salesforce
