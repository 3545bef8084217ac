// Where a daemon's state database is, for the verbs that read or write it beside the daemon.
//
// Used by pause, resume, superseded, produce, held and status. Thread rule: free functions.
#pragma once

#include <string>

#include "common/options.hpp"

namespace muskrat::cli {

// The verb and the host must mean the same database. A relative path that $STATE_DIRECTORY does not complete depends
// on who asks, so it is shown as what it came to.
std::string state_place(const Settings& consumer);
// Says on standard error that a host elsewhere may mean another file, where that can be.
void warn_of_relative_state(const Settings& consumer);
// The same of the file that scheduled sources share with the relay.
void warn_of_relative_relay_state(const Settings& relay);
// For a verb that only reads: says on standard error that a host or relay elsewhere may know more, where that can be
// and there is no such file here.
void warn_of_absent_state(const Settings& consumer);
void warn_of_absent_relay_state(const Settings& relay);

}  // namespace muskrat::cli
