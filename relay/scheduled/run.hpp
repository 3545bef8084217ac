// One run of a scheduled source: pages of records come in, confirmed events go out, the cursor follows.
//
// A RecordReader hands over each page with deliver(): records become events, those that were sent already are left out,
// the rest is published. Some pages may be underway at a time; the cursor moves to a page's when the broker has
// confirmed all up to it, and never before. So a run that ends anywhere, by kill -9 too, is repeated from its last
// confirmed page on, with the same message_ids, and nothing is skipped.
// Used by ScheduledSource and produce(). Neighbours: RecordShape, ScheduledState, PagePublisher.
// A record of which no event can be made is held (on_bad_record): it is written down, whole, with the cursor of its
// page, and each run begins with what is held. What becomes an event at last has the number that it would have had.
// Thread rule: the source's thread; the watcher is called on it. What it does not do: hold back an event that the
// broker will not take; that fails the run.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "relay/scheduled/comparison.hpp"
#include "relay/scheduled/deletion.hpp"
#include "relay/scheduled/page_publisher.hpp"
#include "relay/scheduled/record.hpp"
#include "relay/scheduled/state.hpp"

namespace muskrat {

struct RunCounts {
  int64_t pages = 0, read = 0, sent = 0;
  int64_t repeated = 0;  // read again, sent before
  int64_t deleted = 0;   // of those sent: rows that are gone
  int64_t filtered = 0;  // left out by the mapping
  int64_t held = 0;      // no event can be made of them, for now
  int64_t released = 0;  // of those sent: held before this run
  int64_t holding = 0;   // records that the source holds, from all its runs
  std::map<std::string, int64_t> held_why;
  std::optional<int64_t> expected;  // records, by the kind's estimate
  SteadyTime started = std::chrono::steady_clock::now();
};

struct Page {
  std::vector<Record> records;
  std::string cursor;                   // where it stands once these are confirmed
  std::optional<int64_t> captured_us;   // of when they are; else now
  std::optional<int64_t> forget_below;  // set: remember these, so that a repeat is known; none ranks lower from now on
  Comparison* against = nullptr;        // set: of the records only those are sent that it does not know as they are
  std::vector<KnownRow> gone;           // by that comparison: to be told as deleted
  std::vector<ScheduledState::Kept> kept;  // remembered with them, in place of what had these names
  // Set, without `against`: the rows of these records are remembered with that as digest, and those of deletions not.
  std::string seen;
};

struct RunOrder {
  bool dry_run = false;              // nothing is sent, nothing is remembered
  std::optional<std::string> since;  // in place of the cursor; what was sent before is sent again
};

class Run {
 public:
  struct Surroundings {
    const Config& config;
    const Component& component;
    const Stop& stop;
    // Called often: counts, and what the run waits for ("" when nothing is wrong).
    std::function<void(const RunCounts&, const std::string& trouble)> watch;
  };
  // `state` may be null in a dry run: nothing is remembered yet.
  Run(const Surroundings& around, ScheduledState* state, RunOrder order);
  ~Run();

  // ---- for the reader ----
  const std::string& cursor() const { return cursor_; }  // "" before the first page of the first run
  const std::optional<std::string>& since() const { return order_.since; }
  // Of a run whose `since` lies behind the cursor, before its first page: what lies between is the next run's, so the
  // cursor stays, and what is sent now is known then.
  void leave_cursor() { cursor_stays_ = true; }
  const Stop& stop() const { return around_.stop; }
  const Settings& settings() const { return around_.component.settings; }
  const std::string& name() const { return around_.component.name; }

