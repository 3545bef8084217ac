// An event read from JSON: what `muskrat tail --json`, `muskrat dead list --json --body`, `muskrat dead export`
// and the file endpoint write.
//
// Used by `muskrat explain` and `muskrat test`.
//   {"routing_key":"Frontend.Customer.Signup","op":"insert","key":…,"message_id":…,"source":…,"epoch":1,"seq":42,
//    "captured_at":"2026-11-23T21:12:14.000042Z","omitted":["notes"],"body":{…}}
// Only routing_key and body are needed; op is insert where it is missing. `time` stands for captured_at, `omitted` may
// be JSON text, `text` is a body that is no JSON, `as` the action words that a backfill stands for.
// Thread rule: free function.
#pragma once

#include <optional>
#include <string>

#include "common/event.hpp"
#include "common/json.hpp"

namespace muskrat {

// nullopt + why.
std::optional<Event> event_from_json(const json::Value& value, std::string& why);

}  // namespace muskrat
