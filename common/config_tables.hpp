// The option tables of the sections that belong to neither daemon: broker and log.
//
// Used by config.cpp (to read them) and config_docs.cpp (to describe them).
// Thread rule: constants.
#pragma once

#include <vector>

#include "common/options.hpp"

namespace muskrat {

OptionTable broker_options();
OptionTable log_options();
// `kind`, which every source and endpoint has.
Option kind_option();

// Rules across the broker's options.
void check_broker(const Settings& broker, std::vector<Problem>& problems);

// A daemon's section: listen is host:port, and beyond loopback there is a token.
void check_listen(const std::string& path, const Settings& section, std::vector<Problem>& problems);

}  // namespace muskrat
