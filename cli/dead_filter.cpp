#include "cli/dead_filter.hpp"

#include <algorithm>

#include "cli/exit.hpp"
#include "cli/letter.hpp"
#include "common/event.hpp"
#include "common/settings_builder.hpp"
#include "common/wire.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat::cli {
namespace {

constexpr Option age{"age", OptionType::duration, "", "0ms..36500d", "An age."};

// Of "5m", "2h", "7d".
int64_t age_ms(const std::string& name, const std::string& text) {
  SettingsBuilder builder({&age, 1}, {});
  const std::string problem = builder.set(age, {text, text, "", false, {}});
  if (!problem.empty()) throw UsageError(name + ": " + problem);
  return builder.finish().duration("age").count();
}

}  // namespace

void LetterFilter::declare(Arguments& arguments) {
  arguments.text("--key", "KEY", key_, "Only letters of this ordering key, as dead list shows it.");
  arguments.text("--reason", "TEXT", reason_, "Only letters whose reason holds this text.");
  arguments.text("--class", "CLASS", cause_,
                 "Only letters of this class: transient (tried until it was given up), permanent (refused), or held "
                 "(behind another letter of their key).");
  arguments.text("--routing-key", "PATTERN", routing_key_,
                 "Only events whose routing key a subscription of this pattern would take.");
  arguments.text("--older", "AGE", older_, "Only letters that died longer ago than this, such as 30m, 2h, 7d.");
  arguments.text("--newer", "AGE", newer_, "Only letters that died less long ago than this.");
  arguments.texts("--message-id", "ID", message_ids_, "Only this letter.");
}

void LetterFilter::declare_limit(Arguments& arguments) {
  arguments.number("-n,--limit", "N", limit_, 1, 1'000'000'000, "At most so many of them, the first in the queue.");
}

void LetterFilter::prepare() {
  if (!cause_.empty() && cause_ != dead::transient && cause_ != dead::permanent && cause_ != dead::held)
    throw UsageError("--class is one of transient, permanent, held; not " + cause_);
  std::string why;
  if (!routing_key_.empty()) {
    const auto binding = binding_of_pattern(routing_key_, &why);
    if (!binding) throw UsageError("--routing-key " + routing_key_ + ": " + why);
    binding_ = *binding;
  }
  const int64_t now_ms = wall_clock_us() / 1000;
  if (!older_.empty()) dead_before_ms_ = now_ms - age_ms("--older", older_);
  if (!newer_.empty()) dead_after_ms_ = now_ms - age_ms("--newer", newer_);
}

bool LetterFilter::empty() const {
  return key_.empty() && reason_.empty() && cause_.empty() && routing_key_.empty() && older_.empty() &&
         newer_.empty() && keys_.empty() && message_ids_.empty();
}

// A letter without a time of death (the broker's own doing) is neither older nor newer than anything.
bool LetterFilter::takes(const amqp::Delivery& delivery) const {
  if (empty()) return true;
  const auto& ids = message_ids_;
  if (!ids.empty() && std::find(ids.begin(), ids.end(), delivery.message_id) == ids.end()) return false;
  const Letter letter(delivery);
  if (!keys_.empty() && std::find(keys_.begin(), keys_.end(), letter.key) == keys_.end()) return false;
  return (key_.empty() || key_ == letter.key) && (cause_.empty() || cause_ == letter.cause) &&
         (reason_.empty() || letter.reason.find(reason_) != std::string::npos) &&
         (binding_.empty() || binding_matches(binding_, letter.routing_key)) &&
         (dead_before_ms_ == 0 || (letter.dead_at_ms > 0 && letter.dead_at_ms < dead_before_ms_)) &&
         (dead_after_ms_ == 0 || letter.dead_at_ms > dead_after_ms_);
}

}  // namespace muskrat::cli
