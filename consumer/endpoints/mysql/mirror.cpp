#include "consumer/endpoints/mysql/mirror.hpp"

#include <map>

#include "common/mysql.hpp"
#include "consumer/endpoints/mysql/comparison.hpp"
#include "consumer/endpoints/mysql/state.hpp"
#include "consumer/endpoints/sql/table_mirror.hpp"

namespace muskrat::mysql_target {
namespace {

using sql::Row;

constexpr size_t insert_bytes = 1 << 20;

// As the endpoint itself tells them apart.
bool of_the_row(const mysql::SqlError& error) { return !error.of_the_server(); }

class MysqlMirror : public sql::TableMirror {
 public:
  using TableMirror::TableMirror;

  void connect(std::span<const Event> told, Deadline deadline) override {
    try {
      TableMirror::connect(told, deadline);
    } catch (const mysql::SqlError& error) {
      throw Failure(error.transient() ? Remedy::reconnect : Remedy::stop,
                    std::string(error.what()) + " (in the endpoint " + name() + ")");
    }
  }

  std::vector<KeyTexts> keys(size_t table, const KeyRange& range, int64_t most, Deadline deadline) override {
    const std::vector<size_t>& key = route(table).key;
    const auto rows = connection_->exec(keys_of(targets_[table], range, most, quote(), key), deadline);
    std::vector<KeyTexts> keys;
    keys.reserve(static_cast<size_t>(rows.rows()));
    for (int i = 0; i < rows.rows(); ++i) keys.push_back(key_of(rows, i, key.size()));
    return keys;
  }

  RangeDigest digest(size_t, const std::vector<std::string>&, const KeyRange&, Deadline) override { return {}; }

  // There is no row version that SQL could read.
  int looks() const override { return 3; }

  std::vector<std::optional<std::string>> versions(size_t table, std::span<const KeyTexts> keys,
                                                   Deadline deadline) override {
    const std::vector<size_t>& key = route(table).key;
    const auto rows = connection_->exec(versions_of(targets_[table], key, keys, quote()), deadline);
    std::map<KeyTexts, std::string> there;
    for (int i = 0; i < rows.rows(); ++i)
      there.emplace(key_of(rows, i, key.size()), rows.text(i, static_cast<int>(key.size())));
    std::vector<std::optional<std::string>> found;
    found.reserve(keys.size());
    for (const KeyTexts& texts : keys) {
      const auto one = there.find(texts);
      found.push_back(one == there.end() ? std::nullopt : std::optional(one->second));
    }
    return found;
  }

 protected:
  void open(Deadline deadline) override {
    connection_.reset();
    targets_.clear();
    mysql::Address address;
    address.dsn = settings().fresh_secret("dsn");
    if (settings().has("password")) address.password = settings().fresh_secret("password");
    address.application_name = "muskrat verify " + name();
    connection_ = mysql::Connection::open(address, deadline);
  }

  Shape discover(size_t table, Deadline deadline) override {
    targets_.push_back(mysql_target::discover(*connection_, route(table), deadline));
    const Target& target = targets_.back();
    Shape shape{target.identity, {}, target.walk};
    for (const Column& column : target.columns) shape.types.push_back(column.type);
    return shape;
  }

  std::optional<std::string> text_of(size_t table, size_t column, const FieldValue& field,
                                     std::string& why) const override {
    return targets_[table].columns[column].text_of(field, why);
  }

  std::string other_origin(size_t table, const std::string& source, const std::string& object,
                           Deadline deadline) override {
    const State state(settings().text("state_prefix"), name());
    const mysql::Param name[] = {settings().text("state_prefix") + "scope"};
    const auto there = connection_->exec(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", name,
        deadline);
    if (there.int64(0, 0) == 0) return "";
    const mysql::Param params[] = {targets_[table].identity, source, object};
    const auto others = connection_->exec("SELECT source, object FROM " + state.scopes() +
                                              " WHERE target = ? AND source <> '' AND (source, object) <> (?, ?) "
                                              "LIMIT 1",
                                          params, deadline);
    if (others.rows() == 0) return "";
    return std::string(others.text(0, 1)) + " of source " + std::string(others.text(0, 0));
  }

