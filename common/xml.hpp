// XML: the thin wrapper around expat. expat.h is included in xml.cpp alone.
//
// Used by clients of APIs that speak XML (the source kinds braintree and braintree-webhooks). A document becomes a tree
// of elements. What others wrote is not trusted: a document type is refused, and with it every entity but the five that
// XML has itself; so is what is nested too deep or has too many elements. Reasons hold a line and never the text.
// Thread rule: plain values and free functions. What it does not do: namespaces, comments, streaming.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muskrat::xml {

struct Element {
  std::string name;
  std::map<std::string, std::string, std::less<>> attributes;
  std::string text;  // all character data right below it
  std::vector<Element> children;

  // The first child of that name; null when there is none.
  const Element* child(std::string_view wanted) const;
  // An attribute, or "".
  std::string_view attribute(std::string_view wanted) const;
};

struct Limits {
  size_t depth = 64, elements = 1'000'000;
};

// nullopt + why.
std::optional<Element> parse(std::string_view text, std::string& why, const Limits& limits = {});

// Text as it may stand between tags; control characters that XML cannot hold are left out.
std::string escape(std::string_view text);

}  // namespace muskrat::xml
