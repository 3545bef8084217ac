// Text that others wrote, fit for logs, headers and reasons.
//
// Used wherever a foreign program or library says something: child.cpp, jq_evaluator.cpp, the endpoint kinds http and
// exec. Thread rule: free function.
#pragma once

#include <string>
#include <string_view>

namespace muskrat {

// One line, at most 200 bytes of whole characters, no control characters.
std::string tame(std::string_view text);

}  // namespace muskrat
