// The gate that every call to an endpoint passes: it keeps the endpoint's rates and quota over all
// of its lanes.
//
// One for each endpoint, made by consumer/host.cpp. Whoever makes calls enters before each of them: gated.hpp does for
// kinds to which a delivery is one call; a kind that makes several for one delivery (http) does it itself
// (`enters_gate` in its entry). The host asks shut() before it hands out a batch, so that events wait in the schedule,
// where batches grow, and not in a lane; and parks the endpoint when that takes long.
// And it closes the gate when the session ends: what lanes have left goes back to the queue, perhaps to another host,
// and must not be sent from here as well. A wait ends at its deadline, or when the process is to stop. Thread rule: any
// thread.
// What it does not do: count calls under way (the host keeps `concurrency` by handing out no more), or judge answers.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/metrics.hpp"
#include "common/options.hpp"
#include "common/stop.hpp"
#include "consumer/limits/quota_book.hpp"
#include "consumer/limits/rate.hpp"
#include "consumer/park.hpp"

namespace muskrat {

class CallGate {
 public:
  // `consumer` is the section of that name; all three outlive the gate.
  CallGate(const Component& component, const Settings& consumer, const Stop& stop);

  // Waits until one call with `records` events may be made: "" then. Else why it may not be made now, at once when the
  // deadline is too soon.
  std::string enter(size_t records, Deadline deadline);
  // From now on enter() lets nothing through, and whoever waits in it is told within half a second; until open().
  void close() { closed_ = true; }
  void open() { closed_ = false; }
  bool closed() const { return closed_; }
  // Reads what of the quota went, in earlier lives too. Failure{reconnect} when it cannot be read; enter() throws it
  // too.
  void look();
  // Why no call may be made now; until when.
  std::optional<Park> shut(SteadyTime now);
  // Of a rate in calls more than half is in use, or was a moment ago: calls should be worth it.
  bool calls_are_scarce(SteadyTime now);
  // A sleep that ends early when the process is to stop; true when it is.
  bool sleep(milliseconds span) const { return stop_.wait(span); }
  // "37 of 50000" of the quota; "" without one. Refreshes its gauge, too.
  std::string quota_text();

 private:
  std::string await_rate(int64_t records, Deadline deadline);
  std::optional<Park> rate_shut(int64_t records, SteadyTime now);
  std::optional<Park> quota_shut(SteadyTime now) const;
  std::string take_quota(int64_t records);

  const Stop& stop_;
  std::atomic<bool> closed_ = false;
  metrics::Counter& calls_;
  metrics::Gauge* quota_used_ = nullptr;

  std::mutex book_mutex_;  // held while the state database answers; never by shut()
  std::unique_ptr<limits::QuotaBook> book_;
  std::atomic<int64_t> quota_out_from_us_{0}, quota_out_until_us_{0};  // wall time

  std::mutex mutex_;
  std::vector<limits::RateWindow> rates_;
  std::optional<Park> turned_away_;  // until there is room for a call that found the deadline too soon
};

// For the endpoints' common validation: rates and quotas that cannot be read, each with its line.
void check_limits(const Settings& settings, std::vector<Problem>& problems);

// Whether the endpoint has a quota, whose count the host keeps.
bool has_quota(const Settings& settings);
// "100 calls per 20s; 50000 calls per day (America/Chicago)"; "" without limits.
std::string describe_limits(const Settings& settings);

// How many records one call may carry at most under the endpoint's limits; SIZE_MAX: as many as it likes.
size_t records_most(const Settings& settings);
// How many events the rates let through within `span` when a call carries `per_call`, at least one; SIZE_MAX: as many
// as it likes.
size_t events_within(const Settings& settings, milliseconds span, size_t per_call);
// How far apart calls are that use up no rate in calls; 0 without one.
milliseconds call_interval(const Settings& settings);

}  // namespace muskrat
