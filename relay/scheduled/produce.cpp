#include "relay/scheduled/produce.hpp"

#include "relay/scheduled/reader.hpp"
#include "relay/scheduled/source.hpp"

namespace muskrat {
namespace {

Produced run_one(const Run::Surroundings& around, RecordReader& reader, ScheduledState* state, const RunOrder& order) {
  const int64_t begun_us = wall_clock_us();
  Run run(around, state, order);
  Produced result;
  result.before = run.cursor();
  try {
    run.drive([&](Run& whole) { reader.read(whole); });
    result.stopped = around.stop.requested();
    if (!result.stopped && !order.dry_run) state->succeeded(begun_us, wall_clock_us());
  } catch (const Failure& failure) {
    result.stopped = around.stop.requested();
    if (!result.stopped) result.failure = failure.what();
    if (!result.stopped && !order.dry_run) state->failed(failure.what());
  }
  result.counts = run.counts();
  result.after = run.cursor();
  return result;
}

}  // namespace

Produced produce(const Run::Surroundings& around, const RunOrder& order) {
  const auto reader = kind_of(around.component).reader(around.component);
  const std::string path = scheduled_state_path(around.config.relay);
  if (order.dry_run) {
    const auto state = ScheduledState::find(path, around.component.name);
    if (state) state->expect_shape(reader->shape());
    return run_one(around, *reader, state.get(), order);
  }
  const FileLock lock = try_run_lock(around.config, around.component.name);
  if (!lock)
    throw InUse("another process is in a run of " + around.component.name +
                "; wait until that has ended, then ask again");
  const auto state = ScheduledState::open(path, around.component.name, reader->shape());
  return run_one(around, *reader, state.get(), order);
}

}  // namespace muskrat
