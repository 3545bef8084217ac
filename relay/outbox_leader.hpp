// A source while it leads: read, publish, confirm, mark; one loop.
//
// Base of the leaders of the kinds `postgres` and `mysql`, which know how their outbox
// is read and marked; here are the loop, its waits, the held events, the lease's
// clock and what is shown. Made when the lease was taken, gone when it is lost, when a
// connection to the database fails, or after a drained stop; all state that matters is
// in the database, and a new leader starts from there and from nothing else.
//
// Neighbours: Window (accounting), Publisher (events out), Held, Lease, PollPace.
// Thread rule: the source's thread. It knows no SQL.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "relay/lease.hpp"
#include "relay/poll_pace.hpp"
#include "relay/publisher.hpp"
#include "relay/sources.hpp"

namespace muskrat {

class OutboxLeader {
 public:
  struct Options {
    size_t window = 0;
    int64_t window_bytes = 0, max_body = 0;
    milliseconds poll_interval{}, lease_time{}, drain_timeout{}, held_retry{};
    size_t held_max = 0;
    int nack_tries = 0;
    bool bell = false;  // writers can wake it

    static Options of(const Settings& settings);
  };
  using Figures = std::vector<std::pair<std::string, std::string>>;

  OutboxLeader(const SourceContext& context, const Options& options, milliseconds lease_asked, OutboxMeters& meters,
               const Stop& stop);
  virtual ~OutboxLeader() = default;
  // Until stop is requested and everything sent is settled and marked; throws LeaseLost or Failure.
  void run();

 protected:
  // ---- what each kind does ----
  // A read is in hand: read_page() needs no poll.
  virtual bool in_read() const = 0;
  // Reads a page into the window, and tells pace_ and read_up_to_ what came of it.
  virtual void read_page(SteadyTime now) = 0;
  // Rows of held events, for a try; those that are gone are left out. Without `bodies`: only to see that they are
  // there.
  virtual std::vector<Outgoing> fetch_held(const std::vector<Held::Item>& items, bool bodies) = 0;
  // Something was settled that the database has not been told.
  virtual bool unmarked() const = 0;
  // Tells it, and renews the lease in the same transaction. `exact`: to the event, for a stop. Returns how many pages
  // of the database old marks take that cannot be cleared away yet.
  virtual int64_t mark(bool exact) = 0;
  virtual void renew() = 0;
  virtual void release() = 0;
  // Confirmed, or released from the held ones.
  virtual void settled(int64_t /*id*/) {}
  // Once a second: what the database needs to stay tidy.
  virtual void tend() = 0;
  // The database's socket, to be watched while waiting.
  virtual int socket() const = 0;
  // Whether a writer has rung: asked before each wait too, for a ring that came with a statement's answer is in no
  // socket any more.
  virtual void hear(bool /*readable*/) {}
  // Where the database can wait for us (pace_ says when it is to): asks for the next read, which looks when so long has
  // gone by, and then ends with the next commit, or after `longest`.
  virtual void await(milliseconds /*longest*/, microseconds /*gather*/) {}
  // One is asked for, and read_page() has not taken it; it is here.
  virtual bool awaiting() const { return false; }
  virtual bool answered() const { return false; }
  virtual size_t listed() const { return 0; }
  virtual void add_figures(Figures& figures) const = 0;

  // ---- for them ----
  // The rows of the events that were held when the last leader ended.
  void load_held(std::vector<Held::Item>&& items);
  // Marks now; the next one is due a while later.
  void save(SteadyTime now, bool exact);
  // Within something long: renew the lease, listen to the broker.
  void beat();
  bool stopping() const { return stop_.requested(); }

  OutboxMeters& meters_;
  std::string name_, board_name_;
  Held held_;
  Window window_;
  PollPace pace_;
  int64_t read_up_to_ = 0;  // ids that the first read, which repeats what was not marked, has passed

 private:
  void step();
  void fill(SteadyTime now);
  void retry_held(SteadyTime now);
  void try_held(std::vector<Held::Item>&& items, SteadyTime now);
  void settle_accounts();
  void save_when_due(SteadyTime now);
  void tend_when_due(SteadyTime now);
  void report_when_due(SteadyTime now);
  std::string state() const;
  std::string trouble() const;
  void wait(const Stop* stop);
  Deadline wake_up(SteadyTime now);
  bool may_read() const;
  bool read_due(SteadyTime now) const;
  void drain();
  bool drained();

  const SourceContext& context_;
  Options options_;
  const Stop& stop_;
  Lease lease_;
  Publisher publisher_;
  SteadyTime next_save_{}, next_tend_{}, next_report_{};
  bool draining_ = false, full_logged_ = false;
  int64_t confirmed_ = 0, confirmed_before_ = 0;
};

}  // namespace muskrat
