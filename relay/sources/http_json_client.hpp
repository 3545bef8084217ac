// Asks a JSON API, page by page.
//
// Used by http_json.cpp. Bearer or basic authentication; a token that was refused is read anew once, since it may have
// been rotated. What is neither 200 nor 304 is a Failure that says the status and never a word of the answer.
// Neighbours: HttpCalls (manners). Thread rule: one owner.
#pragma once

#include <string>

#include "relay/scheduled/http_calls.hpp"

namespace muskrat::http_json {

OptionTable client_options();
void check_client(const Settings& settings, std::vector<Problem>& problems);

class Client {
 public:
  Client(const Settings& settings, const Stop& stop);
  // 200, or 304 when `etag` is given; waits through `run`. Failure when asked to stop.
  http::Response get(const std::string& url, const std::string& etag, Run& run);
  // One request, whatever the answer.
  http::Response once(const std::string& url, const std::string& etag);

 private:
  std::string authorization() const;
  http::Request request(const std::string& url, const std::string& etag) const;

  const Settings& settings_;
  HttpCalls calls_;
  std::string authorization_;
};

// "answered with status 404": what to make of an answer that is none of 200 and 304.
std::string status_text(const http::Response& response);

}  // namespace muskrat::http_json
