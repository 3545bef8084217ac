#include "relay/outbox_source.hpp"

#include <algorithm>

#include "common/log.hpp"

namespace muskrat {

OutboxSource::OutboxSource(const SourceContext& context, milliseconds lease_time)
    : context_(context),
      lease_time_(lease_time),
      meters_(context.component.name),
      name_(context.component.name),
      board_name_("source " + name_),
      holder_(this_holder() + " " + name_),
      backoff_(milliseconds(100), milliseconds(10'000)) {}

// However a session ends: before what ended it is waited out.
struct OutboxSource::AtRest {
  OutboxMeters& meters;
  ~AtRest() { meters.rest(); }
};

void OutboxSource::run(const Stop& stop) {
  context_.board.set(board_name_, false, "connecting", "");
  while (!stop.requested()) attempt(stop);
  if (!stopped_why_.empty()) throw Failure(Remedy::stop, stopped_why_);
}

void OutboxSource::attempt(const Stop& stop) {
  try {
    session(stop);
  } catch (const LeaseLost& lost) {
    log::warning("relay", "lease lost", {{"source", name_}, {"why", lost.what()}});
    context_.board.set(board_name_, true, "standby", lost.what());
  } catch (const Misconfigured& problem) {
    stopped(problem, stop);
  } catch (const Failure& failure) {
    if (failure.remedy() == Remedy::stop) throw;
    away(failure.what(), stop);
  }
}

void OutboxSource::session(const Stop& stop) {
  const AtRest at_rest{meters_};
  connect(stop);
  meters_.source_connected->add();
  while (!stop.requested()) {
    std::optional<LeaseView> seen = stand_by(stop);
    if (seen && try_to_lead(*seen, stop)) return;
  }
}

// Until the lease may be taken; empty when asked to stop.
std::optional<LeaseView> OutboxSource::stand_by(const Stop& stop) {
  LeaseWatch watch(lease_time_);
  milliseconds pause = std::min(lease_time_ / 10, milliseconds(1000));
  for (std::string leader; !stop.requested(); stop.wait(pause)) {
    context_.board.beat(board_name_);
    LeaseView lease = checked_look().lease;
    // Our own lease of before a lost connection: we know that we publish no more.
    if (lease.holder == holder_ || watch.observe(lease, boottime())) return lease;
    if (leader != lease.holder) {
      leader = lease.holder;
      std::string name = leader.substr(0, leader.find(' '));
      log::info("relay", "standing by", {{"source", name_}, {"leader", name}, {"term", lease.term}});
      context_.board.set(board_name_, true, "standby", "the leader is " + name);
    }
  }
  return std::nullopt;
}

// Leads until a drained stop (true); false when somebody else was faster.
bool OutboxSource::try_to_lead(const LeaseView& seen, const Stop& stop) {
  milliseconds asked = boottime();
  std::optional<int64_t> term = lease_take(seen, holder_);
  if (!term) return false;
  Look now = checked_look();
  if (now.lease.term != *term) return false;
  log::info("relay", "leading", {{"source", name_}, {"term", *term}, {"epoch", now.epoch}, {"database", place()}});
  backoff_.reset();
  last_trouble_.clear();
  lead(*term, asked, stop);
  return true;
}

OutboxSource::Look OutboxSource::checked_look() {
  Look seen = look();
  proven_ = true;
  stopped_why_.clear();
  return seen;
}

void OutboxSource::away(const std::string& why, const Stop& stop) {
  milliseconds pause = backoff_.next();
  meters_.source_reconnects->add();
  context_.board.set(board_name_, false, "connecting", why);
  if (why != last_trouble_ && !stop.requested()) {
    log::warning("relay", "source away",
                 {{"source", name_}, {"why", why}, {"retry_ms", static_cast<int64_t>(pause.count())}});
  }
  last_trouble_ = why;
  rest(pause, stop);
}

void OutboxSource::stopped(const Misconfigured& problem, const Stop& stop) {
  if (problem.fatal_at_start && !proven_) throw CannotStart("source " + name_ + ": " + problem.what());
  if (stopped_why_ != problem.what()) {
    log::error("relay", "source stopped", {{"source", name_}, {"why", problem.what()}});
  }
  stopped_why_ = problem.what();
  context_.board.set(board_name_, false, "stopped", stopped_why_);
  rest(milliseconds(5000), stop);
}

void OutboxSource::rest(milliseconds span, const Stop& stop) {
  Deadline deadline = Deadline::in(span);
  while (!deadline.passed() && !stop.requested()) {
    context_.board.beat(board_name_);
    stop.wait(std::min(milliseconds(5000), milliseconds(deadline.poll_timeout())));
  }
}

}  // namespace muskrat
