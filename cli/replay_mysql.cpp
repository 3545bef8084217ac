#include "cli/replay_mysql.hpp"

#include <array>

#include "cli/context.hpp"
#include "common/field_convert.hpp"
#include "relay/sources/mysql_outbox_history.hpp"

namespace muskrat::cli {
namespace {

class MysqlReplaySource : public ReplaySource {
 public:
  MysqlReplaySource(const Component& source, const ReplayOrder& order, const Stop& stop)
      : db_(open_mysql_source(source, order.dsn, &stop)),
        place_(db_.connection().place()),
        history_(db_.connection(), source.name) {
    try {
      db_.connection().exec("SELECT 1 FROM muskrat.history LIMIT 1", Deadline::in(answer_time));
    } catch (const mysql::SqlError& error) {
      throw Failure(Remedy::stop, "the history of " + place_ + " cannot be read (" + error.what() +
                                      "): it takes SELECT on muskrat.history, which the relay's user has, and the "
                                      "tables that muskrat install makes");
    }
  }

  OutboxHistory& history() override { return history_; }
  const std::string& place() const override { return place_; }

  std::string instant(const std::string& option, const std::string& text) override {
    if (const auto span = span_of(text)) {
      const std::array<mysql::Param, 1> params{span->number};
      const mysql::Result row =
          db_.ask("SELECT COALESCE(UTC_TIMESTAMP(6) - INTERVAL ? " + span->unit + ", '1970-01-01')", params);
      return std::string(row.text(0, 0));
    }
    std::string utc = utc_timestamp(text);
    if (utc.empty()) refuse_instant(option, text);
    utc.pop_back();  // the Z, which not every server takes
    return utc;
  }

  std::string why_none() const override {
    return "confirmed events are kept there for the source's retention, and by default they are deleted at once";
  }

 private:
  mysql_outbox::Db db_;
  const std::string place_;
  mysql_outbox::History history_;
};

}  // namespace

std::unique_ptr<ReplaySource> open_mysql_replay(const Component& source, const ReplayOrder& order, const Stop& stop) {
  return std::make_unique<MysqlReplaySource>(source, order, stop);
}

}  // namespace muskrat::cli
