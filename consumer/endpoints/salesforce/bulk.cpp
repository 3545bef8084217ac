#include "consumer/endpoints/salesforce/bulk.hpp"

#include <algorithm>
#include <utility>

#include "common/json.hpp"
#include "consumer/endpoints/api/csv.hpp"
#include "consumer/endpoints/salesforce/csv.hpp"

namespace muskrat::salesforce {
namespace {

constexpr milliseconds first_look{1'000}, longest_look{10'000}, abort_time{5'000};
constexpr const char* json_type = "application/json; charset=UTF-8";

// "INVALID_EMAIL_ADDRESS:Email: invalid email address: x:Email --"; of a job "InvalidBatch : Field name not found : x".
Error error_of(std::string_view text) {
  Error error;
  const size_t colon = text.find(':');
  error.code = text.substr(0, colon);
  while (error.code.ends_with(' ')) error.code.pop_back();
  error.message = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  return error;
}

}  // namespace

std::string job_text(const http::Response& response, std::string_view name) {
  std::string why;
  const auto document = json::Document::parse(response.body, why);
  const auto value =
      document && document->root().type() == json::Type::object ? document->root().find(name) : std::nullopt;
  return value && value->type() == json::Type::string ? std::string(value->string()) : "";
}

http::Request abort_request(const std::string& path) {
  return {"PATCH", path, {{"Content-Type", json_type}}, R"({"state":"Aborted"})"};
}

BulkJob::BulkJob(Calls& calls, const Records& records, const Settings& settings, Deadline deadline, Heard heard)
    : calls_(calls),
      records_(records),
      object_(settings.text("object")),
      external_id_(settings.text("external_id")),
      jobs_("/services/data/v" + settings.text("api_version") + "/jobs/ingest"),
      deadline_(deadline),
      heard_(std::move(heard)) {}

// nullopt: it was refused, or may not be made; end_ says so.
std::optional<http::Response> BulkJob::call(const std::string& method, const std::string& path, std::string body,
                                            const char* type, size_t records, int good) {
  http::Request request{method, jobs_ + path, {}, std::move(body)};
  if (type != nullptr) request.headers.emplace_back("Content-Type", type);
  if (path.ends_with("Results") || path.ends_with("records")) request.headers.emplace_back("Accept", "text/csv");
  auto reply = calls_.send(request, records, deadline_, deadline_, way_);
  if (!reply.response) return end_.not_now = std::move(reply.not_now), std::nullopt;
  if (reply.response->status != good) return end_.refusal = std::move(*reply.response), std::nullopt;
  return std::move(reply.response);
}

void BulkJob::run(std::span<const Record* const> records) {
  try {
    run_through(records);
  } catch (const Failure&) {
    abort();
    throw;
  }
}

void BulkJob::run_through(std::span<const Record* const> records) {
  if (!create() || !upload(records) || !close()) return abort();
  if (await()) read_results();
}

bool BulkJob::create() {
  const auto response = call("POST", "",
                             json::Object()
                                 .add("object", object_)
                                 .add("operation", "upsert")
                                 .add("externalIdFieldName", external_id_)
                                 .add("contentType", "CSV")
                                 .add("lineEnding", "LF")
                                 .text(),
                             json_type, 0, 200);
  job_ = response ? job_text(*response, "id") : "";
  if (response && job_.empty()) end_.refusal = *response;
  if (!job_.empty()) heard_(job_, job_text(*response, "state"));
  return !job_.empty();
}

bool BulkJob::upload(std::span<const Record* const> records) {
  return call("PUT", "/" + job_ + "/batches", csv_of(records), "text/csv", records.size(), 201).has_value();
}

bool BulkJob::close() {
  std::optional<http::Response> response;
  try {
    response = call("PATCH", "/" + job_, R"({"state":"UploadComplete"})", json_type, 0, 200);
  } catch (const Failure&) {
    end_.begun = calls_.unanswered();
    throw;
  }
  // who answers 5xx may have carried it out
  end_.begun = response || (end_.refusal && end_.refusal->status >= 500);
  way_ = Calls::Way::begun;
  if (response) heard_(job_, job_text(*response, "state"));
  return response.has_value();
}

// Until it is at its end; false where that is not seen.
bool BulkJob::await() {
  for (milliseconds look = first_look;; look = std::min(look * 2, longest_look)) {
    if (deadline_.passed() || calls_.sleep(look)) return abort(), false;
    const auto response = look_at_job();
    if (!response && end_.not_now) return abort(), false;
    if (!response) continue;
    end_.refusal.reset();
    const std::string state = job_text(*response, "state");
    heard_(job_, state);
    end_.aborted = state == "Aborted";  // by an administrator, say; what it has in hand is not given up at once
    if (end_.aborted) return false;
    end_.failed = state == "Failed";
    end_.over = end_.failed || state == "JobComplete";
    if (end_.failed) end_.error = error_of(job_text(*response, "errorMessage"));
    if (end_.over) return true;
  }
}

// nullopt: the look failed; a server that stumbles, or cannot be reached, works on it all the same.
std::optional<http::Response> BulkJob::look_at_job() {
  try {
    return call("GET", "/" + job_, "", nullptr, 0, 200);
  } catch (const Failure&) {
    return std::nullopt;
  }
}

void BulkJob::read_results() {
  for (const bool failed : {false, true}) {
    const auto response =
        call("GET", "/" + job_ + (failed ? "/failedResults" : "/successfulResults"), "", nullptr, 0, 200);
    if (!response || !take(*response, failed)) return void(end_.unread = !end_.not_now);
  }
  call("DELETE", "/" + job_, "", nullptr, 0, 204);
  end_.refusal.reset();  // what is left of a job there is no harm
  end_.not_now.reset();
}

// Of a file without a single row Salesforce sends no header either.
bool BulkJob::take(const http::Response& response, bool failed) {
  if (response.cut) return false;
  if (response.body.find_first_not_of("\r\n") == std::string::npos) return true;
  const auto table = api::read_csv(response.body);
  const auto id = table ? table->column(external_id_) : std::nullopt;
  const auto error = table ? table->column("sf__Error") : std::nullopt;
  if (!id || (failed && !error)) return false;
  for (const auto& row : table->rows)
    end_.results[records_.key_of_external_id(row[*id])] = failed ? std::optional(error_of(row[*error])) : std::nullopt;
  return true;
}

// Nobody waits for it any more. What stands in the way of that is no news; of a job that was begun it is told.
void BulkJob::abort() {
  if (job_.empty() || end_.over) return;
  const Deadline deadline = Deadline::in(abort_time);
  try {
    const auto reply = calls_.send(abort_request(path()), 0, deadline, deadline, Calls::Way::ending);
    end_.aborted = reply.response && reply.response->status == 200 && job_text(*reply.response, "state") == "Aborted";
  } catch (const Failure&) {  // the next delivery meets the trouble
  }
}

}  // namespace muskrat::salesforce
