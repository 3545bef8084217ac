// The SQL of the mysql endpoint's mirror: rows as they should be, beside the table. Pure text.
//
// Used by mirror.cpp. The temporary table has the columns of the target that the rows have, and the number of each row.
// Thread rule: free functions.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "consumer/endpoints/mysql/target.hpp"
#include "consumer/mirror.hpp"

namespace muskrat::mysql_target {

using Quote = std::function<std::string(const std::string&)>;  // a text as a literal

// Makes the temporary table anew: the target's types, none of its indexes.
std::string expected_table(const Target& target, const std::vector<size_t>& columns);
// What goes before the VALUES of expected rows, each "(n, value, …)".
std::string expected_insert(const Target& target, const std::vector<size_t>& columns);

// Answers with the rows that are missing or different: n, missing, a boolean for each of `compared`, and with values
// the expected and the found text of each.
std::string comparison_of(const sql::Route& route, const Target& target, const std::vector<size_t>& compared,
                          bool with_values, bool mariadb);

// The keys of the first rows of a range, as texts, in the order of the index.
std::string keys_of(const Target& target, const KeyRange& range, int64_t most, const Quote& quote,
                    const std::vector<size_t>& key);

// The key of each of these rows that is there, and a text that is another when the row's columns are.
std::string versions_of(const Target& target, const std::vector<size_t>& key, std::span<const KeyTexts> keys,
                        const Quote& quote);

}  // namespace muskrat::mysql_target
