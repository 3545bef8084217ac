// Calls of the source kind braintree: searches in two steps, ids first and then pages of records by their ids.
//
// Used by braintree_reader.cpp. Keys are read anew once when they are refused: they may have been rotated. A record
// that a page does not bring is asked for by itself. Failures hold the status, and never a word of an answer.
// Neighbours: HttpCalls (manners), common/xml.hpp. Thread rule: one owner.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/xml.hpp"
#include "relay/scheduled/http_calls.hpp"

namespace muskrat::braintree {

OptionTable gateway_options();
void check_gateway(const Settings& settings, std::vector<Problem>& problems);

// What is searched for.
struct Resource {
  std::string_view name;  // in paths, and in the option `object`
  std::string_view page;  // the root of a page
  std::string_view item;
  std::string_view object;  // in routing keys
  size_t most_results;      // of one search; what is older is left out without a word
};
const Resource& resource_of(const Settings& settings);

class Gateway {
 public:
  // Without a run nothing is tried again.
  Gateway(const Settings& settings, const Stop& stop, Run* run);

  struct Found {
    std::vector<std::string> ids;  // newest first
    size_t page_size = 50;
  };
  // `criteria`: the elements within <search>.
  Found find(const std::string& criteria);
  // Those of the ids that there are, in any order; `ids` are a page's at most.
  std::vector<xml::Element> records(const std::vector<std::string>& ids);
  const HttpCalls& calls() const { return calls_; }

 private:
  xml::Element search(const char* step, const std::string& criteria);
  std::optional<xml::Element> one(const std::string& id);
  http::Response call(const char* method, const std::string& path, const std::string& body);
  xml::Element read(const http::Response& response) const;
  [[noreturn]] void refuse(const http::Response& response) const;
  std::string authorization() const;

  const Settings& settings_;
  const Resource& resource_;
  Run* run_;
  HttpCalls calls_;
  std::string base_, authorization_;
};

}  // namespace muskrat::braintree
