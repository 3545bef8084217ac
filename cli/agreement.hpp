// A person's word before something that cannot be taken back, or that concerns others.
//
// Used by the verbs that ask. Thread rule: the main thread.
#pragma once

#include <string>

namespace muskrat::cli {

// Asks for `word` to be typed; false for anything else. UsageError where nobody is there to answer: say --yes.
bool agreed(const std::string& question, const std::string& word);

}  // namespace muskrat::cli
