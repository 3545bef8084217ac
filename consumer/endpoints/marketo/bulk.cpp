#include "consumer/endpoints/marketo/bulk.hpp"

#include <charconv>

#include "common/json.hpp"
#include "consumer/endpoints/marketo/csv.hpp"

namespace muskrat::marketo {
namespace {

std::string begin_path_of(const Settings& settings) {
  if (settings.has("object")) return "/bulk/v1/customobjects/" + settings.text("object") + "/import.json?format=csv";
  std::string path =
      "/bulk/v1/leads.json?format=csv&lookupField=" + http::percent_encode(settings.text("lookup_field"));
  if (settings.has("partition")) path += "&partitionName=" + http::percent_encode(settings.text("partition"));
  return path;
}

// A member of an answer's one result, as text; "" where it is not there.
std::string told(const json::Value& root, std::string_view name) {
  const auto value = root.path("result.0." + std::string(name));
  return value && value->type() != json::Type::object && value->type() != json::Type::array
             ? value->scalar_text().value_or("")
             : "";
}

std::string told(const http::Response& response, std::string_view name) {
  std::string why;
  const auto document = json::Document::parse(response.body, why);
  return document ? told(document->root(), name) : "";
}

size_t number(const std::string& text) {
  size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool is_csv(const http::Response& response) {
  const std::string_view type = response.header("Content-Type").value_or("");
  return response.status == 200 && !response.cut && type.find("json") == std::string_view::npos &&
         type.find("html") == std::string_view::npos && type.find("xml") == std::string_view::npos;
}

}  // namespace

Bulk::Bulk(const Target& target, const Settings& settings, Api& api)
    : target_(target), object_(settings.text("object")), begin_path_(begin_path_of(settings)), api_(api) {}

std::string Bulk::path(const std::string& import, const char* what) const {
  if (!object_.empty()) return "/bulk/v1/customobjects/" + object_ + "/import/" + import + "/" + what + ".json";
  return "/bulk/v1/leads/batch/" + import + (std::string_view(what) == "status" ? "" : "/" + std::string(what)) +
         ".json";
}

std::optional<Bulk::Begun> Bulk::begin(const std::string& csv, const std::function<bool()>& may_call,
                                       Deadline deadline) {
  const Upload upload = upload_of(csv);
  const auto reply = api_.call(begin_path_, upload.body, upload.content_type, {}, may_call, deadline);
  if (!reply) return std::nullopt;
  const std::string import = reply->answer.whose == Whose::none ? told(reply->response, "batchId") : "";
  const bool good = import.find_first_not_of("0123456789") == std::string::npos;  // it becomes part of a path
  return Begun{reply->answer, good ? import : ""};
}

std::optional<Bulk::Look> Bulk::look(const std::string& import, size_t rows, const std::function<bool()>& may_call,
                                     Deadline deadline) {
  const auto reply = api_.call(path(import, "status"), "", "", {}, may_call, deadline);
  if (!reply) return std::nullopt;
  Look look;
  look.answer = reply->answer;
  if (look.answer.whose != Whose::none) {
    look.gone = look.answer.whose == Whose::dead;
    return look;
  }
  const std::string status = look.state = told(reply->response, "status");
  look.over = status == "Complete" || status == "Failed";
  if (status != "Complete") return look;
  const size_t processed =
      number(told(reply->response, object_.empty() ? "numOfLeadsProcessed" : "numOfObjectsProcessed"));
  const size_t failed = number(told(reply->response, "numOfRowsFailed"));
  const size_t warned = number(told(reply->response, "numOfRowsWithWarning"));
  if (failed > 0) {
    const auto keys = rows_of(import, "failures", may_call, deadline);
    if (!keys || keys->size() != failed) return look;
    look.failed = *keys;
  }
  if (warned > 0) look.warned = rows_of(import, "warnings", may_call, deadline).value_or(std::set<std::string>{});
  // whether rows with a warning are among those processed is not said
  look.known = processed + failed == rows || processed + failed + warned == rows;
  return look;
}

std::optional<std::set<std::string>> Bulk::rows_of(const std::string& import, const char* what,
                                                   const std::function<bool()>& may_call, Deadline deadline) {
  const auto reply = api_.call(path(import, what), "", "", {}, may_call, deadline);
  if (!reply || !is_csv(reply->response)) return std::nullopt;
  return keys_of_rows(reply->response.body, target_);
}

}  // namespace muskrat::marketo