  // Takes the page on its way; returns when there is room for the next one. False when asked to stop.
  bool deliver(Page&& page);
  // True when all that was delivered is confirmed and the cursor is the last page's; false when asked to stop before.
  bool settle();
  // Of all rows with those that are known; `baseline` counts in the first run only.
  Comparison& compare(bool baseline, std::vector<std::string> beside_key);
  // What an earlier run noted under that name; "" in a run from --since, which reads everything.
  std::string note(const std::string& name) const;
  void set_note(const std::string& name, const std::string& text, int64_t rank);
  // What an earlier page or run had kept under that name; "" = nothing.
  std::string kept(const std::string& name) const;
  // The next `most` rows behind that key that are known and settled; none in a dry run, which remembers nothing.
  std::vector<KnownRow> known_behind(const std::string& key, size_t most);
  // An estimate of the records of this run.
  void expect(int64_t records) { counts_.expected = records; }
  // Sleeps until the records read so far are not more than so many a second; false when asked to stop.
  bool pace(int64_t records_per_second);
  // Sleeps; false when asked to stop. `why`: what is waited for, where that is a trouble.
  bool rest(milliseconds span, const std::string& why = "");
  // "I am alive": to be called at least every 30 s. Hears the broker.
  void beat();

  // ---- for who runs it ----
  const RunCounts& counts() const { return counts_; }
  // Reads to the end, settles what was confirmed, whatever ended it, and throws what did.
  void drive(const std::function<void(Run&)>& read);

 private:
  struct Meters;
  // A page that has become events and is still to be confirmed.
  struct Underway {
    uint64_t page = 0;  // of the publisher; 0: nothing of it had to be sent
    int64_t events = 0, deleted = 0, released = 0;
    Comparison* against = nullptr;
    ScheduledState::Settlement settlement;
  };
  // What becomes of a page.
  struct Prepared {
    std::vector<Event> events;
    // The rows that these events, and the records that are held, tell of. What has a number has its place in the page
    // until number().
    std::vector<KnownRow*> told;
    std::vector<KnownRow> doubts;  // of the events
    int64_t numbers = 0;
    Underway underway;

    void add(Event&& event);
  };
  Prepared prepare(Page& page);
  void add_or_hold(const Page& page, const Record& record, int64_t captured_us, Prepared& to);
  void add(const Page& page, const Record& record, int64_t captured_us, Prepared& to);
  void remember_row(const Page& page, const Record& record, Prepared& to);
  void add_compared(const Page& page, const Record& record, int64_t captured_us, Prepared& to);
  void add_gone(const Page& page, int64_t captured_us, Prepared& to);
  bool add_deletion(const Page& page, const KnownRow& row, int64_t captured_us, Prepared& to);
  bool known(const Page& page, const Record& record, Prepared& to);
  // False when it is held already.
  bool hold(const Record& record, int64_t captured_us, const BadRecord& bad, Prepared& to);
  bool retry_held();
  void retry(const HeldRecord& held, Prepared& to);
  void filtered();
  int64_t epoch() const { return state_ == nullptr ? 0 : state_->epoch(); }
  void number(Prepared& prepared);
  bool send(Prepared&& prepared);
  void count_settled(const Underway& page);
  void settle_confirmed(bool now);
  void forget_underway(const std::string& kept);
  bool settle_by(std::optional<Deadline> end);
  void give_back_numbers();
  void watch(const std::string& from_publisher);

  Surroundings around_;
  ScheduledState* state_;
  RunOrder order_;
  std::string cursor_;
  bool cursor_stays_ = false;
  RecordShape shape_;
  std::optional<DeletionShape> deletion_;
  std::optional<Comparison> comparison_;
  std::unique_ptr<Meters> meters_;
  std::unique_ptr<PagePublisher> publisher_;
  std::deque<Underway> underway_;
  std::unordered_set<std::string> digests_underway_;
  struct KeptUnderway {
    std::string text;  // the newest page's
    size_t pages = 0;  // under way that name it
  };
  std::unordered_map<std::string, KeptUnderway> kept_underway_;
  int64_t next_number_ = 0, numbers_ = 0;  // reserved, and not given yet
  int64_t held_underway_ = 0;              // not written down yet
  RunCounts counts_;
  SteadyTime settled_at_{}, watched_at_{};
  std::string watched_, resting_;  // said last; what it rests for
};

}  // namespace muskrat
