#include "consumer/lane.hpp"

#include <stdexcept>
#include <utility>

#include "common/log.hpp"
#include "common/threads.hpp"

namespace muskrat {
namespace {

constexpr milliseconds quiet_span{1000};

milliseconds since(SteadyTime start) {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
}

}  // namespace

Lane::Lane(unsigned index, const EndpointKind& kind, const Component& component, const Settings& consumer,
           milliseconds timeout, CallGate& gate, Jobs& jobs, Mailbox& mailbox)
    : index_(index),
      kind_(kind),
      component_(component),
      consumer_(consumer),
      timeout_(timeout),
      gate_(gate),
      jobs_(jobs),
      mailbox_(mailbox) {
  thread_ = std::thread([this] { run(); });
}

Lane::~Lane() {
  give({.quit = true, .batch = {}});
  thread_.join();
}

void Lane::connect() { give({}); }
void Lane::deliver(std::vector<const Event*> batch) { give({.quit = false, .batch = std::move(batch)}); }

void Lane::give(Task task) {
  {
    std::lock_guard lock(mutex_);
    task_ = std::move(task);
  }
  wake_.notify_one();
}

std::optional<Lane::Task> Lane::next_task() {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, rested_ ? milliseconds(std::chrono::hours(1)) : quiet_span,
                 [this] { return task_.has_value(); });
  return std::exchange(task_, std::nullopt);
}

void Lane::run() {
  name_this_thread("lane" + std::to_string(index_) + " " + component_.name);
  while (true) {
    const auto task = next_task();
    if (!task) {
      rest();
      continue;
    }
    if (task->quit) break;
    rested_ = false;
    mailbox_.post(perform(*task));
  }
  rest();
  endpoint_.reset();
}

void Lane::ensure_connected(Deadline deadline) {
  if (!endpoint_) endpoint_ = make_endpoint(kind_, component_, consumer_, &gate_, &jobs_);
  if (!connected_) endpoint_->connect(deadline);
  connected_ = true;
}

Report Lane::perform(const Task& task) {
  const SteadyTime start = std::chrono::steady_clock::now();
  Report report;
  report.lane = index_;
  try {
    const Deadline deadline = Deadline::in(timeout_);
    ensure_connected(deadline);
    report.what = Report::What::connected;
    if (!task.batch.empty()) {
      report.outcomes = endpoint_->deliver(task.batch, deadline);
      report.what = Report::What::outcomes;
      if (report.outcomes.size() != task.batch.size())
        throw std::logic_error("the endpoint kind " + std::string(kind_.name) + " left events without an outcome");
    }
  } catch (const Failure& failure) {
    report.what = Report::What::trouble;
    report.why = failure.what();
    report.remedy = failure.remedy();
    connected_ = false;
  } catch (const std::exception& error) {
    report.what = Report::What::trouble;
    report.why = error.what();
    connected_ = false;
  }
  report.took = since(start);
  return report;
}

void Lane::rest() {
  rested_ = true;
  if (!endpoint_ || !connected_) return;
  try {
    endpoint_->idle();
  } catch (const std::exception& error) {
    log::warning("consumer", "endpoint failed while idle", {{"endpoint", component_.name}, {"why", error.what()}});
    connected_ = false;
  }
}

}  // namespace muskrat
