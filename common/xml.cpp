#include "common/xml.hpp"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <memory>

#include <expat.h>

namespace muskrat::xml {
namespace {

struct Freed {
  void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
};
using Parser = std::unique_ptr<XML_ParserStruct, Freed>;

// The older name is deprecated from 2.9 on, the newer one is not there before.
uint64_t line_of(XML_Parser parser) {
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
  return XML_GetCurrentLineNumber64(parser);
#else
  return XML_GetCurrentLineNumber(parser);
#endif
}

// What the callbacks share. They are called from C, so nothing is thrown through them: memory that runs out ends the
// process, as it does elsewhere in a callback.
struct Building {
  XML_Parser parser = nullptr;
  const Limits* limits = nullptr;
  Element root;
  std::vector<Element*> open;
  size_t elements = 0;
  const char* refused = nullptr;

  void refuse(const char* why) {
    refused = why;
    XML_StopParser(parser, XML_FALSE);
  }
};

Building& of(void* data) { return *static_cast<Building*>(data); }

void begin(void* data, const XML_Char* name, const XML_Char** attributes) noexcept {
  Building& to = of(data);
  if (to.open.size() >= to.limits->depth) return to.refuse("it is nested too deep");
  if (++to.elements > to.limits->elements) return to.refuse("it has too many elements");
  Element* made = &to.root;
  if (!to.open.empty()) made = &to.open.back()->children.emplace_back();
  made->name = name;
  for (; *attributes != nullptr; attributes += 2) made->attributes.emplace(attributes[0], attributes[1]);
  to.open.push_back(made);
}

// Called for an empty element also after begin() has refused it.
void end(void* data, const XML_Char*) noexcept {
  if (of(data).refused == nullptr) of(data).open.pop_back();
}

void characters(void* data, const XML_Char* text, int size) noexcept {
  Building& to = of(data);
  if (!to.open.empty()) to.open.back()->text.append(text, static_cast<size_t>(size));
}

void doctype(void* data, const XML_Char*, const XML_Char*, const XML_Char*, int) noexcept {
  of(data).refuse("it has a document type, which is refused for the entities that it may declare");
}

void entity(void* data, const XML_Char*, int, const XML_Char*, int, const XML_Char*, const XML_Char*, const XML_Char*,
            const XML_Char*) noexcept {
  of(data).refuse("it declares an entity");
}

}  // namespace

const Element* Element::child(std::string_view wanted) const {
  const auto found =
      std::find_if(children.begin(), children.end(), [&](const Element& each) { return each.name == wanted; });
  return found == children.end() ? nullptr : &*found;
}

std::string_view Element::attribute(std::string_view wanted) const {
  const auto found = attributes.find(wanted);
  return found == attributes.end() ? std::string_view() : found->second;
}

std::optional<Element> parse(std::string_view text, std::string& why, const Limits& limits) {
  const Parser parser(XML_ParserCreate(nullptr));
  Building building;
  building.parser = parser.get();
  building.limits = &limits;
  XML_SetUserData(parser.get(), &building);
  XML_SetElementHandler(parser.get(), begin, end);
  XML_SetCharacterDataHandler(parser.get(), characters);
  XML_SetStartDoctypeDeclHandler(parser.get(), doctype);
  XML_SetEntityDeclHandler(parser.get(), entity);
  if (text.size() > INT_MAX) {
    why = "it is too long";
    return std::nullopt;
  }
  if (XML_Parse(parser.get(), text.data(), static_cast<int>(text.size()), XML_TRUE) == XML_STATUS_OK)
    return std::move(building.root);
  why = building.refused != nullptr ? building.refused : XML_ErrorString(XML_GetErrorCode(parser.get()));
  why += " (line " + std::to_string(line_of(parser.get())) + ")";
  return std::nullopt;
}

std::string escape(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '"')
      safe += "&quot;";
    else if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t' || c == '\r')
      safe += c;
  }
  return safe;
}

}  // namespace muskrat::xml
