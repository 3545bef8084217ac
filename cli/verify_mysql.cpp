#include "cli/verify_mysql.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "capture_mysql/body_sql.hpp"
#include "cli/backfill_mysql_order.hpp"
#include "cli/backfill_mysql_tell.hpp"
#include "cli/context.hpp"
#include "cli/mysql_catalog.hpp"
#include "cli/verify_mysql_keys.hpp"
#include "relay/sources/mysql_outbox_db.hpp"

namespace muskrat::cli {
namespace {

using capture_mysql::Column;
using capture_mysql::Member;

constexpr milliseconds chunk_time = std::chrono::minutes(5);
constexpr size_t looked_up_together = 1000;
// Results are read whole, so rows that may be large are fetched so many bytes at a time.
constexpr int64_t bytes_together = 4 << 20;
constexpr std::array not_allowed{1044, 1142, 1143, 1227, 1370};

[[noreturn]] void explain(const mysql::SqlError& error) {
  if (std::find(not_allowed.begin(), not_allowed.end(), error.code()) == not_allowed.end()) throw;
  throw Failure(Remedy::stop,
                std::string(error.what()) +
                    "; verify needs SELECT and TRIGGER on the table, SELECT on muskrat.attachments, muskrat.outbox and "
                    "muskrat.relay, and EXECUTE on muskrat.*; --repair LOCK TABLES on the table's database and INSERT "
                    "on muskrat.outbox: name such a user with --dsn");
}

void paths_of(const std::vector<Member>& members, std::map<std::string, std::string>& columns) {
  for (const Member& member : members) {
    if (member.column != nullptr) columns.emplace(member.path, member.column->name);
    paths_of(member.members, columns);
  }
}

VerifyPlan::Part part_of(const BackfillSql& sql, const BackfillSql::Part& part) {
  const capture_mysql::Options& o = part.options;
  VerifyPlan::Part made{
      part.name, o.object, part.words, o.on_update.value_or(""), o.on_delete.value_or(""), !o.condition.empty(), {}};
  paths_of(capture_mysql::body_members(sql.table, o.columns), made.columns);
  return made;
}

class MysqlVerifySource : public VerifySource {
 public:
  MysqlVerifySource(const Component& source, const std::string& dsn, const std::string& table,
                    const std::string& attachment)
      : db_(open_mysql_server(source, dsn)) {
    // The sql_mode is the triggers'.
    db_.exec(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION lock_wait_timeout = 10, sql_mode = "
        "'NO_ENGINE_SUBSTITUTION'",
        Deadline::in(answer_time));
    require_installed(db_, source.name);
    try {
      sql_ = backfill_sql_for(db_, {table, attachment, "", ""});
    } catch (const mysql::SqlError& error) {
      explain(error);
    }
    plan_.table = sql_.table.schema + "." + sql_.table.name;
    plan_.key = sql_.key;
    for (const BackfillSql::Part& part : sql_.parts) plan_.parts.push_back(part_of(sql_, part));
    const std::array<mysql::Param, 2> name{sql_.table.schema, sql_.table.name};
    plan_.rows = ask("SELECT COALESCE(MAX(table_rows), 0) FROM information_schema.tables WHERE table_schema = ? AND "
                     "table_name = ?",
                     name)
                     .int64(0, 0);
  }

  const VerifyPlan& plan() const override { return plan_; }

  void keep(const std::function<bool(const VerifyPlan::Part&)>& meant) override {
    std::erase_if(plan_.parts, [&](const VerifyPlan::Part& part) { return !meant(part); });
    std::erase_if(sql_.parts, [&](const BackfillSql::Part& part) {
      return std::none_of(plan_.parts.begin(), plan_.parts.end(),
                          [&](const VerifyPlan::Part& kept) { return kept.name == part.name; });
    });
  }

  int64_t walk(const KeyRange& range, int64_t most, const std::function<void(SourceRow&&)>& row) override {
    if (!sql_.large_rows()) return read(sql_.between(range.after, range.upto), most, row);
    const mysql::Result sizes = ask(sql_.sizes(sql_.between(range.after, range.upto), most));
    const int width = static_cast<int>(sql_.key.size());
    RowKey after = range.after;
    int64_t bytes = 0;
    for (int i = 0; i < sizes.rows(); ++i) {
      bytes += sizes.int64(i, width);
      if (i + 1 < sizes.rows() && bytes + sizes.int64(i + 1, width) <= bytes_together) continue;
      RowKey upto = key_of(sizes, i, sql_.key.size());
      read(sql_.between(after, upto), most, row);
      after = std::move(upto);
      bytes = 0;
    }
    return sizes.rows();
  }

