// One run of the kind braintree: what has changed by any time that can be searched for, and from time to time all.
//
// What is deleted no search finds: whom a whole scan has not seen is asked for by id. Used by braintree.cpp. A search
// gives so many results at most and leaves out the rest without a word, so a span of time with as many is halved until
// it has fewer. Neighbours: Gateway (calls). Thread rule: the run's thread. Times are microseconds since 1970, in whole
// minutes, as the gateway's bounds are.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relay/scheduled/run.hpp"
#include "relay/sources/braintree_gateway.hpp"

namespace muskrat::braintree {

// A time that can be searched for, in minutes or in days.
struct Criterion {
  std::string_view name;
  bool by_day = false;
};

// The elements that ask for [from, to): the gateway counts the whole minute, or day, of an upper bound as part of it.
std::string criteria_text(const Criterion& criterion, int64_t from, int64_t to);

// Where a source stands between runs.
struct Cursor {
  std::optional<int64_t> reached;  // changes up to then are told
  std::optional<int64_t> scanned;  // when the last whole scan began
  std::optional<int64_t> begun;    // when the one that is under way began
  std::optional<int64_t> place;    // up to what creation it has come
};
std::string text_of(const Cursor& cursor);
Cursor cursor_of(const std::string& text);

// Whether of this object deletions are told: customers, unless `deletes` is none.
bool tells_deletions(const Settings& settings);

class Reading {
 public:
  Reading(const Settings& settings, Run& run);
  void read();

 private:
  struct Span {
    int64_t from, to;
  };
  bool changes(int64_t now);
  bool scan();
  void begin_scan(int64_t now);
  // All that is within; `creation`: the cursor's place follows.
  bool between(const Criterion& criterion, Span span, bool creation);
  bool hand_over(Gateway::Found&& found);
  bool tell_gone();
  bool look_again(const std::vector<KnownRow>& rows, std::vector<std::string>& gone);
  bool deliver_gone(const std::vector<std::string>& ids);
  bool deliver(Page&& page);
  Record record_of(const xml::Element& element) const;
  std::string beginning_of_body(const char* change) const;
  Record deletion_of(const std::string& id) const;
  size_t most_results() const;

  const Settings& settings_;
  const Resource& resource_;
  Run& run_;
  Gateway gateway_;
  Cursor cursor_;
  int64_t oldest_rank_ = 0;  // what ranks lower is forgotten
  int64_t floor_ = 0;        // no record of this part of the run ranks lower
  std::string now_;          // set where deletions are told: what is seen is noted with it
  size_t page_size_ = 50;
};

}  // namespace muskrat::braintree
