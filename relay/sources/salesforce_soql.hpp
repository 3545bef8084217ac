// The texts that go to Salesforce: SOQL, its literals, and its times.
//
// Used by the kind salesforce. Names are checked before they get here (good_name), values are written as literals: what
// an answer holds cannot become part of a query. Pure: no sockets. Thread rule: plain values and free functions. Times
// are microseconds since 1970.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muskrat::salesforce_source {

// "Email", "Level__c"; and "Account.Owner.Name" where `related`.
bool good_name(std::string_view name, bool related);
// 15 or 18 letters and digits.
bool is_id(std::string_view text);
// One record, whichever of the two lengths its id is given in.
bool same_id(std::string_view a, std::string_view b);

// 2026-03-01T00:00:00.250Z; what is finer than Salesforce's milliseconds is cut off.
std::string time_literal(int64_t us);
// "2026-03-01T00:00:00.000+0000", as answers have it; nullopt for what is none.
std::optional<int64_t> time_of(std::string_view text);

// What is wrong with a condition that is to stand in brackets; "" when nothing is.
std::string condition_fault(std::string_view text);

struct Query {
  std::string object;
  std::vector<std::string> fields;
  std::string condition;  // "" = all
  std::string stamp;      // the time that grows with every change; "" = by Id alone
};

// Where a query begins, in the order of (stamp, Id).
struct Place {
  std::optional<int64_t> stamp;
  std::string id;  // behind this one; "" = from `stamp` on, what has that stamp too
};

std::string soql(const Query& query, const Place& from);

}  // namespace muskrat::salesforce_source
