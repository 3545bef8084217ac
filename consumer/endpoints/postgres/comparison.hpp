// The SQL of the postgres endpoint's mirror: rows as they should be, beside the table. Pure text.
//
// Used by mirror.cpp. Thread rule: free functions.
#pragma once

#include <string>
#include <vector>

#include "consumer/endpoints/postgres/target.hpp"

namespace muskrat::postgres {

// Parameters: n int[], then a text[] for each of `columns`. Answers with the rows that are missing or different:
// n, missing, a boolean for each of `compared`, and with values the expected and the found text of each.
std::string comparison_of(const Route& route, const Target& target, const std::vector<size_t>& columns,
                          const std::vector<size_t>& compared, bool with_values);

// Parameters: one text for each of `key` for each bound of the range that is there, then the number of rows. Answers
// with the keys, in order.
std::string keys_of(const Target& target, const std::vector<size_t>& key, bool after, bool upto);

// Parameters: the bounds as above. Answers with the number of rows and the sum of their columns' hashes.
std::string digest_of(const Target& target, const std::vector<size_t>& key, const std::vector<size_t>& columns,
                      const std::vector<std::string>& as, bool after, bool upto);

// Parameters: a text[] for each of `key`. Answers with n (from 1) and a text that changes when the row is written.
std::string versions_of(const Target& target, const std::vector<size_t>& key);

}  // namespace muskrat::postgres
