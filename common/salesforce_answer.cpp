#include "common/salesforce_answer.hpp"

#include <algorithm>
#include <charconv>

#include "common/tame.hpp"

namespace muskrat::salesforce {
namespace {

std::string text_of(const json::Value& object, std::string_view name) {
  const auto value = object.find(name);
  return value && value->type() == json::Type::string ? std::string(value->string()) : "";
}

}  // namespace

Error read_error(const json::Value& value) {
  if (value.type() == json::Type::array) return value.size() == 0 ? Error{} : read_error(value.at(0));
  if (value.type() != json::Type::object) return {};
  Error error{text_of(value, "statusCode"), text_of(value, "message"), {}};
  if (error.code.empty()) error.code = text_of(value, "errorCode");
  const auto fields = value.find("fields");
  if (!fields || fields->type() != json::Type::array) return error;
  for (size_t i = 0; i < fields->size(); ++i)
    if (fields->at(i).type() == json::Type::string) error.fields.emplace_back(fields->at(i).string());
  return error;
}

Error read_error(const std::string& body) {
  std::string why;
  const auto document = json::Document::parse(body, why);
  return document ? read_error(document->root()) : Error{};
}

bool no_session_helps(const Error& error) {
  return error.message.find("not valid for use with the REST API") != std::string::npos ||
         error.message.find("not attached to Agent") != std::string::npos;
}

// Of a query it stands on a line of its own, below the query and an arrow.
std::string missing_column(const Error& error) {
  constexpr std::string_view before = "No such column '";
  const size_t at = error.message.find(before);
  if (at == std::string::npos || (at > 0 && error.message[at - 1] != '\n')) return "";
  const std::string_view rest = std::string_view(error.message).substr(at + before.size());
  return " on " + tame(rest.substr(0, std::min<size_t>(rest.find('\''), 80)));
}

std::optional<Usage> read_usage(std::string_view header) {
  constexpr std::string_view name = "api-usage=";
  size_t at = header.find(name);
  // not the end of per-app-api-usage=
  while (at != std::string_view::npos && at > 0 && header[at - 1] != ' ' && header[at - 1] != ';' &&
         header[at - 1] != ',')
    at = header.find(name, at + 1);
  if (at == std::string_view::npos) return std::nullopt;
  const char* const end = header.data() + header.size();
  Usage usage;
  const auto used = std::from_chars(header.data() + at + name.size(), end, usage.used);
  if (used.ec != std::errc() || used.ptr == end || *used.ptr != '/') return std::nullopt;
  const auto most = std::from_chars(used.ptr + 1, end, usage.most);
  return most.ec == std::errc() && usage.most > 0 && usage.used >= 0 ? std::optional(usage) : std::nullopt;
}

}  // namespace muskrat::salesforce
