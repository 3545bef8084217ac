#include "relay/sources/mysql_outbox_leader.hpp"

#include <utility>

#include "common/log.hpp"

namespace muskrat::mysql_outbox {
namespace {

constexpr milliseconds trim_time{100};  // of each second; publishing waits meanwhile

}  // namespace

Leader::Leader(const SourceContext& context, const MysqlOptions& options, Db& db, Batches& batches, int64_t term,
               const Hello& hello, milliseconds lease_asked, OutboxMeters& meters, const Stop& stop)
    : OutboxLeader(context, options, lease_asked, meters, stop),
      options_(options),
      db_(db),
      batches_(batches),
      claim_{term, hello.epoch},
      weakness_(hello.durability.empty() ? hello.warning : hello.durability),
      reader_(db, {name_, hello.epoch, options.window}, batches.listed) {
  load_held(reader_.locate(hello.held));
  saved_held_ = held_.version();
  if (!weakness_.empty()) log::warning("relay", "the server's settings", {{"source", name_}, {"why", weakness_}});
}

void Leader::read_page(SteadyTime at) {
  bool polled = !reader_.in_read();
  Reader::Page page = reader_.next(window_.room(), window_.room_bytes(), at);
  if (page.events.empty()) {
    if (page.end) read_up_to_ = INT64_MAX;
    if (polled) pace_.empty(at);
    return;
  }
#ifndef MUSKRAT_BUG_no_barrier
  // InnoDB shows a commit before its log is flushed. A commit of our own after the read flushes the log past it.
  save(at, false);
#endif
  int64_t last = page.events.back().event.seq;
  if (read_up_to_ != INT64_MAX) read_up_to_ = page.end ? INT64_MAX : std::max(read_up_to_, last);
  for (Outgoing& out : page.events) {
#ifdef MUSKRAT_BUG_cursor_before_confirm
    if (!held_.has(out.event.seq)) confirmed_.push_back(out.event.seq);
#endif
    window_.add(1, std::move(out), at);
  }
#ifdef MUSKRAT_BUG_cursor_before_confirm
  save(at, true);
#endif
  pace_.found(at, page.events.size());
}

std::vector<Outgoing> Leader::fetch_held(const std::vector<Held::Item>& items, bool bodies) {
  std::vector<Outgoing> events;
  if (bodies) events = reader_.fetch(items);
  if (events.size() < items.size()) release_gone(items);
  return events;
}

// One that is gone holds up its key no longer.
void Leader::release_gone(const std::vector<Held::Item>& items) {
  std::vector<int64_t> ids;
  ids.reserve(items.size());
  for (const Held::Item& item : items) ids.push_back(item.id);
  const std::vector<int64_t> gone = db_.missing(ids);
  for (const int64_t id : gone) {
    log::warning("relay", "held event is gone from the outbox", {{"source", name_}, {"id", id}});
    held_.release(id, std::chrono::steady_clock::now());
  }
  reader_.gone(gone);
}

int64_t Leader::mark(bool /*exact*/) {
  Mark mark{confirmed_, held_.ids(), options_.retention > milliseconds(0), reader_.highest()};
  uint64_t held = held_.version();
  db_.mark(claim_, mark);
  reader_.gone(mark.confirmed);
  confirmed_.clear();
  saved_held_ = held;
  return 0;  // InnoDB keeps old versions in its undo log
}

void Leader::tend() {
  reader_.tend(std::chrono::steady_clock::now());
  if (options_.retention > milliseconds(0)) trim();
}

// In small steps, for the bodies that go may be large.
void Leader::trim() {
  const Deadline enough = Deadline::in(trim_time);
  bool more = true;
  while (more && !enough.passed()) {
    const size_t step = batches_.trimmed.rows();
    more = batches_.trimmed.run([&] { return db_.history_trim(options_.retention, step); }) == step;
  }
}

// Between statements a server has nothing to say but goodbye.
void Leader::hear(bool readable) {
  if (readable) db_.ask("SELECT 1");
}

void Leader::add_figures(Figures& figures) const {
  figures.emplace_back("term", std::to_string(claim_.term));
  if (reader_.gaps() > 0) figures.emplace_back("ids_awaited", std::to_string(reader_.gaps()));
  if (!weakness_.empty()) figures.emplace_back("settings", weakness_);
}

}  // namespace muskrat::mysql_outbox
