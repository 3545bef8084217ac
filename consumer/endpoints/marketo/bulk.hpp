// Calls of Marketo's bulk import: a file goes up, looks at it, the rows that failed.
//
// Used by the marketo endpoint for a delivery that is large enough (bulk_from). Rows are matched by the key that
// Marketo finds them by. Failure as Api::call's. Thread rule: the lane's. What it does not do: judge whose failure an
// answer is, or remember an import (imports.hpp).
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "consumer/endpoints/marketo/api.hpp"
#include "consumer/endpoints/marketo/target.hpp"

namespace muskrat::marketo {

class Bulk {
 public:
  static constexpr size_t most_bytes = 10'000'000 - 1'000;  // of a file, and what is around it

  Bulk(const Target& target, const Settings& settings, Api& api);

  // `may_call` as Api::call's; nullopt when it says no.
  struct Begun {
    Answer answer;
    std::string import;  // "": it was refused, or its answer does not say
  };
  std::optional<Begun> begin(const std::string& csv, const std::function<bool()>& may_call, Deadline deadline);

  struct Look {
    Answer answer;      // where the look itself failed
    std::string state;  // in Marketo's words
    bool gone = false;  // Marketo says that there is no such import, or no more
    bool over = false;
    // Once it is over: what is known of its rows, by Record::key. Unknown: Marketo gave up, or its counts and files do
    // not agree.
    bool known = false;
    std::set<std::string> failed, warned;
  };
  // `rows`: how many there were.
  std::optional<Look> look(const std::string& import, size_t rows, const std::function<bool()>& may_call,
                           Deadline deadline);

 private:
  std::optional<std::set<std::string>> rows_of(const std::string& import, const char* what,
                                               const std::function<bool()>& may_call, Deadline deadline);
  std::string path(const std::string& import, const char* what) const;

  const Target& target_;
  const std::string object_, begin_path_;
  Api& api_;
};

}  // namespace muskrat::marketo
