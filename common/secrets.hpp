// References in configuration: ${NAME}, ${NAME:-default}, ${file:PATH}; `$$` is one `$`.
//
// Used by config (every scalar of the file) and by Settings::fresh_secret, which
// resolves again at each reconnect. A `$` before anything else stands for itself,
// so that field tables may say $routing_key. What it does not do: read a value
// back as YAML, or let a reference stand inside what it resolved to.
// Thread rule: free functions; the environment must not be changed meanwhile.
#pragma once

#include <string>
#include <string_view>

namespace muskrat {

struct Resolved {
  std::string text;
  std::string error;      // names the variable or file, never its content; "" = none
  bool indirect = false;  // at least one reference was in it
};

// `folder` is what a relative PATH of ${file:PATH} is relative to. A file's last line break is not part of the text.
Resolved resolve_references(std::string_view raw, const std::string& folder);

// Whether the text shows a password in the clear: in a URL's user part, or as password=… of a connection string.
bool shows_password(std::string_view raw);

}  // namespace muskrat
