// Marketo's error codes: whose failure each is, and what it means in our words.
//
// Used by marketo/answer.cpp. Codes are judged and never the messages beside them, which change and quote customers'
// values. Source: Adobe's table of REST error codes. Pure. Thread rule: free functions.
#pragma once

#include <string>
#include <string_view>

#include "common/clock.hpp"

namespace muskrat::marketo {

enum class Whose {
  none,      // no failure: what was asked for is so already
  token,     // the access token is no longer good
  later,     // the event's, may pass; also a code that nobody knows
  dead,      // the event's, for good
  down,      // the endpoint's, passes by itself
  window,    // too many calls in 20 s
  crowded,   // too many calls at once
  quota,     // the day's calls are used up
  too_much,  // too much in one request
  setup,     // the endpoint's, until a person changes something
};

Whose whose_code(std::string_view code);
// "607: the day's quota of calls is used up"
std::string code_text(std::string_view code);
// The call may go on at Marketo though it was answered.
bool may_still_run(std::string_view code);

// From wall time `now_us` until the daily quota begins anew, at midnight in the middle of the USA.
milliseconds until_reset(int64_t now_us);

}  // namespace muskrat::marketo
