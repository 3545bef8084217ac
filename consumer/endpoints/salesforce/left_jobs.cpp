#include "consumer/endpoints/salesforce/left_jobs.hpp"

#include <algorithm>
#include <utility>

#include "common/log.hpp"
#include "consumer/endpoints/salesforce/bulk.hpp"

namespace muskrat::salesforce {
namespace {

constexpr milliseconds first_look{1'000}, longest_look{10'000}, look_time{5'000};

// nullopt: it is not known to be over. Else for how long its keys rest.
std::optional<milliseconds> rest_after(const LeftJob& job, Calls& calls, milliseconds rest) {
  const auto ask = [&](const http::Request& request, Calls::Way way) {
    const Deadline deadline = Deadline::in(look_time);
    return calls.send(request, 0, deadline, deadline, way).response;
  };
  const auto seen = ask({"GET", job.path, {}, ""}, Calls::Way::begun);
  if (!seen || (seen->status != 200 && seen->status != 404)) return std::nullopt;
  const std::string state = job_text(*seen, "state");
  if (!state.empty()) job.listing->heard(job.id, state);
  if (seen->status == 404 || state == "JobComplete" || state == "Failed") return milliseconds(0);
  if (state == "Aborted") return rest;
  const auto told = ask(abort_request(job.path), Calls::Way::ending);
  return told && told->status == 200 && job_text(*told, "state") == "Aborted" ? std::optional(rest) : std::nullopt;
}

}  // namespace

void LeftJobs::add(LeftJob job, api::KeysInUse& in_use) {
  log::warning("consumer",
               "a bulk job may still be at work at Salesforce; the events of its records wait until it is over",
               {{"endpoint", job.endpoint}, {"job", job.id}, {"records", job.keys.size()}});
  for (const std::string& key : job.keys) in_use.hold(key);
  put_back(std::move(job));
}

void LeftJobs::look(Calls& calls, api::KeysInUse& in_use, milliseconds rest) {
  while (auto job = take_due()) {
    std::optional<milliseconds> left;
    bool answered = true;
    try {
      left = rest_after(*job, calls, rest);
    } catch (const std::exception&) {  // the delivery's own call meets the trouble
      answered = false;
    }
    if (left) {
      for (const std::string& key : job->keys) in_use.let_go(key, std::chrono::steady_clock::now() + *left);
      log::info("consumer", "a bulk job that was left is over", {{"endpoint", job->endpoint}, {"job", job->id}});
    } else {
      put_back(std::move(*job));
    }
    if (!answered) return;
  }
}

// Out of the list while one lane looks at it.
std::optional<LeftJob> LeftJobs::take_due() {
  const std::lock_guard lock(mutex_);
  const SteadyTime now = std::chrono::steady_clock::now();
  const auto found = std::find_if(jobs_.begin(), jobs_.end(), [&](const LeftJob& job) { return job.due <= now; });
  if (found == jobs_.end()) return std::nullopt;
  LeftJob job = std::move(*found);
  jobs_.erase(found);
  return job;
}

void LeftJobs::put_back(LeftJob job) {
  job.pause = job.pause.count() == 0 ? first_look : std::min(job.pause * 2, longest_look);
  job.due = std::chrono::steady_clock::now() + job.pause;
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
}

}  // namespace muskrat::salesforce
