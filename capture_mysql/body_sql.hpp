// The body: the list of columns read into a tree, and the SQL that builds the JSON text of it.
//
// Used by generator.cpp. The text is put together piece by piece: JSON_OBJECT orders its members as it likes in MySQL,
// and turns numbers and JSON columns into other text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "capture_mysql/table.hpp"

namespace muskrat::capture_mysql {

struct Member {
  std::string name;
  std::string path;                // dotted, from the top
  const Column* column = nullptr;  // or
  std::vector<Member> members;     // a nested object
};

// Refused for what is no list, columns that are not there or have no JSON form, and members twice.
std::vector<Member> body_members(const Table& table, const std::string& columns);

// Every column of the body, in order.
std::vector<const Column*> columns_of(const std::vector<Member>& members);

struct BodySql {
  std::string whole;    // the body
  std::string without;  // the body without the largest columns
  std::string omitted;  // the JSON array that names those
  bool can_omit = false;
};

// `kept` names columns that are never left out. Left out are those whose text takes more than an equal share of the
// limit, so that the rest is sure to fit; each of them is larger than any that stays.
BodySql body_sql(const Table& table, const std::vector<Member>& members, const std::vector<const Column*>& kept,
                 const std::string& row, size_t limit);

}  // namespace muskrat::capture_mysql
