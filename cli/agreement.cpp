#include "cli/agreement.hpp"

#include <iostream>

#include <unistd.h>

#include "cli/exit.hpp"
#include "cli/terminal.hpp"

namespace muskrat::cli {

bool agreed(const std::string& question, const std::string& word) {
  if (::isatty(STDIN_FILENO) != 1) throw UsageError("there is nobody to ask: say --yes");
  print(question);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == word;
}

}  // namespace muskrat::cli
