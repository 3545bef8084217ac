#include "common/threads.hpp"

#include <pthread.h>

namespace muskrat {

void name_this_thread(const std::string& name) {
  constexpr size_t most = 15;
  pthread_setname_np(pthread_self(), name.substr(0, most).c_str());
}

}  // namespace muskrat
