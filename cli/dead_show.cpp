// muskrat dead show: all that is known of a letter: why, since when, what was tried, and its headers; its body only
// when asked for.
#include <algorithm>

#include "cli/context.hpp"
#include "cli/dead_walk.hpp"
#include "cli/event_text.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat::cli {
namespace {

constexpr size_t most_shown = 10;

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 9 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string value_text(const amqp::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return harmless(*text);
  if (const auto* number = std::get_if<int64_t>(&value)) return std::to_string(*number);
  return std::get<bool>(value) ? "true" : "false";
}

std::string line(const std::string& name, const std::string& value) {
  if (value.empty()) return "";
  return "  " + name + std::string(name.size() < 15 ? 15 - name.size() : 1, ' ') + harmless(value) + "\n";
}

// One line for each attempt, under each other.
std::string trail_text(const std::string& trail) {
  std::string text;
  for (size_t start = 0; start < trail.size();) {
    const size_t end = std::min(trail.find('\n', start), trail.size());
    text += "    " + harmless(trail.substr(start, end - start)) + "\n";
    start = end + 1;
  }
  return text.empty() ? "" : "  what was tried:\n" + text;
}

std::string headers_text(const amqp::Delivery& delivery) {
  std::string text = "  headers:\n";
  for (const auto& [name, value] : delivery.headers)
    if (name != dead::header_trail) text += "    " + harmless(name) + ": " + value_text(value) + "\n";
  return text;
}

class DeadShow : public Command {
 public:
  explicit DeadShow(Arguments& arguments) {
    arguments.positional("ENDPOINT", endpoint_, "The endpoint's name in the configuration.");
    arguments.optional_positional("LETTER", letter_,
                                  "Its message id, or its number in the queue as dead list shows it.");
    filter_.declare(arguments);
    filter_.declare_limit(arguments);
    arguments.flag("--json", json_, "One JSON object per letter.");
    arguments.flag("--body", body_, "Show the body too: customers' data.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    find_component(config.endpoints, endpoint_, "endpoint");
    filter_.prepare();
    if (letter_.empty() && filter_.empty())
      throw UsageError("which letter? Give its message id or its number, as dead list shows them, or a filter");
    if (is_number(letter_) && std::stoul(letter_) == 0)
      throw UsageError("there is no letter 0: they are numbered from 1");
    if (!letter_.empty() && !is_number(letter_)) filter_.only(letter_);
    LetterWalk walk(config, endpoint_, "dead show", true);
    std::string text;
    size_t shown = 0;
    const uint32_t number = is_number(letter_) ? static_cast<uint32_t>(std::stoul(letter_)) : 0;
    const size_t most = filter_.limit() > 0 ? static_cast<size_t>(filter_.limit()) : most_shown;
    walk.look(filter_, [&](const amqp::Delivery& delivery, uint32_t place) {
      if (number != 0 && place != number) return place < number;
      text += json_ ? json_text(delivery, place) : text_of(delivery, place);
      return ++shown < most && number == 0;
    });
    walk.close();
    print(text);
    if (shown > 0) return exit_ok;
    complain("No such letter among the " + counted(walk.total(), "dead letter") + " of the endpoint " + endpoint_ +
             (walk.somebody_else() ? "; somebody else is at them, and holds some" : "") + ".\n");
    return exit_problems;
  }

 private:
  std::string json_text(const amqp::Delivery& delivery, uint32_t place) const {
    if (body_) return export_line(delivery);
    json::Object object = letter_object(Letter(delivery));
    return object.add("place", int64_t{place}).add("trail", Letter(delivery).trail).text() + "\n";
  }

  std::string text_of(const amqp::Delivery& delivery, uint32_t place) const {
    const Letter letter(delivery);
    std::string text = "Letter " + std::to_string(place) + " of the endpoint " + endpoint_ + "\n";
    text += line("message id", letter.message_id) + line("routing key", letter.routing_key) + line("key", letter.key);
    text += line("source", letter.source) + line("op", letter.op);
    if (letter.epoch != 0 || letter.seq != 0)
      text += line("epoch/seq", std::to_string(letter.epoch) + "/" + std::to_string(letter.seq));
    text += line("captured", iso_time(delivery.headers.number("timestamp_in_ms") * 1000));
    text += line("dead since", iso_time(letter.dead_at_ms * 1000)) + line("reason", letter.reason);
    text += line("class", letter.cause) + line("attempts", std::to_string(letter.attempts));
    text += line("sent again", letter.retries > 0 ? std::to_string(letter.retries) + " times" : "");
    text += line("body", std::to_string(delivery.body.size()) + " bytes, " + delivery.content_type);
    text += trail_text(letter.trail) + headers_text(delivery);
    if (body_) text += "\n" + harmless(delivery.body) + "\n";
    return text;
  }

  std::string endpoint_, letter_;
  LetterFilter filter_;
  bool json_ = false, body_ = false;
};

}  // namespace

std::unique_ptr<Command> make_dead_show(Arguments& arguments) { return std::make_unique<DeadShow>(arguments); }

}  // namespace muskrat::cli
