// One job of Bulk API 2.0: many records as one upload, a look every few seconds, and what became of each.
//
// Used by salesforce/endpoint.cpp for a delivery that is large enough (bulk_from). Results are matched by external id:
// no order is promised, and Salesforce writes other values its own way. The job is deleted when its results are read.
// Thread rule: the lane's. What it does not do: judge errors of records.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "consumer/endpoints/salesforce/calls.hpp"
#include "consumer/endpoints/salesforce/records.hpp"
#include "consumer/endpoints/salesforce/verdict.hpp"

namespace muskrat::salesforce {

struct BulkEnd {
  bool begun = false;  // Salesforce works on it, or has, or may, where an answer was lost: it may change records
  bool over = false;   // and works on it no more
  // Begun and not over: Salesforce has said that it is aborted. Without that it may be at work for long.
  bool aborted = false;

  // Why there are no results: an answer that refuses, or that no call may be made now.
  std::optional<http::Response> refusal;
  std::optional<Outcome> not_now;

  // Of the job as a whole, where it failed.
  bool failed = false;
  Error error;
  // The job did its work, and a file of results could not be read.
  bool unread = false;
  // By Record::key: no error is success. Records that are not in it were not processed.
  std::map<std::string, std::optional<Error>> results;
};

// A text member of an answer's object; "".
std::string job_text(const http::Response& response, std::string_view name);
http::Request abort_request(const std::string& path);

class BulkJob {
 public:
  // `heard` is told each state that Salesforce names.
  using Heard = std::function<void(const std::string& job, const std::string& state)>;
  BulkJob(Calls& calls, const Records& records, const Settings& settings, Deadline deadline, Heard heard);
  // Failure as Calls::send; then end() says how far it came. What does not come to its end is aborted.
  void run(std::span<const Record* const> records);
  const BulkEnd& end() const { return end_; }
  // Without the instance's address; for who looks at it later.
  std::string path() const { return jobs_ + "/" + job_; }

 private:
  bool create();
  bool upload(std::span<const Record* const> records);
  bool close();
  bool await();
  std::optional<http::Response> look_at_job();
  void read_results();
  void abort();
  std::optional<http::Response> call(const std::string& method, const std::string& path, std::string body,
                                     const char* type, size_t records, int good);
  bool take(const http::Response& response, bool failed);
  void run_through(std::span<const Record* const> records);

  Calls& calls_;
  const Records& records_;
  const std::string object_, external_id_, jobs_;
  Deadline deadline_;
  const Heard heard_;
  Calls::Way way_ = Calls::Way::plain;
  std::string job_;
  BulkEnd end_;
};

}  // namespace muskrat::salesforce
