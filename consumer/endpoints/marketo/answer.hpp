// What Marketo answered to a call with records: whose failure it is, or a result for each record.
//
// Used by the marketo endpoint. Reasons hold codes, our words and names of fields, never Marketo's message, which
// quotes values. Thread rule: plain values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/http.hpp"
#include "common/json.hpp"
#include "consumer/endpoints/marketo/codes.hpp"

namespace muskrat::marketo {

struct RecordAnswer {
  Whose whose = Whose::none;
  std::string reason, code;
};

struct Answer {
  Whose whose = Whose::none;
  bool unreadable = false;  // the status is good and what came with it is not; whose is `later` then
  bool may_still_run = false;
  std::string code;  // of a whole request that failed
  std::string reason;
  std::optional<milliseconds> retry_after;
  std::vector<RecordAnswer> records;  // in the order of the request; as many as there were
};

// `fields` are the names that may stand in reasons.
Answer read_answer(const http::Response& response, const std::vector<std::string>& fields);

}  // namespace muskrat::marketo
