// The source while it leads: read, publish, confirm, move the cursor; one loop.
//
// Made when the lease was taken, gone when it is lost, when a connection to the
// database fails, or after a drained stop. All state that matters is in the cursor
// row; a new Leader starts from there and from nothing else.
//
// Used by postgres_outbox.cpp. Neighbours: Reader (events in), Window (accounting),
// Publisher (events out), Held, Lease. Thread rule: the source's thread.
#pragma once

#include <string>

#include "relay/publisher.hpp"
#include "relay/sources.hpp"
#include "relay/sources/poll_pace.hpp"
#include "relay/sources/postgres_outbox_reader.hpp"

namespace muskrat::postgres_outbox {

struct Options {
  size_t window = 0;
  int64_t window_bytes = 0, max_body = 0, segment_bytes = 0;
  milliseconds poll_interval{}, retention{}, lease_time{}, drain_timeout{}, held_retry{};
  size_t held_max = 0;
  int nack_tries = 0;
  bool notify = true;

  static Options of(const Settings& settings);
};

class Leader {
 public:
  Leader(const SourceContext& context, const Options& options, Db& db, int64_t term, const Hello& hello,
         milliseconds lease_asked, Meters& meters, const Stop& stop);
  // Until stop is requested and everything sent is settled and saved; throws LeaseLost or Failure.
  void run();

 private:
  void load_held(const std::vector<int64_t>& ids);
  void step();
  void fill(SteadyTime now);
  void read_page(SteadyTime now);
  void retry_held(SteadyTime now);
  void settle_accounts();
  void save_when_due(SteadyTime now);
  void save(SteadyTime now, bool exact);
  void beat();
  void tend_when_due(SteadyTime now);
  void report_when_due(SteadyTime now);
  std::string state() const;
  std::string trouble() const;
  void wait(const Stop* stop);
  Deadline wake_up(SteadyTime now);
  bool may_read() const;
  void drain();
  bool drained();

  const SourceContext& context_;
  const Options& options_;
  Db& db_;
  Meters& meters_;
  const Stop& stop_;
  std::string name_, board_name_;
  int64_t term_;
  Lease lease_;
  Held held_;
  Window window_;
  Publisher publisher_;
  Reader reader_;
  PollPace pace_;

  Cursor saved_;
  Window::Position saved_position_;
  uint64_t saved_held_ = 0;
  SteadyTime saved_at_{}, next_save_{}, next_tend_{}, next_report_{};
  bool draining_ = false, full_logged_ = false;
  int64_t read_up_to_ = 0;  // ids that the first read, which repeats what was not saved, has passed
  std::string stuck_;       // who keeps the outbox from rotating
  int64_t confirmed_ = 0, confirmed_before_ = 0;
};

}  // namespace muskrat::postgres_outbox
