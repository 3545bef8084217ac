// The event that tells of a row which is there no more, of which only the key is known.
//
// Used by Run for kinds that compare; deletion_options() stand in such a kind's table and check_deletion() in its
// validate. Its op is `delete`, its routing key that of the row's other events with another action word, its ordering
// key theirs; its body holds the members of the key, by `fields` where there is that, and x-muskrat-omitted names the
// others. `when` has no say: whoever was told of the row is told that it went.
// Neighbours: record.hpp (all other events). Thread rule: immutable.
#pragma once

#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/document_mapping.hpp"
#include "common/event.hpp"

namespace muskrat {

OptionTable deletion_options();
// Also refuses what could not be made of a key alone: other members in the object's name, required ones, jq.
void check_deletion(const Settings& settings, std::vector<Problem>& problems);

// Failure{reconnect} when of so many known rows more than `most` percent are gone; a hundred may always be. `look`:
// what may not see them any more.
void refuse_many_gone(int64_t gone, int64_t all, int64_t most, const std::string& look);

class DeletionShape {
 public:
  // Of settings that passed check_deletion().
  explicit DeletionShape(const Component& component);

  // `key`: the canonical JSON array; `beside_key`: what the row's other members were called. BadRecord when no event
  // can be made of it.
  Event event_of(const std::string& key, const std::string& version, const std::vector<std::string>& beside_key,
                 int64_t epoch, int64_t captured_us) const;

 private:
  std::string source_, template_;
  std::vector<std::string> key_;
  Mapping mapping_;
};

}  // namespace muskrat
