#include "consumer/explain.hpp"

#include "common/document_mapping.hpp"

namespace muskrat {

Explanation explain_document(const Component& component, const Event& event) {
  std::string why;
  if (!component.settings.knows("fields")) {
    const bool is_json = json::Document::parse(event.body, why).has_value();
    return {Explanation::Fate::sends, is_json ? event.body : json::quote(event.body)};
  }
  const Mapped mapped = Mapping(component.settings).apply(event);
  switch (mapped.state) {
    case Mapped::State::document:
      return {Explanation::Fate::sends, mapped.text};
    case Mapped::State::skipped:
      return {Explanation::Fate::skips, mapped.text};
    case Mapped::State::failed:
      break;
  }
  return {Explanation::Fate::dead, mapped.text};
}

}  // namespace muskrat
