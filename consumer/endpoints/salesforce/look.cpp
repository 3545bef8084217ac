#include "consumer/endpoints/salesforce/look.hpp"

#include <algorithm>

#include "common/json.hpp"
#include "common/soql.hpp"

namespace muskrat::salesforce {
namespace {

constexpr std::string_view digits = "0123456789";

bool is_id(std::string_view text) {
  return (text.size() == 15 || text.size() == 18) && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
         });
}

}  // namespace

bool is_number(const std::string& text) {
  const std::string_view number = std::string_view(text).substr(text.starts_with('-') ? 1 : 0);
  const size_t dot = std::min(number.find('.'), number.size());
  const auto some = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of(digits) == std::string_view::npos;
  };
  return some(number.substr(0, dot)) && (dot == number.size() || some(number.substr(dot + 1)));
}

// Of two rows it is known that there are several.
std::string look_for(const std::string& object, const std::string& field, const std::string& value, bool bare) {
  return "SELECT Id FROM " + object + " WHERE " + field + " = " +
         (bare && is_number(value) ? value : text_literal(value)) + " LIMIT 2";
}

std::optional<std::vector<std::string>> read_ids(const std::string& body) {
  std::string why;
  const auto document = json::Document::parse(body, why);
  const auto rows =
      document && document->root().type() == json::Type::object ? document->root().find("records") : std::nullopt;
  if (!rows || rows->type() != json::Type::array) return std::nullopt;
  std::vector<std::string> ids;
  for (size_t i = 0; i < rows->size(); ++i) {
    const json::Value row = rows->at(i);
    const auto id = row.type() == json::Type::object ? row.find("Id") : std::nullopt;
    if (!id || id->type() != json::Type::string || !is_id(id->string())) return std::nullopt;
    ids.emplace_back(id->string());
  }
  return ids;
}

bool is_of_another_type(const Error& error) {
  return error.code == "INVALID_FIELD" && error.message.find("must be of type") != std::string::npos;
}

}  // namespace muskrat::salesforce
