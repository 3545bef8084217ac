// Names of threads, as top -H, gdb, perf and /proc/<pid>/task/<tid>/comm show them.
//
// Used by whoever starts a thread, as its first call. Linux keeps 15 bytes of a name, so what tells threads apart
// stands first: "lane0 analytics".
#pragma once

#include <string>

namespace muskrat {

void name_this_thread(const std::string& name);

}  // namespace muskrat
