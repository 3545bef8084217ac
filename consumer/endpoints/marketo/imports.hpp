// The bulk imports that Marketo has of this endpoint: which record is in which, and what became of it.
//
// Used by the marketo endpoint; one for all lanes and all endpoints of one Marketo. An import outlives the delivery
// that made it, and by its note (api/call_notes.hpp) the host: its events come again, and find it. Keys and versions
// are digests: a version is an event and what was made of it. Thread rule: any thread. What it does not do: call.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace muskrat::marketo {

class Imports {
 public:
  using Members = std::map<std::string, std::string>;  // key → version

  // Whose it is, and since when (wall time).
  struct Origin {
    std::string endpoint;
    int64_t since_us = 0;
  };
  void add(const std::string& import, const Members& members, const Origin& origin);
  // Marketo is done with it. `done` are the keys that surely are as they were to be.
  void end(const std::string& import, const std::set<std::string>& done);

  // The import under way that the key is in; no other call may have it.
  std::optional<std::string> under_way(const std::string& key) const;
  size_t rows(const std::string& import) const;  // as many as it had; 0: it is not known
  Origin origin(const std::string& import) const;
  bool at_work(const std::string& import) const;
  std::vector<std::string> keys(const std::string& import) const;
  // Of a key that is in no import under way: it is forgotten, and true where an import did just this.
  bool take_done(const std::string& key, const std::string& version);
  // The imports of which nothing more is to be told, each once.
  std::vector<std::string> take_told();

  static std::string note_id(const std::string& import) { return "import " + import; }
  static std::string note_text(const std::string& import, const Members& members, const Origin& origin);
  // False where the note is of no import.
  bool add_noted(const json::Value& note);

 private:
  struct Import {
    Members members;
    Origin origin;
    bool over = false;
    std::set<std::string> done;
    size_t rows = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Import> imports_;
  std::map<std::string, std::string> by_key_;  // key → import
  std::vector<std::string> told_;
};

}  // namespace muskrat::marketo
