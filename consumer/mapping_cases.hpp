// The cases written beside an endpoint's mapping: an event, and what must become of it.
//
//   tests:
//     - name: a sign-up becomes a row
//       event: {routing_key: Frontend.Customer.Signup, op: insert, body: {id: 7, email: A@B.example}}
//       expect: {table: public.customers, effect: upsert, values: {id: 7, email: a@b.example}}
//     - {name: …, event: …, expect_dead: is required}       a part of the reason
//     - {name: …, event: …, expect_skip: true}
//
// Used by `muskrat test`; read at every load, so that `muskrat check` finds what is wrong with them.
// Thread rule: plain values. Nothing is connected to.
#pragma once

#include <string>
#include <vector>

#include "consumer/endpoints.hpp"

namespace muskrat {

struct MappingCase {
  std::string name, endpoint;  // endpoint: "" for the one it stands under
  Where where;
  Event event;
  Explanation expected;  // dead: text is a part of the reason
};

// The option `tests` of every endpoint, and of a file of cases (which name their `endpoint`).
OptionTable mapping_case_options();

std::vector<MappingCase> read_mapping_cases(const std::vector<Settings>& records, std::vector<Problem>& problems);

// What an endpoint's mapping says of an event that it may not even subscribe to.
struct Judged {
  bool subscribed = true;
  Explanation what;
};
Judged explain_event(const Component& component, const Event& event);

// What differs from what was expected, line by line; empty when the case passes.
std::vector<std::string> faults_of(const Component& component, const MappingCase& one);

}  // namespace muskrat
