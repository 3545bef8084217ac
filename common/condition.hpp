// `when`: a small declarative condition on an event. All that is said must hold.
//
//   when: {op: [insert, update]}              one of these
//   when: {field: plan, is: [pro, team]}      compared as text; null and absent are equal to nothing
//   when: {field: company, present: true}     there, and not null
//   when: {jq: .volume > 100 and .plan != "free"}   true or false, nothing else; with `field`, of that value
//   when: [{action: Signup}, {field: plan, is_not: free}]
//
// Used by mapping.cpp (for a field) and document_mapping.cpp (for the whole event). Thread rule: immutable.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/field_source.hpp"
#include "common/jq.hpp"
#include "common/options.hpp"

namespace muskrat {

OptionTable condition_options();

class Condition {
 public:
  Condition() = default;  // always holds
  Condition(const std::vector<Settings>& records, std::vector<Problem>& problems);

  bool always() const { return terms_.empty(); }
  // Whether another event of the same row could be judged otherwise.
  bool asks_for_the_event() const;
  // nullopt + why where it hangs on a field that capture left out, or its jq fails: neither yes nor no would be right.
  std::optional<bool> holds(const FieldSource& source, std::string& why) const;

 private:
  struct Term {
    std::string field;
    std::vector<std::string> is, is_not, op, action;
    std::optional<bool> present;
    jq::Expression jq;
    std::optional<bool> computed(const FieldSource& source, std::string& why) const;
    bool holds(const FieldSource& source) const;
  };
  std::vector<Term> terms_;
};

}  // namespace muskrat
