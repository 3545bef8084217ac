// The database that a query is asked of: read only, with a statement timeout, in sessions that write values the same
// way. PostgreSQL, or MySQL and MariaDB: the DSN says which.
//
// Used by the readers of the kind sql-query. What the server refuses is a Failure that names columns and settings and
// never a value. Rows come as JSON bodies, the same from both kinds of server wherever their types agree.
// Neighbours: sql_query_postgres.cpp, sql_query_mysql.cpp. Thread rule: one owner. What it does not do: writing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "relay/scheduled/reader.hpp"

namespace muskrat::sql_query {

struct Shape {
  std::string query;              // without a final semicolon
  std::string cursor;             // column
  std::vector<std::string> keys;  // columns that tell rows of one cursor value apart
};
// The query and the columns that the settings name.
Shape shape_of(const Settings& settings);
// "cursor, key, key": what a stored cursor consists of.
std::string shape_text(const Shape& shape);

// The cursor's value and those of the keys, as the server writes them.
using Place = std::vector<std::string>;

// Where a page begins: at the first row, at the first that has the value or more, behind a place.
enum class From { start, value, place };

struct PageOrder {
  From from = From::start;
  Place place;           // the value alone, or all parts
  Place mark;            // empty, or: up to where an earlier run has read
  bool ranked = false;   // gives each row its rank along the cursor; else 0
  bool by_time = false;  // the cursor is a date or time
  int64_t rows = 0;      // at most
};

struct PageRows {
  std::vector<Record> records;  // in the order of cursor and keys; the cursor is the version
  Place last;                   // of the last row
  // Of those whose time has come by the server's clock, where the cursor is one: they stand before the others.
  size_t come = 0;
  Place reached;            // of the last of them
  bool behind_mark = true;  // it lies there
};

struct CursorType {
  std::string name;  // as the server has it
  bool by_time = false;
};

class Db {
 public:
  virtual ~Db() = default;
  // From now on waits beat, and end when asked to stop.
  virtual void attend(Run& run) = 0;
  virtual std::string place() const = 0;

  // ---- pages by a cursor: each is a transaction of its own ----

  // Reads no row, and is refused when a column of the shape is not there or cannot order rows.
  virtual CursorType cursor_type() = 0;
  // The value that lies so far (microseconds, or a number) before this one.
  virtual std::string before(const CursorType& type, const std::string& value, int64_t span) = 0;
  // A value that a person gave, as page() takes it.
  virtual std::string since(const CursorType& type, const std::string& value) = 0;
  // Whether the first of these values of the cursor comes after the other.
  virtual bool behind(const CursorType& type, const std::string& value, const std::string& other) = 0;
  virtual PageRows page(const PageOrder& order) = 0;
  // The server's guess at the rows that lie from there on.
  virtual std::optional<int64_t> estimate(const PageOrder& order) = 0;

  // ---- all rows as of one instant: streamed from one transaction, a page of them in memory ----

  // The columns of the query; refused when one of the keys is not among them. Reads no row.
  virtual std::vector<std::string> columns() = 0;
  virtual std::optional<int64_t> estimate_all() = 0;
  // Returns the instant, RFC 3339 in UTC. `stamped`: each body gets it as its member as_of.
  virtual std::string begin_rows(bool stamped) = 0;
  // The next bodies; fewer than `most`: there are no more.
  virtual std::vector<std::string> next_rows(int64_t most) = 0;
  // All have been read.
  virtual void end_rows() = 0;
};

std::unique_ptr<Db> open_db(const Component& source, const Stop& stop);
std::unique_ptr<Db> open_postgres(const Component& source, const Stop& stop);
std::unique_ptr<Db> open_mysql(const Component& source, const Stop& stop);

// A row has NULL in a column of its key.
[[noreturn]] void refuse_null_key(const std::string& column);
// The query has not the columns that it should have.
[[noreturn]] void refuse_columns(const std::string& why, const Shape& shape);
// The server said that a value cannot be what it should be; `code` is the server's.
[[noreturn]] void refuse_value(const std::string& code);

std::unique_ptr<RecordReader> make_incremental(const Component& source);
std::unique_ptr<RecordReader> make_snapshot(const Component& source);
std::unique_ptr<RecordReader> make_diff(const Component& source);
void check_incremental(const Settings& settings, std::vector<Problem>& problems);

}  // namespace muskrat::sql_query
