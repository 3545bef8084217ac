// From events to requests: URL, headers, body, idempotency key and signature, as the configuration says.
//
// Used by http/endpoint.cpp, made anew at each connect so that rotated secrets are taken up.
// Thread rule: immutable after construction. What it does not do: send.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/document_mapping.hpp"
#include "common/http.hpp"
#include "consumer/endpoint.hpp"
#include "consumer/endpoints/http/template.hpp"

namespace muskrat::http_endpoint {

enum class Batch { single, array, lines };

// An event's part of a request. Records of the same method, URL and headers may share one.
struct Record {
  const Event* event = nullptr;
  std::string method, url, payload;
  http::Headers headers;
  bool same_request(const Record& other) const {
    return method == other.method && url == other.url && headers == other.headers;
  }
};

class Requests {
 public:
  // Failure{stop} for templates that validate() would have refused.
  explicit Requests(const Settings& settings);
  // nullopt where nothing is sent: the mapping skips the event, or the event does not fit mapping or templates. Then
  // its outcome says so.
  std::optional<Record> record(const Event& event, Outcome& outcome) const;
  http::Request request(std::span<const Record* const> records, int64_t now_s) const;
  Batch batch() const { return batch_; }
  bool shared_url() const { return url_.constant(); }

 private:
  http::Headers fixed_headers(const Settings& settings) const;
  std::string body_of(std::span<const Record* const> records) const;

  bool address(const Event& event, const json::Value& body, Record& record, std::string& why) const;

  const Mapping mapping_;
  const Batch batch_;
  const bool whole_event_;
  const std::string method_, delete_method_, idempotency_header_;
  Template url_;
  std::vector<std::pair<std::string, Template>> headers_;
  http::Headers fixed_;
  std::vector<std::string> signing_keys_;
};

// Everything about these options that can be wrong across them.
void check_requests(const Settings& settings, std::vector<Problem>& problems);

}  // namespace muskrat::http_endpoint
