#include "cli/backfill_run.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cli/terminal.hpp"

namespace muskrat::cli {
namespace {

constexpr milliseconds check_every{200}, pause{50}, patience{5000};
// What may wait for the relay in bytes of bodies: rows of a megabyte are fewer than rows of a hundred bytes.
constexpr int64_t backlog_bytes = 64 << 20;

SteadyTime now() { return std::chrono::steady_clock::now(); }

}  // namespace

BackfillRun::BackfillRun(BackfillSource& source, const Options& options, const Stop& stop)
    : source_(source),
      options_(options),
      stop_(stop),
      pace_(options.rate, stop),
      progress_(options.json),
      locked_(milliseconds(50), milliseconds(1000)) {}

milliseconds BackfillRun::took() const { return std::chrono::duration_cast<milliseconds>(now() - began_); }

bool BackfillRun::run(const BackfillEntry& entry) {
  entry_ = entry;
  at_ = entry.at;
  passed_before_ = at_.passed;
  events_checked_ = at_.events;
  began_ = now();
  pace_.restart();
  take();
  while (at_.running && !stop_.requested()) {
    try {
      hold_back();
      if (stop_.requested()) break;
      step();
    } catch (const Failure& failure) {
      if (!source_.mends(failure)) throw;
      lost(failure);
    }
    show();
  }
  progress_.end();
  return !at_.running;
}

// The connection of one that was killed a moment ago may still be there.
void BackfillRun::take() {
  for (const Deadline deadline = Deadline::in(patience); !source_.take(entry_.id); rest(pause)) {
    if (deadline.passed() || stop_.requested())
      throw Failure(Remedy::stop, "another muskrat backfill works on number " + std::to_string(entry_.id) +
                                      "; it goes on by itself, see muskrat backfill --list");
  }
}

void BackfillRun::step() {
  int64_t rows = options_.chunk;
  if (options_.rate > 0) rows = std::clamp<int64_t>(options_.rate / 5, 1, rows);
  std::string why;
  const auto state = source_.step(entry_.id, rows, why);
  if (!state) {
    waits_for_ = why;
    return rest(locked_.next());
  }
  const int64_t passed = state->passed - at_.passed;
  const bool moved = passed > 0 || state->later < at_.later || state->events > at_.events;
  at_ = *state;
  waits_for_.clear();
  if (moved) locked_.reset();
  if (!at_.running) return;
  if (moved) return pace_.done(passed);
  if (at_.later > 0) waits_for_ = counted(static_cast<size_t>(at_.later), "row") + " that others have locked";
  rest(locked_.next());
}

int64_t BackfillRun::bound() const {
  const int64_t each = at_.events > 0 ? std::max<int64_t>(at_.bytes / at_.events, 1) : 1000;
  return std::clamp<int64_t>(backlog_bytes / each, 100, options_.backlog);
}

// Looks at what waits for the relay now and then, and before it can have become too much.
void BackfillRun::hold_back() {
  const int64_t most = std::min(bound(), options_.backlog);
  if (at_.events - events_checked_ < most / 4 && now() < next_check_) return;
  for (bool first = true; !stop_.requested(); first = false) {
    const BackfillPressure pressure = source_.pressure(most);
    if (pressure.events < (first ? most : most * 3 / 4)) break;
    waits_for_ = fmt::format("the relay ({}{} events wait for it{})", pressure.events < most ? "" : "more than ",
                             pressure.events, pressure.relay ? "" : "; none runs: start muskrat relay");
    show();
    rest(pause);
    pace_.restart();
  }
  waits_for_.clear();
  events_checked_ = at_.events;
  next_check_ = now() + check_every;
}

void BackfillRun::lost(const Failure& failure) {
  Backoff backoff(milliseconds(200), milliseconds(10'000));
  waits_for_ = failure.what();
  while (!stop_.requested()) {
    progress_.hurry();
    show();
    rest(backoff.next());
    try {
      source_.reconnect(stop_);
      return take();
    } catch (const Failure& again) {
      if (!source_.mends(again)) throw;
      waits_for_ = again.what();
    }
  }
}

// ---- being seen ----

double BackfillRun::rows_a_second() const {
  const auto ms = static_cast<double>(took().count());
  return ms < 1 ? 0 : static_cast<double>(at_.passed - passed_before_) * 1000 / ms;
}

void BackfillRun::show() {
  progress_.show([this] { return line(); }, [this] { return object(); });
}

std::string BackfillRun::line() const {
  const double rate = rows_a_second();
  std::string text = fmt::format("{}  {} of about {} rows, {:.0f}/s", percent_text(at_.passed, entry_.estimate),
                                 at_.passed, std::max(entry_.estimate, at_.passed), rate);
  if (rate > 0 && at_.passed < entry_.estimate) {
    const auto left = static_cast<double>(entry_.estimate - at_.passed) * 1000 / rate;
    text += ", " + span_text(milliseconds(static_cast<int64_t>(left))) + " left";
  }
  if (at_.later > 0) text += ", " + std::to_string(at_.later) + " locked by others for now";
  if (!waits_for_.empty()) text += "; waits for " + harmless(waits_for_);
  return text;
}

json::Object BackfillRun::object() const {
  json::Object object;
  object.add("backfill", entry_.id).add("state", at_.running ? "running" : "done").add("estimate", entry_.estimate);
  object.add("rows", at_.passed).add("events", at_.events).add("bytes", at_.bytes).add("locked", at_.later);
  object.add("rows_per_s", rows_a_second());
  waits_for_.empty() ? object.add_null("waits_for") : object.add("waits_for", waits_for_);
  return object;
}

}  // namespace muskrat::cli