  std::vector<SourceRow> again(std::span<const KeyTexts> keys) override {
    std::vector<SourceRow> rows;
    for (size_t i = 0; i < keys.size();) {
      // A chunk of these is small; rows that may be large come one by one.
      const size_t together = sql_.large_rows() ? 1 : looked_up_together;
      const size_t end = std::min(i + together, keys.size());
      const std::set<RowKey> some(keys.begin() + static_cast<std::ptrdiff_t>(i),
                                  keys.begin() + static_cast<std::ptrdiff_t>(end));
      read(sql_.among(some), static_cast<int64_t>(some.size()),
           [&](SourceRow&& row) { rows.push_back(std::move(row)); });
      i = end;
    }
    return rows;
  }

  // There is no row version that SQL could read: a version is what the bodies say, and comes again when a row is
  // changed and changed back.
  int looks() const override { return 3; }

  std::optional<Finder> finder(const std::vector<std::string>& columns, const std::vector<std::string>& endpoint_types,
                               std::string& why) override {
    Finder finder;
    for (size_t c = 0; c < columns.size(); ++c) {
      const Column* column = sql_.table.find(columns[c]);
      const std::string family = column == nullptr ? "" : mysql_keys::family_of(*column);
      if (family.empty() || family != mysql_keys::family_of(endpoint_types[c])) {
        why = "its key comes from the column " + columns[c] + " of type " +
              (column == nullptr ? "unknown" : column->column_type) + " and is " + endpoint_types[c] +
              ", so a key of the endpoint cannot be looked up in the source for sure";
        return std::nullopt;
      }
      finder.columns.push_back(columns[c]);
      finder.types.push_back(family);
    }
    if (indexed(columns)) return finder;
    why = "its key comes from columns of " + plan_.table +
          " that no index begins with, so each look would read the table";
    return std::nullopt;
  }

  std::vector<bool> absent(const Finder& finder, std::span<const KeyTexts> values) override {
    std::vector<bool> absent;
    absent.reserve(values.size());
    for (size_t i = 0; i < values.size(); i += looked_up_together)
      absent_among(finder, values.subspan(i, std::min(looked_up_together, values.size() - i)), absent);
    return absent;
  }

  std::optional<Finder> digestible(const std::vector<std::string>&, const std::vector<std::string>&) override {
    return std::nullopt;
  }
  KeyTexts range_end(const KeyTexts&, int64_t) override { return {}; }
  RangeDigest digest(const Finder&, const KeyRange&) override { return {}; }

  std::string position() override {
    return std::string(ask("SELECT COALESCE(MAX(id), 0) FROM muskrat.outbox").text(0, 0));
  }

  // What is confirmed leaves the outbox. What is committed late with a lower id is waited for too, which does no harm.
  Passed passed(const std::string& position) override {
    const std::array<mysql::Param, 1> params{position};
    const mysql::Result row = ask(
        "SELECT NOT EXISTS (SELECT 1 FROM muskrat.outbox WHERE id <= ?), held, holder <> '' FROM muskrat.relay WHERE "
        "only_row = 1",
        params);
    if (row.rows() == 0) return {};
    return {row.boolean(0, 0), static_cast<int64_t>(mysql_outbox::parse_id_list(row.text(0, 1)).size()),
            row.boolean(0, 2)};
  }

  std::string repair(const std::string& endpoint, std::span<const KeyTexts> keys) override {
    BackfillSql sql = sql_;
    sql.endpoint = endpoint;
    const std::set<RowKey> wanted(keys.begin(), keys.end());
    std::set<RowKey> there, locked;
    try {
      ask("START TRANSACTION");
      there = keys_of(ask(sql.next(sql.among(wanted), static_cast<int64_t>(wanted.size()))));
      locked = keys_of(ask(sql.lock(sql.among(wanted))));
      tell_rows(db_, sql, locked);
      ask("COMMIT");
    } catch (const mysql::SqlError& error) {
      if (!error.transient()) explain(error);
      ask("ROLLBACK");
      return std::string(keys.size(), 'l');  // the same again, later
    }
    std::string fates;
    for (const KeyTexts& key : keys) fates += locked.contains(key) ? 't' : there.contains(key) ? 'l' : 'g';
    return fates;
  }

