#include "cli/replay_source.hpp"

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/replay_mysql.hpp"
#include "relay/sources/postgres_outbox_history.hpp"

namespace muskrat::cli {
namespace {

class PgReplaySource : public ReplaySource {
 public:
  PgReplaySource(const Component& source, const ReplayOrder& order, const Stop& stop)
      : db_(open_source(source, order.dsn, &stop)), place_(db_.place()) {
    db_.exec("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'", Deadline::in(answer_time));
    try {
      history_.emplace(db_, source.name);
    } catch (const pg::SqlError& error) {
      if (error.sqlstate() != "42501" && error.sqlstate() != "3F000" && error.sqlstate() != "42P01") throw;
      throw Failure(Remedy::stop, "the outbox of " + place_ + " cannot be read (" + error.what() +
                                      "): it takes the role muskrat_relay, and the extension muskrat in that database");
    }
  }

  OutboxHistory& history() override { return *history_; }
  const std::string& place() const override { return place_; }

  std::string instant(const std::string& option, const std::string& text) override {
    const auto span = span_of(text);
    const std::string value = span ? span->number + " " + span->unit : text;
    const pg::Param param = value;
    try {
      const pg::Result row =
          db_.exec(span ? "SELECT pg_catalog.now() - $1::pg_catalog.interval" : "SELECT $1::pg_catalog.timestamptz",
                   std::span<const pg::Param>(&param, 1), Deadline::in(answer_time));
      return std::string(row.text(0, 0));
    } catch (const pg::SqlError& error) {
      if (!error.sqlstate().starts_with("22")) throw;
      refuse_instant(option, text);
    }
  }

 private:
  pg::Connection db_;
  const std::string place_;
  std::optional<postgres_outbox::History> history_;
};

}  // namespace

std::optional<Span> span_of(const std::string& text) {
  if (text.size() < 2 || text.find_first_not_of("0123456789") != text.size() - 1) return std::nullopt;
  static const std::string units = "smhd";
  static const char* const words[] = {"second", "minute", "hour", "day"};
  const size_t unit = units.find(text.back());
  if (unit == std::string::npos) return std::nullopt;
  return Span{text.substr(0, text.size() - 1), words[unit]};
}

void refuse_instant(const std::string& option, const std::string& text) {
  throw UsageError(option + " " + text + " is no time; for example 2h, 3d or 2026-11-25T10:00");
}

std::unique_ptr<ReplaySource> open_replay_source(const Component& source, const ReplayOrder& order, const Stop& stop) {
  if (source.kind == "mysql") return open_mysql_replay(source, order, stop);
  if (source.kind != "postgres")
    throw UsageError("the source " + source.name + " is of kind " + source.kind +
                     ", which keeps no events that were published; they can be replayed from sources of the kinds "
                     "postgres and mysql");
  return std::make_unique<PgReplaySource>(source, order, stop);
}

}  // namespace muskrat::cli
