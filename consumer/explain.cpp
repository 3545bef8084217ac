#include "consumer/explain.hpp"

#include "common/document_mapping.hpp"

namespace muskrat {

Explanation explain_document(const Component& component, const Event& event) {
  if (!component.settings.knows("fields")) return {Explanation::Fate::sends, event.body};
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
