// muskrat dead list: how many dead letters there are and why, and which; they are looked at and given back.
#include "cli/context.hpp"
#include "cli/dead_walk.hpp"
#include "cli/event_text.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"

namespace muskrat::cli {
namespace {

constexpr size_t most_reasons = 20;
constexpr size_t most_body_bytes = size_t{64} << 20;  // of bodies that are kept to be shown

class DeadList : public Command {
 public:
  explicit DeadList(Arguments& arguments) {
    arguments.optional_positional("ENDPOINT", endpoint_,
                                  "The endpoint's name in the configuration (default: counts for all).");
    filter_.declare(arguments);
    arguments.flag("--json", json_, "One JSON object per line: a letter, or without ENDPOINT an endpoint's reasons.");
    arguments.flag("--body", body_, "Show the bodies too: customers' data.");
    arguments.number("-n,--limit", "N", limit_, 0, 65'535, "Most to list (default 100); all are counted.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    filter_.prepare();
    if (endpoint_.empty()) {
      if (body_) throw UsageError("--body needs an ENDPOINT");
      for (const Component& endpoint : config.endpoints) summarize(config, endpoint.name);
      return exit_ok;
    }
    find_component(config.endpoints, endpoint_, "endpoint");
    show(look(config, endpoint_));
    return exit_ok;
  }

 private:
  struct Row {
    uint32_t place;
    Letter letter;
    std::string body;
  };
  struct Found {
    uint32_t total = 0, looked_at = 0;
    uint64_t taken = 0;
    bool somebody_else = false;
    ReasonCounts reasons;
    std::vector<Row> rows;
  };

  Found look(const Config& config, const std::string& endpoint) const {
    Found found;
    LetterWalk walk(config, endpoint, "dead list", true);
    size_t bytes = 0;
    walk.look(filter_, [&](const amqp::Delivery& delivery, uint32_t place) {
      const Letter letter(delivery);
      found.reasons.add(letter);
      ++found.taken;
      if (found.rows.size() >= static_cast<size_t>(limit_)) return true;
      const bool keep_body = body_ && bytes + delivery.body.size() <= most_body_bytes;
      if (keep_body) bytes += delivery.body.size();
      found.rows.push_back({place, letter, keep_body ? delivery.body : body_ ? "(left out: use dead export)" : ""});
      return true;
    });
    walk.close();
    found.total = walk.total();
    found.looked_at = walk.looked_at();
    found.somebody_else = walk.somebody_else();
    return found;
  }

  void summarize(const Config& config, const std::string& endpoint) const {
    const Found found = look(config, endpoint);
    if (json_) {
      json::Object object;
      object.add("endpoint", endpoint).add("letters", int64_t{found.total}).add("meant", found.taken);
      return print(object.add("reasons", found.reasons.objects()).text() + "\n");
    }
    print(heading(endpoint, found) + found.reasons.text(most_reasons));
  }

  std::string heading(const std::string& endpoint, const Found& found) const {
    std::string text = "The endpoint " + endpoint + " has " + counted(found.total, "dead letter");
    if (!filter_.empty()) text += ", " + std::to_string(found.taken) + " of which are meant";
    text += ".\n";
    if (found.somebody_else) text += "Somebody else is at them: what that one holds is not counted.\n";
    if (found.looked_at < found.total)
      text += "Only the first " + std::to_string(found.looked_at) + " were looked at.\n";
    return text;
  }

  void show(const Found& found) const {
    if (json_) {
      for (const Row& row : found.rows) print(json_line(row));
      return;
    }
    Table table({"#", "DEAD SINCE", "ROUTING KEY", "KEY", "TRIES", "MESSAGE ID", "REASON"});
    std::string bodies;
    for (const auto& [place, letter, body] : found.rows) {
      table.add({std::to_string(place), iso_time(letter.dead_at_ms * 1000), harmless(letter.routing_key),
                 harmless(letter.key), std::to_string(letter.attempts), harmless(letter.message_id),
                 harmless(letter.reason)});
      if (body_) bodies += harmless(letter.message_id) + "  " + harmless(body) + "\n";
    }
    print(heading(endpoint_, found) + found.reasons.text(most_reasons));
    if (!table.empty()) print("\n" + table.text());
    if (!bodies.empty()) print("\n" + bodies);
    if (found.rows.size() < found.taken)
      print("Shown: " + std::to_string(found.rows.size()) + "; --limit shows more.\n");
  }

  std::string json_line(const Row& row) const {
    json::Object object = letter_object(row.letter);
    object.add("place", int64_t{row.place});
    if (body_) object.add("body", row.body);
    return object.text() + "\n";
  }

  std::string endpoint_;
  LetterFilter filter_;
  bool json_ = false, body_ = false;
  int64_t limit_ = 100;
};

}  // namespace

std::unique_ptr<Command> make_dead_list(Arguments& arguments) { return std::make_unique<DeadList>(arguments); }

}  // namespace muskrat::cli
