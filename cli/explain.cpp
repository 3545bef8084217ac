// muskrat explain: what each subscribed endpoint would do with an event. Nothing is sent, and no server is asked.
#include "cli/context.hpp"
#include "cli/event_file.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/json_compare.hpp"
#include "consumer/mapping_cases.hpp"

namespace muskrat::cli {
namespace {

using Fate = Explanation::Fate;

// Text that came from elsewhere, over several lines.
std::string harmless_lines(const std::string& text) {
  std::string out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    out += (at > 0 ? "\n" : "") + harmless(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::string row_text(const json::Value& row) {
  const auto table = row.find("table"), effect = row.find("effect"), values = row.find("values");
  std::string out = "    " + std::string(effect->string()) + " " + std::string(table->string()) + "\n";
  Table columns({"column", "value"});
  for (size_t i = 0; values && i < values->size(); ++i)
    columns.add({harmless(values->member_name(i)), harmless(values->member(i).dump())});
  return columns.empty() ? out : out + columns.text("      ");
}

bool is_rows(const json::Value& sent) {
  if (sent.type() != json::Type::array || sent.size() == 0) return false;
  const auto table = sent.at(0).find("table"), effect = sent.at(0).find("effect");
  return table && effect && table->type() == json::Type::string && effect->type() == json::Type::string;
}

std::string sent_text(const Component& endpoint, const std::string& text) {
  std::string why;
  const auto sent = json::Document::parse(text, why);
  if (!sent) return "    " + harmless(text) + "\n";
  if (!endpoint.settings.knows("routes") || !is_rows(sent->root()))
    return "    " + harmless_lines(json::pretty(sent->root(), "    ")) + "\n";
  std::string out;
  for (size_t i = 0; i < sent->root().size(); ++i) out += row_text(sent->root().at(i));
  return out;
}

std::string one_text(const Component& endpoint, const Explanation& what) {
  const std::string name = coloured(Colour::bold, endpoint.name) + " (" + endpoint.kind + ")";
  switch (what.fate) {
    case Fate::sends:
      return "  " + name + " " + coloured(Colour::green, "sends") + "\n" + sent_text(endpoint, what.text);
    case Fate::skips:
      return "  " + name + " " + coloured(Colour::yellow, "skips it") + ", " + harmless(what.text) + "\n";
    case Fate::dead:
      break;
  }
  return "  " + name + " " + coloured(Colour::red, "dead letter") + ": " + harmless(what.text) + "\n";
}

std::string one_json(const Component& endpoint, const Explanation& what) {
  json::Object object;
  object.add("endpoint", endpoint.name).add("kind", endpoint.kind);
  constexpr const char* fates[] = {"sends", "skipped", "dead"};
  object.add("fate", fates[static_cast<size_t>(what.fate)]);
  if (what.fate != Fate::sends) return object.add("reason", what.text).text();
  std::string text = object.text();
  text.back() = ',';
  return text + "\"sends\":" + what.text + "}";
}

class Explain : public Command {
 public:
  explicit Explain(Arguments& arguments) {
    arguments.positional("EVENT", path_, "A file with events, one JSON object or one a line; - is standard input.");
    arguments.text("--only", "NAME", only_, "Ask this endpoint alone.");
    arguments.flag("--json", json_, "One JSON object per event: routing_key, endpoints.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    if (!only_.empty()) find_component(config.endpoints, only_, "endpoint");
    bool dead = false;
    for (const Event& event : read_events(path_)) dead = explain(config, event) || dead;
    return dead ? exit_problems : exit_ok;
  }

 private:
  // Whether it would be a dead letter somewhere.
  bool explain(const Config& config, const Event& event) const {
    std::string texts, jsons;
    bool dead = false;
    for (const Component& endpoint : config.endpoints) {
      if (!only_.empty() && endpoint.name != only_) continue;
      const Judged judged = explain_event(endpoint, event);
      if (!judged.subscribed) continue;
      dead = dead || judged.what.fate == Fate::dead;
      texts += one_text(endpoint, judged.what);
      jsons += (jsons.empty() ? "" : ",") + one_json(endpoint, judged.what);
    }
    const std::string key = harmless(event.routing_key);
    if (json_) {
      print("{\"routing_key\":" + json::quote(event.routing_key) + ",\"endpoints\":[" + jsons + "]}\n");
    } else {
      print(key + "  " + std::string(op_name(event.op)) + "\n" +
            (texts.empty() ? "  no endpoint subscribes to it: it goes to the unrouted queue\n" : texts));
    }
    return dead;
  }

  std::string path_, only_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_explain(Arguments& arguments) { return std::make_unique<Explain>(arguments); }

}  // namespace muskrat::cli
