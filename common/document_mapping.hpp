// How an endpoint turns an event into the JSON document that it sends.
//
// Used by the endpoint kinds that send documents (file, http, exec …): each takes mapping_options() into its own option
// table, calls check_mapping() from its validate, makes a Mapping from its settings and asks it for each event.
//   when:    events for which this does not hold are skipped: done, and counted
//   jq:      makes the whole document of the body, instead of `fields`; nothing made: skipped
//   fields:  the field table; a dot in `to` nests: {to: subscription.volume}
// Without either the document is the body as it came, byte for byte.
// Thread rule: immutable after loading; apply() is const and reentrant.
#pragma once

#include <string>
#include <vector>

#include "common/mapping.hpp"

namespace muskrat {

OptionTable mapping_options();

struct Mapped {
  enum class State { document, skipped, failed } state = State::document;
  std::string text;  // the document; of failed and skipped why, without a value of the event
};

class Mapping {
 public:
  Mapping(const Settings& settings, std::vector<Problem>& problems);
  // For what has passed check_mapping(); std::logic_error otherwise.
  explicit Mapping(const Settings& settings);

  Mapped apply(const Event& event) const;
  Mapped apply(const Event& event, const json::Value& body) const;
  // Whether or not `when` holds.
  Mapped document(const Event& event, const json::Value& body) const { return document(FieldSource(event, body)); }
  // The members that `fields` makes, dotted; none where the document is not made by it.
  const std::vector<std::string>& targets() const { return fields_.names(); }

 private:
  void lay_out(const Settings& settings, std::vector<Problem>& problems);
  // The table's names as a tree: a node with children is an object, a leaf is field `field`.
  struct Node {
    std::string name;
    size_t field = 0;
    std::vector<Node> children;
  };
  static bool write(const Node& node, const MappedRecord& record, std::string& out);

  Mapped document(const FieldSource& source) const;
  Mapped computed(const FieldSource& source) const;

  Condition when_;
  jq::Expression jq_;
  FieldTable fields_;
  bool as_it_is_ = true;
  Node tree_;
};

// For a kind's validate: all that is wrong with the mapping.
void check_mapping(const Settings& settings, std::vector<Problem>& problems);

}  // namespace muskrat
