#include "common/tame.hpp"

#include <algorithm>

namespace muskrat {
namespace {

constexpr size_t bytes_most = 200;

}  // namespace

std::string tame(std::string_view text) {
  std::string out(text.substr(0, bytes_most));
  // not within a character
  while (!out.empty() && out.size() == bytes_most && (static_cast<unsigned char>(out.back()) & 0x80) != 0)
    out.pop_back();
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  return out;
}

}  // namespace muskrat
