#include "relay/sources/sql_query.hpp"

#include <set>

#include "common/database_dsn.hpp"
#include "relay/scheduled/deletion.hpp"
#include "relay/scheduled/source.hpp"
#include "relay/sources/sql_query_db.hpp"

namespace muskrat::sql_query {
namespace {

constexpr Option own_options[] = {
    {"dsn", OptionType::text, "", "",
     "Where the database is. PostgreSQL: a libpq connection string or URI. MySQL and MariaDB: "
     "mysql://user@host/database.",
     true},
    {"password", OptionType::secret, "", "",
     "The password, where it is not in the DSN (or in .pgpass); read anew at each run."},
    {"query", OptionType::text, "", "", "The SELECT whose rows are records; every column is in the body.", true},
    {"mode", OptionType::choice, "incremental", "incremental|snapshot|diff",
     "incremental: rows that are new or changed, by a column that grows. snapshot: all rows as of one instant, stamped "
     "with it as as_of. diff: all rows are read, and those told that are not as they were at the run before, deleted "
     "ones too."},
    {"cursor", OptionType::text, "", "",
     "With mode incremental: the column that grows with every change, such as updated_at; rows where it is NULL are "
     "not read."},
    {"key", OptionType::text_list, "", "",
     "The columns that identify a row, none of them NULL: with the cursor they place it, and they are its ordering "
     "key.",
     true},
    {"overlap", OptionType::text, "5m", "",
     "How far before the cursor a run begins, for what was committed late: a duration, or a number where the cursor is "
     "one; 0 for none. What was sent already is recognised by its content."},
    {"first_run", OptionType::choice, "all", "all|baseline",
     "With mode diff: whether the first run tells of all rows, or only takes note of them."},
    {"most_deleted", OptionType::integer, "50", "0..100",
     "With mode diff: a run in which more of the known rows than so many percent are gone, and at least 100, fails "
     "before it tells of the first: the query may not see all it should."},
    {"page", OptionType::integer, "500", "1..10000", "Rows read in one statement, and in memory, at a time."},
    {"rate", OptionType::integer, "5000", "1..1000000", "Most rows read in a second, on average over a run."},
    {"statement_timeout", OptionType::duration, "30s", "1s..1h", "A statement that takes longer fails the run."},
};

OptionTable options() {
  static const std::vector<Option> all = joined({own_options, deletion_options(), scheduled_options()});
  return all;
}

// What only the one mode takes.
struct OfMode {
  const char *option, *mode;
};
constexpr OfMode of_modes[] = {{"cursor", "incremental"},
                               {"overlap", "incremental"},
                               {"first_run", "diff"},
                               {"most_deleted", "diff"},
                               {"deleted", "diff"}};

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_scheduled(settings, problems);
  const auto check_dsn = names_mysql(settings.text("dsn")) ? check_mysql_dsn : check_postgres_dsn;
  check_dsn(settings, "dsn", problems);
  const auto wrong = [&](const char* option, const std::string& text) {
    problems.push_back({settings.where(option), std::string(option) + ": " + text});
  };
  const Shape shape = shape_of(settings);
  if (shape.query.empty()) wrong("query", "it is empty");
  const std::set<std::string> distinct(shape.keys.begin(), shape.keys.end());
  if (shape.keys.empty() || distinct.contains("")) wrong("key", "it names no column");
  if (distinct.size() != shape.keys.size()) wrong("key", "it names a column twice");
  const std::string& mode = settings.text("mode");
  for (const OfMode& each : of_modes)
    if (settings.given(each.option) && mode != each.mode)
      wrong(each.option,
            std::string("it belongs to mode ") + each.mode + ", and the mode is " + mode + "; leave it out");
  if (mode == "incremental") check_incremental(settings, problems);
  if (mode == "diff") check_deletion(settings, problems);
}

std::unique_ptr<RecordReader> make(const Component& component) {
  const std::string& mode = component.settings.text("mode");
  if (mode == "snapshot") return make_snapshot(component);
  return mode == "diff" ? make_diff(component) : make_incremental(component);
}

}  // namespace

const SourceKind kind{{"sql-query",
                       "The rows of a SELECT, those that are new or changed or deleted, or all of them, on a schedule "
                       "(PostgreSQL, MySQL, MariaDB).",
                       muskrat::sql_query::options(), muskrat::sql_query::validate},
                      nullptr,
                      muskrat::sql_query::make};

}  // namespace muskrat::sql_query
