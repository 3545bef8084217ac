// Host names to addresses, within a deadline.
//
// getaddrinfo() waits for name servers as long as resolv.conf says, minutes where packets vanish, and heeds neither a
// deadline nor a request to stop. Here it runs on a thread of its own, which is left alone when its time is over. Who
// asks for the same name meanwhile waits for the same thread, so that a name costs one at most.
// Used by amqp_connection.cpp, which connects to what it finds; and by pg_connect.cpp and mysql_connect.cpp, whose
// libraries look names up by themselves: they ask here first whether there is an answer.
// Thread rule: from any thread. What it does not do: keep answers.
#pragma once

#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/stop.hpp"

namespace muskrat {

struct Lookup {
  std::vector<std::string> addresses;  // numeric, in the resolver's order; none: `why`
  std::string why;                     // "Name or service not known"
  bool in_time = true;                 // false: no answer before the deadline or the request to stop
};

// What is a numeric address already is there at once. Failure{reconnect} when no thread can be had.
Lookup look_up(const std::string& host, Deadline deadline, const Stop* stop = nullptr);

}  // namespace muskrat