  bool ask(const Rows& rows, const std::vector<size_t>& columns, const std::vector<size_t>& compared, bool with_values,
           std::vector<Discrepancy>& found, Deadline deadline) override {
    const size_t table = rows.front()->route;
    try {
      connection_->exec(expected_table(targets_[table], columns), deadline);
    } catch (const mysql::SqlError& error) {
      throw Failure(error.transient() ? Remedy::reconnect : Remedy::stop,
                    std::string(error.what()) + "; to compare, the user of the endpoint " + name() +
                        " needs CREATE TEMPORARY TABLES on the database of its dsn");
    }
    try {
      write_expected(rows, columns, deadline);
    } catch (const mysql::SqlError& error) {
      if (!of_the_row(error)) throw Failure(error.transient() ? Remedy::reconnect : Remedy::stop, error.what());
      why_ = "error " + std::to_string(error.code()) + " SQLSTATE " + error.sqlstate();
      column_ = error.column();
      return false;
    }
    const auto answer = connection_->exec(
        comparison_of(route(table), targets_[table], compared, with_values, connection_->mariadb()), deadline);
    for (int i = 0; i < answer.rows(); ++i)
      found.push_back(read(answer, i, *rows[static_cast<size_t>(answer.int64(i, 0))], compared, with_values));
    return true;
  }

  Discrepancy refused(const Row& row, const std::vector<size_t>&, Deadline) override {
    Discrepancy refused{Discrepancy::Kind::refused, row.event, row.route, row.identity, {}, why_, {}};
    if (!column_.empty()) refused.columns.push_back(column_);
    return refused;
  }

 private:
  Quote quote() const {
    return [this](const std::string& text) { return connection_->quote_literal(text); };
  }

  static KeyTexts key_of(const mysql::Result& rows, int row, size_t columns) {
    KeyTexts key;
    for (size_t c = 0; c < columns; ++c) key.emplace_back(rows.text(row, static_cast<int>(c)));
    return key;
  }

  void write_expected(const Rows& rows, const std::vector<size_t>& columns, Deadline deadline) {
    const Target& target = targets_[rows.front()->route];
    const std::string insert = expected_insert(target, columns);
    std::string values;
    for (size_t i = 0; i < rows.size(); ++i) {
      values += (values.empty() ? "(" : ", (") + std::to_string(i);
      for (const size_t column : columns) {
        const auto& value = rows[i]->values[column];
        values += ", " + (value ? target.columns[column].from_text(connection_->quote_literal(*value)) : "NULL");
      }
      values += ")";
      if (values.size() < insert_bytes && i + 1 < rows.size()) continue;
      connection_->exec(insert + values, deadline);
      values.clear();
    }
  }

  Discrepancy read(const mysql::Result& answer, int i, const Row& row, const std::vector<size_t>& compared,
                   bool with_values) const {
    Discrepancy difference{Discrepancy::Kind::missing, row.event, row.route, row.identity, {}, "", {}};
    if (answer.boolean(i, 1)) return difference;
    difference.kind = Discrepancy::Kind::different;
    const auto text = [&](int column) {
      return answer.null(i, column) ? std::nullopt : std::optional<std::string>(answer.text(i, column));
    };
    for (size_t c = 0; c < compared.size(); ++c) {
      const int at = 2 + static_cast<int>(c) * (with_values ? 3 : 1);
      if (!answer.boolean(i, at)) continue;
      difference.columns.push_back(route(row.route).fields.names()[compared[c]]);
      if (with_values) difference.values.emplace_back(text(at + 1), text(at + 2));
    }
    return difference;
  }

  std::vector<Target> targets_;  // by table
  std::string why_, column_;     // of the last refusal
  std::optional<mysql::Connection> connection_;
};

}  // namespace

std::unique_ptr<Mirror> make_mirror(const Component& component) { return std::make_unique<MysqlMirror>(component); }

}  // namespace muskrat::mysql_target
