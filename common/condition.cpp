#include "common/condition.hpp"

#include <algorithm>
#include <array>

namespace muskrat {
namespace {

constexpr std::array options{
    Option{"jq", OptionType::text, "", "",
           "It holds when this jq expression makes true of the whole body, or of the `field`, and not when it makes "
           "false; anything else is an error."},
    Option{"field", OptionType::text, "", "",
           "What is looked at: a path into the body or a fact of the event, as in `from`."},
    Option{"is", OptionType::text_list, "", "", "It holds when the field's text is one of these."},
    Option{"is_not", OptionType::text_list, "", "",
           "It holds when the field's text is none of these, or there is none."},
    Option{"present", OptionType::boolean, "", "", "Whether the field is there and not null."},
    Option{"op", OptionType::text_list, "", "",
           "It holds when the operation is one of these: insert, update, delete, truncate, backfill, emit, record."},
    Option{"action", OptionType::text_list, "", "", "It holds when the routing key's third word is one of these."},
};

bool among(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

OptionTable condition_options() { return options; }

Condition::Condition(const std::vector<Settings>& records, std::vector<Problem>& problems) {
  for (const Settings& record : records) {
    Term term;
    term.field = record.text("field");
    term.is = record.texts("is");
    term.is_not = record.texts("is_not");
    term.op = record.texts("op");
    term.action = record.texts("action");
    if (record.given("present")) term.present = record.boolean("present");
    std::string fault;
    if (record.given("jq")) term.jq = jq::Expression(record.text("jq"), fault);
    const auto wrong = [&](std::string_view option, const std::string& text) {
      problems.push_back({record.where(option), "when: " + text});
    };
    if (!fault.empty()) wrong("jq", "jq: " + fault);
    const bool compares = !term.is.empty() || !term.is_not.empty() || term.present;
    const bool asks = compares || record.given("jq");
    if (compares && term.field.empty()) wrong("field", "is, is_not and present need a field to look at");
    if (!asks && !term.field.empty())
      wrong("field", "of the field " + term.field + " nothing is asked: is, is_not, present or jq");
    if (!asks && term.op.empty() && term.action.empty()) wrong("field", "it says nothing: field, jq, op or action");
    if (const std::string wrong_path = fault_of_path(term.field); !term.field.empty() && !wrong_path.empty())
      wrong("field", wrong_path);
    for (const std::string& op : term.op)
      if (!op_from_name(op))
        wrong("op", op + " is no operation: insert, update, delete, truncate, backfill, emit, record");
    terms_.push_back(std::move(term));
  }
}

bool Condition::asks_for_the_event() const {
  return std::any_of(terms_.begin(), terms_.end(), [](const Term& term) {
    return !term.op.empty() || !term.action.empty() || tells_of_the_event(term.field) || term.jq.asks_for_the_event();
  });
}

bool Condition::Term::holds(const FieldSource& source) const {
  if (!op.empty() && !among(op, op_name(source.event.op))) return false;
  if (!action.empty()) {
    const auto words = parse_routing_key(source.event.routing_key);
    if (!words || !among(action, words->action)) return false;
  }
  if (field.empty()) return true;
  const FieldValue found = source.get(field);
  const bool there = found.state == FieldValue::State::value;
  if (present && *present != there) return false;
  if (!is.empty() && !(there && among(is, found.text))) return false;
  return is_not.empty() || !there || !among(is_not, found.text);
}

std::optional<bool> Condition::Term::computed(const FieldSource& source, std::string& why) const {
  if (field.empty() && source.omitted.any())
    return why = "its jq looks at the whole body, and capture left parts of that out", std::nullopt;
  const jq::Result made = jq.apply(source.event, field.empty() ? source.body.dump() : source.get(field).json_text());
  if (made.state == jq::Result::State::failed) return why = made.text, std::nullopt;
  if (made.text == "true" || made.text == "false") return made.text == "true";
  const bool nothing = made.state == jq::Result::State::nothing;
  return why = nothing ? "its jq made nothing, where true or false is due" : "its jq made neither true nor false",
         std::nullopt;
}

std::optional<bool> Condition::holds(const FieldSource& source, std::string& why) const {
  for (const Term& term : terms_) {
    if (!term.field.empty() && source.left_out(term.field)) {
      why = "its condition looks at " + term.field + ", which capture left out of the event";
      return std::nullopt;
    }
    if (!term.holds(source)) return false;
    if (!term.jq.given()) continue;
    const auto computed = term.computed(source, why);
    if (!computed || !*computed) return computed;
  }
  return true;
}

}  // namespace muskrat
