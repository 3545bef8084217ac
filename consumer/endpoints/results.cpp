#include "consumer/endpoints/results.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace muskrat {
namespace {

using Fate = Outcome::Fate;

constexpr milliseconds park_default{10'000};
constexpr double park_least_s = 1, park_most_s = 7 * 86400.0;

std::string text_of(const json::Value& value, std::string_view name) {
  const auto member = value.find(name);
  return member && member->type() == json::Type::string ? std::string(member->string()) : "";
}

milliseconds after_of(const json::Value& value) {
  const auto member = value.find("after");
  if (!member || member->type() != json::Type::number) return park_default;
  const double seconds = std::strtod(std::string(member->number()).c_str(), nullptr);
  return milliseconds(static_cast<int64_t>(std::clamp(seconds, park_least_s, park_most_s) * 1000));
}

std::optional<Outcome> outcome_of(const std::string& result, const json::Value& value) {
  std::string reason = tame(text_of(value, "reason"));
  if (reason.empty()) reason = "the receiver says " + result + " and not why";
  if (result == "done") return Outcome::done();
  if (result == "retry") return Outcome::retry(reason);
  if (result == "dead") return Outcome::dead(reason);
  if (result == "park") return Outcome{Fate::park, reason, after_of(value)};
  return std::nullopt;
}

}  // namespace

std::string result_message_id(const json::Value& value) {
  return value.type() == json::Type::object ? text_of(value, "message_id") : "";
}

std::optional<RecordResult> read_result(const json::Value& value, std::string& why) {
  if (value.type() != json::Type::object) return why = "a result is no JSON object", std::nullopt;
  RecordResult record;
  record.message_id = result_message_id(value);
  const std::string result = text_of(value, "result");
  if (!result.empty()) {
    record.outcome = outcome_of(result, value);
    if (!record.outcome) return why = "a result is none of done, retry, park, dead", std::nullopt;
    return record;
  }
  const auto status = value.find("status");
  if (!status || status->type() != json::Type::number)
    return why = "a result has neither result nor status", std::nullopt;
  const std::string_view digits = status->number();
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), record.status);
  if (fault != std::errc() || end != digits.data() + digits.size() || record.status < 100 || record.status > 599)
    return why = "a result's status is no HTTP status", std::nullopt;
  return record;
}

}  // namespace muskrat
