// A walk over an endpoint's dead letters, in the order in which they stand: each that a filter takes is shown to an
// action, and taken out of the queue when the action says so. What is passed over goes back in order at the end.
//
// Used by the verbs dead retry and dead drop; dead list looks without any of it. One at a time works on the letters of
// an endpoint: two would break their order. Thread rule: the main thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.hpp"
#include "common/amqp.hpp"
#include "common/config.hpp"

namespace muskrat::cli {

struct LetterFilter {
  std::string key, reason;
  std::vector<std::string> message_ids;

  void declare(Arguments& arguments);  // --key, --reason, --message-id
  bool empty() const { return key.empty() && reason.empty() && message_ids.empty(); }
  bool takes(const amqp::Delivery& letter) const;
};

// A text header; "" when it is not there.
std::string header_text(const amqp::Table& headers, std::string_view name);

class LetterWalk {
 public:
  // `verb` names the connection. Failure{stop} when there is no such queue, or somebody else is at it.
  LetterWalk(const Config& config, const std::string& endpoint, const std::string& verb);

  // True: the letter is acknowledged, and gone. An exception leaves it where it is.
  using Action = std::function<bool(const amqp::Delivery& letter)>;
  void each(const LetterFilter& filter, const Action& action);
  // The same, giving everything back.
  void look(const LetterFilter& filter, const std::function<void(const amqp::Delivery& letter)>& action);
  void close();

  uint32_t total() const { return total_; }          // letters there at the beginning
  uint32_t looked_at() const { return looked_at_; }  // look(), or with a filter: 65,535 at most
  size_t taken_out() const { return taken_out_; }

 private:
  void walk(const LetterFilter& filter, uint32_t window, uint32_t most, const Action& action);

  amqp::Connection reader_;
  std::string queue_;
  uint32_t total_ = 0, looked_at_ = 0;
  size_t taken_out_ = 0;
};

}  // namespace muskrat::cli
