// Which page of a window comes next: by a cursor in the body, a Link header, an offset or a page's number.
//
// Used by http_json.cpp, one for each window. It never goes in circles: a page that names one that was there before is
// a Failure; so is a page that brings once more what the one before it brought, in the place of its own records, and a
// next page at another origin. Pure: no sockets.
// Thread rule: one owner.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/http.hpp"
#include "common/json.hpp"
#include "common/options.hpp"

namespace muskrat::http_json {

OptionTable paging_options();

class Paging {
 public:
  // `first`: the window's URL, without what pages add to it.
  Paging(const Settings& settings, std::string first);
  const std::string& url() const { return url_; }
  int64_t page() const { return page_; }
  // Of the answer to url() and the array of records in it: whether there is another page; url() is that one then.
  bool advance(const http::Response& response, const json::Value& body, const json::Value& records);

 private:
  std::string parameter() const;
  bool go_to(const std::string& mark, const std::string& url);
  bool by_link(const http::Response& response);
  bool by_cursor(const json::Value& body);
  bool by_count(const json::Value& body, size_t records);
  bool counted_out(const json::Value& body, int64_t passed) const;

  const Settings& settings_;
  std::string first_, url_, kind_;
  int64_t page_ = 1, passed_ = 0;
  std::set<std::string> seen_;
  std::string last_;  // a hash of the records of the page before
};

// `url` with one more query parameter.
std::string with_parameter(const std::string& url, const std::string& name, const std::string& value);
// The target of rel="next" in a Link header (RFC 8288), as it stands; nullopt when there is none.
std::optional<std::string> next_link(std::string_view header);

}  // namespace muskrat::http_json
