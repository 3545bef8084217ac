#include "common/secrets.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include <sys/stat.h>

namespace muskrat {
namespace {

constexpr size_t max_secret_bytes = 65536;
constexpr int max_nesting = 4;  // ${file:${CREDENTIALS_DIRECTORY}/password} is two

bool name_char(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

bool is_name(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (!name_char(text[i], i == 0)) return false;
  }
  return !text.empty();
}

// Where the reference that starts at `start` ("${") ends: the position of its own brace.
size_t closing_brace(std::string_view raw, size_t start) {
  int open = 0;
  for (size_t i = start; i < raw.size(); ++i) {
    if (raw.substr(i, 2) == "${") ++open;
    if (raw[i] == '}' && --open == 0) return i;
  }
  return std::string_view::npos;
}

std::string read_secret_file(const std::string& path, std::string& error) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    error = "cannot read the file " + path + ": " + std::strerror(errno);
    return {};
  }
  if (!S_ISREG(info.st_mode) || info.st_size > static_cast<off_t>(max_secret_bytes)) {
    error = "the file " + path + " is not a regular file of at most 64 KiB";
    return {};
  }
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    error = "cannot read the file " + path + ": permission denied? (it is opened as the user that runs muskrat)";
    return {};
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

std::string_view without_blanks_before(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \t\r\n\f\v"), text.size()));
}

// Of a connection string, or a URI's options. libpq takes blanks on either side of the =, and those behind it for no
// value's end.
bool shows_keyword_password(std::string_view raw) {
  constexpr std::string_view keyword = "password";
  for (size_t at = raw.find(keyword); at != std::string_view::npos; at = raw.find(keyword, at + 1)) {
    std::string_view rest = without_blanks_before(raw.substr(at + keyword.size()));
    if (!rest.starts_with('=')) continue;
    rest = without_blanks_before(rest.substr(1));
    if (!rest.empty() && !rest.starts_with("${") && !rest.starts_with("'${")) return true;
  }
  return false;
}

class Resolver {
 public:
  explicit Resolver(const std::string& folder) : folder_(folder) {}

  std::string text(std::string_view raw, int depth) {
    std::string out;
    for (size_t i = 0; i < raw.size() && error.empty();) {
      const std::string_view two = raw.substr(i, 2);
      if (two == "$$") {
        out += '$';
        i += 2;
      } else if (two == "${") {
        const size_t end = closing_brace(raw, i);
        if (end == std::string_view::npos)
          return fail("a ${ has no closing } (write $${ for the characters themselves)");
        out += reference(raw.substr(i + 2, end - i - 2), depth);
        i = end + 1;
      } else {
        out += raw[i++];
      }
    }
    return out;
  }

  std::string error;
  bool indirect = false;

 private:
  std::string fail(std::string what) {
    if (error.empty()) error = std::move(what);
    return {};
  }

  std::string reference(std::string_view inside, int depth) {
    indirect = true;
    if (depth >= max_nesting) return fail("references are nested too deeply");
    if (inside.starts_with("file:")) return file(text(inside.substr(5), depth + 1));
    const size_t colon = inside.find(":-");
    const std::string name(inside.substr(0, colon));
    if (!is_name(name)) {
      return fail("${" + name + "} is no reference; ${NAME}, ${NAME:-default} and ${file:PATH} are");
    }
    const char* found = std::getenv(name.c_str());
    if (found && (*found || colon == std::string_view::npos)) return found;
    if (colon != std::string_view::npos) return text(inside.substr(colon + 2), depth + 1);
    return fail("the environment variable " + name + " is not set (set it, or write ${" + name + ":-default})");
  }

  std::string file(const std::string& path) {
    if (!error.empty()) return {};
    if (path.empty()) return fail("${file:} names no file");
    std::string problem;
    std::string content = read_secret_file(path.starts_with('/') ? path : folder_ + "/" + path, problem);
    return problem.empty() ? content : fail(problem);
  }

  const std::string& folder_;
};

}  // namespace

Resolved resolve_references(std::string_view raw, const std::string& folder) {
  Resolver resolver(folder);
  Resolved result;
  result.text = resolver.text(raw, 0);
  result.error = resolver.error;
  result.indirect = resolver.indirect;
  if (!result.error.empty()) result.text.clear();
  return result;
}

bool shows_password(std::string_view raw) {
  if (shows_keyword_password(raw)) return true;
  const size_t scheme = raw.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view authority = raw.substr(scheme + 3);
  const size_t at = authority.substr(0, authority.find_first_of("/?#")).rfind('@');
  // A password may itself hold a slash inside ${file:/…}: then there is no '@' before it, and nothing is in the clear.
  if (at == std::string_view::npos) return false;
  const std::string_view user = authority.substr(0, at);
  const size_t colon = user.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view password = user.substr(colon + 1);
  return !password.empty() && password.find("${") == std::string_view::npos && user != "guest:guest" &&
         user.find("${") == std::string_view::npos;
}

}  // namespace muskrat
