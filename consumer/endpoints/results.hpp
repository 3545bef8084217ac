// What a receiver says about each record of a batch: the JSON objects that http (results: expected) and exec read.
//
//   {"message_id": "…", "result": "done" | "retry" | "park" | "dead", "reason": "…", "after": 30}
//
// `after` is in seconds (a number), for park. Instead of `result`, `status` may hold an HTTP status.
// Used by the endpoint kinds http and exec, which trust none of it. Thread rule: free functions.
#pragma once

#include <optional>
#include <string>

#include "common/json.hpp"
#include "common/tame.hpp"
#include "consumer/endpoint.hpp"

namespace muskrat {

struct RecordResult {
  std::string message_id;  // "" = none given
  std::optional<Outcome> outcome;
  int status = 0;  // when it gave one instead of a result
};

// "" where it names none, or is no such object.
std::string result_message_id(const json::Value& value);
// nullopt + why for what is no such object; `why` quotes nothing of it.
std::optional<RecordResult> read_result(const json::Value& value, std::string& why);

}  // namespace muskrat
