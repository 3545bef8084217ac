#include "consumer/endpoints/marketo/answer.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "common/tame.hpp"

namespace muskrat::marketo {
namespace {

Answer failed(Whose whose, std::string reason) {
  Answer answer;
  answer.whose = whose;
  answer.reason = std::move(reason);
  return answer;
}

Answer unreadable(std::string reason) {
  Answer answer = failed(Whose::later, std::move(reason));
  answer.unreadable = true;
  return answer;
}

// The status alone decides where it is not 200: what comes with it is a gateway's page as often as not.
Answer by_status(int status) {
  const std::string reason = "answer " + std::to_string(status);
  switch (status) {
    case 401:
      return failed(Whose::token, reason + ": the access token is not taken");
    case 413:
    case 414:
      return failed(Whose::too_much, reason + ": the request is too large");
    case 429:
      return failed(Whose::window, reason + ": too many calls");
    case 403:
    case 404:
    case 405:
    case 407:
      return failed(Whose::setup, reason + ": look at url and the API user's rights");
    case 408:
    case 425:
    case 502:
    case 503:
    case 504: {
      Answer answer = failed(Whose::down, reason + ": Marketo is not to be had");
      answer.may_still_run = status != 425 && status != 503;
      return answer;
    }
    default:
      break;
  }
  if (status >= 500) return failed(Whose::later, reason + ": an error inside Marketo");
  if (status >= 400) return failed(Whose::dead, reason);
  return failed(Whose::setup, reason + " where 200 is due: is url Marketo's?");
}

// Codes are texts, but for some that have been seen as numbers.
std::string code_of(const json::Value& reason) {
  const auto code = reason.type() == json::Type::object ? reason.find("code") : std::nullopt;
  return code && code->type() != json::Type::object && code->type() != json::Type::array
             ? code->scalar_text().value_or("")
             : "";
}

// The field of ours that Marketo's message names; nothing else of it is repeated.
std::string field_in(const json::Value& reason, const std::vector<std::string>& fields) {
  const auto message = reason.type() == json::Type::object ? reason.find("message") : std::nullopt;
  if (!message || message->type() != json::Type::string) return "";
  constexpr std::string_view before = "ield '";  // Field 'x' not found; Invalid value for field 'x'
  const std::string_view text = message->string();
  const size_t at = text.find(before);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = text.substr(at + before.size());
  const std::string_view name = rest.substr(0, rest.find('\''));
  return std::find(fields.begin(), fields.end(), name) == fields.end() ? "" : " (field " + std::string(name) + ")";
}

RecordAnswer refused(const json::Value& reason, const std::vector<std::string>& fields) {
  RecordAnswer answer;
  answer.code = code_of(reason);
  answer.whose = whose_code(answer.code);
  answer.reason = answer.code.empty() ? "an error without a code" : code_text(answer.code) + field_in(reason, fields);
  return answer;
}

// For good is worse than for now, and for now worse than so already.
int weight(Whose whose) { return whose == Whose::none ? 0 : whose == Whose::dead ? 2 : 1; }

RecordAnswer record_answer(const json::Value& result, const std::vector<std::string>& fields) {
  const auto status = result.type() == json::Type::object ? result.find("status") : std::nullopt;
  const std::string_view word = status && status->type() == json::Type::string ? status->string() : "";
  if (word == "created" || word == "updated" || word == "deleted") return {};
  const auto reasons = word == "skipped" ? result.find("reasons") : std::nullopt;
  if (!reasons || reasons->type() != json::Type::array || reasons->size() == 0)
    return {Whose::later, word == "skipped" ? "skipped without a reason" : "a result without a status we know", ""};
  RecordAnswer worst = refused(reasons->at(0), fields);
  for (size_t i = 1; i < reasons->size(); ++i) {
    RecordAnswer other = refused(reasons->at(i), fields);
    if (weight(other.whose) > weight(worst.whose)) worst = std::move(other);
  }
  return worst;
}

// Results of custom objects number their records with `seq`; those of leads stand in their order.
size_t place_of(const json::Value& result, size_t nth) {
  const auto seq = result.type() == json::Type::object ? result.find("seq") : std::nullopt;
  if (!seq || seq->type() != json::Type::number) return nth;
  const std::string_view digits = seq->number();
  size_t place = SIZE_MAX;
  std::from_chars(digits.data(), digits.data() + digits.size(), place);
  return place;
}

Answer whole_failure(const json::Value& root, const std::vector<std::string>& fields) {
  const auto errors = root.find("errors");
  if (!errors || errors->type() != json::Type::array || errors->size() == 0)
    return unreadable("the answer says that it failed, and not why");
  const RecordAnswer first = refused(errors->at(0), fields);
  // What is there already is an answer about a record, never about a request.
  Answer answer = failed(first.whose == Whose::none ? Whose::later : first.whose, first.reason);
  answer.may_still_run = may_still_run(first.code);
  answer.code = first.code;
  return answer;
}

Answer by_body(const http::Response& response, const std::vector<std::string>& fields) {
  const std::string type(response.header("Content-Type").value_or(""));
  if (type.find("html") != std::string::npos || type.find("xml") != std::string::npos)
    return failed(Whose::setup, "the answer is " + tame(type) + " where JSON is due: a login page, or another server");
  if (response.cut) return unreadable("the answer is cut off: it is half, or longer than response_bytes");
  std::string why;
  const auto document = json::Document::parse(response.body, why);
  if (!document || document->root().type() != json::Type::object) return unreadable("the answer is no JSON object");
  const auto root = document->root();
  const auto success = root.find("success");
  if (!success || success->type() != json::Type::boolean) return unreadable("the answer does not say if it succeeded");
  if (!success->boolean()) return whole_failure(root, fields);
  const auto list = root.find("result");
  if (!list || list->type() != json::Type::array) return unreadable("the answer holds no results");
  Answer answer;
  answer.records.resize(list->size());
  std::vector<bool> told(list->size());
  for (size_t i = 0; i < list->size(); ++i) {
    const size_t place = place_of(list->at(i), i);
    if (place >= told.size() || told[place])
      return unreadable("the answer's results do not say which records they mean");
    told[place] = true;
    answer.records[place] = record_answer(list->at(i), fields);
  }
  return answer;
}

}  // namespace

Answer read_answer(const http::Response& response, const std::vector<std::string>& fields) {
  Answer answer = response.status == 200 ? by_body(response, fields) : by_status(response.status);
  if (const auto header = response.header("Retry-After"))
    answer.retry_after = http::retry_after(*header, wall_clock_us() / 1'000'000);
  return answer;
}

}  // namespace muskrat::marketo
