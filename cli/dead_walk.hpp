// A walk over an endpoint's dead letters, in the order in which they stand: each that a filter takes is shown to an
// action, and taken out of the queue when the action says so. What is passed over goes back in order at the end.
//
// Used by the dead verbs and forget, and by replay for what was unrouted. One at a time changes the letters of an
// endpoint: two would break their order. Those who only look may do so beside it, and do not see what it holds. What a
// walk holds in memory is bounded in bytes, however many letters there are: a look keeps none, a change 16 MiB. Thread
// rule: the main thread.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "cli/dead_filter.hpp"
#include "cli/letter.hpp"
#include "cli/progress.hpp"
#include "common/amqp.hpp"
#include "common/config.hpp"

namespace muskrat::cli {

class LetterWalk {
 public:
  // `verb` names the connection. Failure{stop} when there is no such queue, or somebody else is at it; with `beside`
  // that is no reason not to look.
  LetterWalk(const Config& config, const std::string& endpoint, const std::string& verb, bool beside = false);
  // The same over another queue of messages that nobody consumes; `what` they are, for messages to people.
  LetterWalk(const Config& config, std::string queue, const std::string& what, const std::string& verb,
             bool beside = false);

  // True: the letter is acknowledged, and gone. An exception leaves it where it is.
  using Action = std::function<bool(const amqp::Delivery& letter)>;
  void each(const LetterFilter& filter, const Action& action);
  // The same for those that are wanted, among the first 65,535. Nothing is kept of the others, so it does not matter
  // how many bytes of them stand before.
  using Wanted = std::function<bool(const amqp::Delivery& letter)>;
  void some(const Wanted& wanted, const Action& action);
  // Shows the letters, with their place from 1 on, and gives everything back; false from the action ends it.
  using Look = std::function<bool(const amqp::Delivery& letter, uint32_t place)>;
  void look(const LetterFilter& filter, const Look& action);
  void close();

  uint32_t total() const { return total_; }          // letters there at the beginning
  uint32_t looked_at() const { return looked_at_; }  // look(), or with a filter: 65,535 at most
  size_t taken_out() const { return taken_out_; }
  bool somebody_else() const { return somebody_else_; }  // a look beside another's walk

 private:
  // Which letters are shown to the action, how many are taken out at most (0: all), how many the broker hands over at a
  // time, and how many are looked at.
  struct Course {
    const Wanted& wanted;
    int64_t limit;
    uint32_t window, most;
  };
  bool lap(Course& course, const Action& action);
  void walk(Course course, const Action& action);
  bool heard(amqp::Handler& handler);
  bool limit_reached(int64_t limit) const;
  bool is_gone_already(const amqp::Delivery& letter) const;
  void take_out(const amqp::Delivery& letter, amqp::Handler& others);
  void show_progress();

  amqp::Connection reader_;
  std::string queue_;
  uint32_t total_ = 0, looked_at_ = 0, seen_ = 0;
  size_t taken_out_ = 0;
  bool somebody_else_ = false;
  std::deque<std::string> recent_;  // identities of those taken out last
  const SteadyTime began_ = std::chrono::steady_clock::now();
  Progress progress_{false};
};

}  // namespace muskrat::cli
