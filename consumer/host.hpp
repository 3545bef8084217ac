// The host of one endpoint: takes events from its queue, hands them to its lanes, settles each.
//
// Used by consumer/consumer.cpp, one per configured endpoint, on a thread of its own. Its parts:
//   session    the broker connection and the account of delivery tags       schedule  who goes next, keys in order
//   lane       a thread with an Endpoint each                                mailbox   what lanes and office report
//   circuit    tells the endpoint's failures from an event's                 retry     when a failed event goes again
//   dead_letters, dead_retry, held_keys                                          figures   metrics
//   superseded_log lists what was passed over for newer state
//   subscription  tells what the queue is still bound to and the configuration has no more
//   jobs       long work at the endpoint's server
//   call_gate  keeps the endpoint's rates and quota     pause_watch  says whether an operator has paused it
//
// One life of a session: connect the lanes → open the session → serve → drain → close it, which gives every unfinished
// event back in order. Lanes then begin no more calls, and a new session opens only when none has an event of the old
// one, so one key is never under way twice. Reasons to end a session: stop, an operator's pause, trouble at the
// endpoint, events unfinished for too long, too many bytes, or the broker's end of it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/backoff.hpp"
#include "common/health.hpp"
#include "consumer/circuit.hpp"
#include "consumer/dead_letters.hpp"
#include "consumer/dead_retry.hpp"
#include "consumer/figures.hpp"
#include "consumer/held_keys.hpp"
#include "consumer/jobs.hpp"
#include "consumer/lane.hpp"
#include "consumer/limits/call_gate.hpp"
#include "consumer/mailbox.hpp"
#include "consumer/options.hpp"
#include "consumer/park.hpp"
#include "consumer/park_notes.hpp"
#include "consumer/pause_watch.hpp"
#include "consumer/retry.hpp"
#include "consumer/schedule.hpp"
#include "consumer/session.hpp"
#include "consumer/subscription.hpp"
#include "consumer/superseded_log.hpp"

namespace muskrat {

class Host {
 public:
  Host(const EndpointKind& kind, const Component& component, const Config& config, const PauseWatch& pauses,
       SupersededLog& superseded, ParkNotes& notes, Jobs& jobs, StatusBoard& board, const Stop& stop);

  // Until stop is requested. Throws Failure{stop} when only a person can help.
  void run();

 private:
  struct LaneSlot {
    std::unique_ptr<Lane> lane;
    std::vector<Item*> batch;
    bool busy = false, connected = false;
    SteadyTime since{};
  };
  // Why a session ends, and how long to stay away.
  struct Ending {
    enum class Why { stop, again, park, lost } why = Why::again;
    std::string text;
    milliseconds away{0};
    ParkReason reason = ParkReason::trouble;
  };

  // host.cpp: the lives of sessions
  bool lanes_ready();
  bool open_session();
  Ending serve();
  Ending serve_until_ended();
  Deadline begin_to_end(const Ending& ending);
  bool drained(Deadline deadline);
  std::optional<Ending> reason_to_end();
  std::optional<Ending> reason_to_rest();
  bool letters_are_missing(SteadyTime now);
  Ending trouble(const std::string& why, milliseconds away);
  void after(const Ending& ending);
  void await_lanes();
  void tend(SteadyTime now);
  void take_back_park(SteadyTime now);
  void publish_state();
  Deadline next_wake();

  // host_parking.cpp: while nothing is taken, or nothing handed out
  bool not_paused();
  bool calls_allowed();
  std::optional<Park> no_calls(SteadyTime now);
  void remember_rest();
  void keep_rest();
  void ask_for_rest(const Outcome& outcome);
  bool all_lanes_allowed_are_busy() const;
  void park(const std::string& why, milliseconds span, ParkReason reason);
  void forget_park();
  void wait_to_connect(const std::string& why, milliseconds span);
  void stay_away(const char* state, const std::string& why, milliseconds span, const std::function<bool()>& over);

  // host_events.cpp: the fate of events
  void take_in(std::vector<amqp::Delivery> deliveries);
  std::unique_ptr<Item> item_of(amqp::Delivery& delivery);
  void hand_out(bool ending);
  std::vector<Item*> next_batch(unsigned lane, SteadyTime now, bool eager);
  void deliver(LaneSlot& slot, std::vector<Item*> batch);
  void handle_reports();
  void handle(Report& report);
  void on_outcomes(LaneSlot& slot, const Report& report);
  void on_trouble(LaneSlot& slot, const Report& report);
  void on_buried(const Report& report);
  void watch_binding(const Item& item);
  void settle(Item& item, const Outcome& outcome);
  void finish(Item& item);
  void try_again(Item& item, const std::string& why);
  void bury(Item& item, const std::string& why, std::string_view cause);
  void judge(const std::vector<Item*>& batch, const std::vector<Outcome>& outcomes);

  const EndpointKind& kind_;
  const Component& component_;
  const Config& config_;
  const HostOptions options_;
  const std::string row_;       // its name on the status board
  const std::string exchange_;  // by which subscriptions are served
  const PauseWatch& pauses_;
  SupersededLog& superseded_;
  ParkNotes& notes_;
  Jobs& jobs_;
  StatusBoard& board_;
  const Stop& stop_;

  Mailbox mailbox_;
  Schedule schedule_;
  Circuit circuit_;
  AttemptMemory attempts_;
  HeldKeys held_keys_;
  Subscription subscription_;
  std::set<std::string> warned_of_;  // routing keys that nothing in the configuration subscribes to
  Figures figures_;
  Backoff broker_backoff_, lane_backoff_;
  std::minstd_rand chance_{std::random_device{}()};

  std::optional<Session> session_;
  uint64_t generation_ = 0;
  uint64_t last_handed_out_ = 0;  // the highest delivery tag that went to a lane
  uint16_t prefetch_;             // of this session: lowered while probing and for large events
  SteadyTime opened_at_{}, tended_at_{}, letters_counted_at_{};
  bool letters_were_missing_ = false;
  std::map<uint64_t, Item*> burying_;             // by delivery tag
  std::string away_why_, last_why_, office_why_;  // the endpoint's trouble, the last event's, the office's
  std::string parked_why_;                        // the last park's reason, until the endpoint has taken something
  bool took_something_ = false;                   // since then
  std::optional<Park> asked_;                     // the endpoint wants no calls until then
  bool knows_the_past_ = false;                   // what it wanted before this host began has been read
  std::optional<Failure> fatal_;

  CallGate gate_;
  std::vector<LaneSlot> lanes_;
  unsigned first_lane_ = 0;  // which is served first: each in turn, since `concurrency` may leave out the last
  DeadLetterOffice office_;
  DeadRetrier retrier_;
};

}  // namespace muskrat
