#include "common/lookup.hpp"

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/failure.hpp"
#include "common/threads.hpp"

namespace muskrat {
namespace {

constexpr milliseconds look_for_stop{50};

struct Query {
  std::mutex mutex;
  std::condition_variable answered;
  bool done = false;
  Lookup found;
};

struct UnderWay {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Query>> queries;
};

// Never destroyed: a lookup may outlast main().
UnderWay& under_way() {
  static auto* const all = new UnderWay;
  return *all;
}

Lookup ask_resolver(const std::string& host, int flags) {
  addrinfo hint{};
  hint.ai_socktype = SOCK_STREAM;
  hint.ai_flags = flags;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hint, &list);
  if (error != 0) return {{}, gai_strerror(error)};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  Lookup found;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      found.addresses.emplace_back(text);
  }
  if (found.addresses.empty()) found.why = "it has no address that can be connected to";
  return found;
}

void answer(const std::string& host, Query& query) {
  name_this_thread("lookup");
  Lookup found = ask_resolver(host, 0);
  {
    std::lock_guard lock(under_way().mutex);
    under_way().queries.erase(host);
  }
  std::lock_guard lock(query.mutex);
  query.found = std::move(found);
  query.done = true;
  query.answered.notify_all();
}

std::shared_ptr<Query> query_for(const std::string& host) {
  std::lock_guard lock(under_way().mutex);
  std::shared_ptr<Query>& query = under_way().queries[host];
  if (query) return query;
  query = std::make_shared<Query>();
  try {
    std::thread([host, query] { answer(host, *query); }).detach();
  } catch (const std::system_error& error) {
    under_way().queries.erase(host);
    throw Failure(Remedy::reconnect, "cannot look up the host " + host + ": no thread for it: " + error.what());
  }
  return query;
}

}  // namespace

Lookup look_up(const std::string& host, Deadline deadline, const Stop* stop) {
  if (Lookup numeric = ask_resolver(host, AI_NUMERICHOST); !numeric.addresses.empty()) return numeric;
  const auto stopped = [stop] { return stop != nullptr && stop->requested(); };
  const std::shared_ptr<Query> query = query_for(host);
  std::unique_lock lock(query->mutex);
  while (!query->done && !deadline.passed() && !stopped())
    query->answered.wait_until(lock, deadline.sooner(Deadline::in(look_for_stop)).instant());
  if (query->done) return query->found;
  return {{}, stopped() ? "asked to stop" : "no answer from the name server in time", false};
}

}  // namespace muskrat