 private:
  mysql::Result ask(const std::string& sql, std::span<const mysql::Param> params = {}) {
    try {
      return db_.exec(sql, params, Deadline::in(chunk_time));
    } catch (const mysql::SqlError& error) {
      explain(error);
    }
  }

  std::set<RowKey> keys_of(const mysql::Result& rows) const {
    std::set<RowKey> keys;
    for (int i = 0; i < rows.rows(); ++i) keys.insert(key_of(rows, i, sql_.key.size()));
    return keys;
  }

  int64_t read(const std::string& which, int64_t most, const std::function<void(SourceRow&&)>& row) {
    const mysql::Result rows = ask(sql_.look(which, most));
    for (int i = 0; i < rows.rows(); ++i) row(row_of(rows, i));
    return rows.rows();
  }

  SourceRow row_of(const mysql::Result& rows, int i) const {
    SourceRow row;
    row.key = key_of(rows, i, sql_.key.size());
    int column = static_cast<int>(row.key.size());
    row.shown = rows.text(i, column++);
    std::string all;
    for (size_t p = 0; p < sql_.parts.size(); ++p, column += 2) {
      row.bodies.emplace_back();
      all += rows.null(i, column) ? "-" : "+" + std::string(rows.text(i, column));
      if (!rows.null(i, column))
        row.bodies.back() = SourceRow::Body{std::string(rows.text(i, column)), std::string(rows.text(i, column + 1))};
    }
    row.version = std::to_string(std::hash<std::string>{}(all));
    return row;
  }

  // An index that begins with these columns, in any order.
  bool indexed(const std::vector<std::string>& columns) {
    const std::array<mysql::Param, 3> params{sql_.table.schema, sql_.table.name, static_cast<int64_t>(columns.size())};
    const mysql::Result rows =
        ask("SELECT index_name, column_name FROM information_schema.statistics WHERE table_schema = ? AND table_name = "
            "? AND "
            "index_type = 'BTREE' AND seq_in_index <= ? ORDER BY index_name",
            params);
    std::map<std::string, std::set<std::string>> beginnings;
    for (int i = 0; i < rows.rows(); ++i) beginnings[std::string(rows.text(i, 0))].insert(std::string(rows.text(i, 1)));
    const std::set<std::string> wanted(columns.begin(), columns.end());
    return std::any_of(beginnings.begin(), beginnings.end(),
                       [&](const auto& beginning) { return beginning.second == wanted; });
  }

  void absent_among(const Finder& finder, std::span<const KeyTexts> values, std::vector<bool>& absent) {
    const std::string sql = mysql_keys::present(sql_.table, finder, values, sql_.meant(),
                                                [&](const std::string& text) { return db_.quote_literal(text); });
    std::set<KeyTexts> there;
    const mysql::Result rows = sql.empty() ? mysql::Result() : ask(sql);
    for (int i = 0; !sql.empty() && i < rows.rows(); ++i) {
      KeyTexts key;
      for (size_t c = 0; c < finder.columns.size(); ++c)
        key.push_back(mysql_keys::in_one_form(finder.types[c], std::string(rows.text(i, static_cast<int>(c)))));
      there.insert(std::move(key));
    }
    for (const KeyTexts& value : values) {
      KeyTexts key;
      for (size_t c = 0; c < value.size(); ++c) key.push_back(mysql_keys::in_one_form(finder.types[c], value[c]));
      absent.push_back(!there.contains(key));
    }
  }

  mysql::Connection db_;
  BackfillSql sql_;
  VerifyPlan plan_;
};

}  // namespace

std::unique_ptr<VerifySource> open_mysql_verify(const Component& source, const std::string& dsn,
                                                const std::string& table, const std::string& attachment) {
  return std::make_unique<MysqlVerifySource>(source, dsn, table, attachment);
}

}  // namespace muskrat::cli
