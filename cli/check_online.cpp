#include "cli/check_online.hpp"

#include <functional>
#include <set>

#include "cli/attach_mysql.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/guarded_rows.hpp"
#include "cli/mysql_catalog.hpp"
#include "cli/terminal.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/state/store.hpp"
#include "relay/scheduled/reader.hpp"
#include "relay/sources.hpp"
#include "relay/sources/mysql_outbox_version.hpp"

namespace muskrat::cli {
namespace {

// Several rows may share a key that holds no whole unique index over columns that are never NULL.
constexpr const char* attachments_sql = R"(
SELECT a.relation, COALESCE(a.object, a.name), a.problem, a.name, COALESCE(a.columns, ''),
       a.on_insert, a.on_update, a.on_delete, pg_catalog.array_to_string(a.key, ', '),
       pg_catalog.cardinality(a.key) > 0
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
                        WHERE i.indrelid = a.relation AND i.indisunique AND i.indisvalid
                          AND i.indpred IS NULL AND i.indexprs IS NULL
                          AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute c
                                           WHERE c.attrelid = i.indrelid
                                             AND c.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                                             AND (NOT c.attnotnull OR c.attname <> ALL (a.key))))
  FROM muskrat.attached AS a)";

class Online {
 public:
  explicit Online(const Config& config) : config_(config) {}

  int run() {
    print("\n");
    attempt("broker", [&] { broker(); });
    for (const Component& source : config_.sources) attempt("source " + source.name, [&] { this->source(source); });
    if (needs_state(config_.endpoints)) attempt("state", [&] { state(); });
    for (const Component& endpoint : config_.endpoints) {
      attempt("endpoint " + endpoint.name, [&] { this->endpoint(endpoint); });
    }
    if (problems_ > 0) print(counted(problems_, "problem") + "\n");
    return problems_ > 0 ? exit_problems : exit_ok;
  }

 private:
  void good(const std::string& what) { print(coloured(Colour::green, "ok     ") + "  " + harmless(what) + "\n"); }
  void doubtful(const std::string& what) { print(coloured(Colour::yellow, "warning") + "  " + harmless(what) + "\n"); }
  void unseen(const std::string& what) { print(coloured(Colour::faint, "unseen ") + "  " + harmless(what) + "\n"); }
  void bad(const std::string& what) {
    ++problems_;
    print(coloured(Colour::red, "PROBLEM") + "  " + harmless(what) + "\n");
  }

  void attempt(const std::string& what, const std::function<void()>& ask) {
    try {
      ask();
    } catch (const Failure& failure) {
      bad(what + ": " + failure.what());
    }
  }

  void broker() {
    amqp::Connection broker = open_broker(config_, "check");
    good("broker: logged in to " + broker.server() + " at " + config_.broker.place());
    const Topology& names = config_.topology;
    exchange(broker, names.exchange(), "topic", {{"alternate-exchange", names.unrouted()}});
    exchange(broker, names.unrouted(), "fanout", {});
    exchange(broker, names.dead_exchange(), "direct", {});
    queue(broker, unrouted_queue(names, config_.unrouted));
    for (const Component& endpoint : config_.endpoints) {
      if (queue(broker, endpoint_queue(names, endpoint.name)) > 0) consumed_.insert(endpoint.name);
      queue(broker, dead_letter_queue(names, endpoint.name));
    }
    // None is declared on trial, as queues are: a missing one would be made, perhaps before its mapping is in place.
    size_t bindings = 0;
    for (const EndpointBinding& endpoint : endpoint_bindings(config_)) bindings += endpoint.patterns.size();
    if (bindings > 0)
      unseen(counted(bindings, "binding") +
             ": AMQP does not tell whether they are there; muskrat setup makes those "
             "that are missing, and changes no others");
    broker.close(Deadline::in(std::chrono::seconds(2)));
  }

  void exchange(amqp::Connection& broker, const std::string& name, const std::string& type,
                const amqp::Table& arguments) {
    const Deadline deadline = Deadline::in(answer_time);
    if (!broker.exchange_exists(name, deadline)) return bad("exchange " + name + ": missing; run muskrat setup");
    try {
      // It exists, so this changes nothing: the broker compares and answers 406 where it is another.
      broker.declare_exchange(name, type, arguments, deadline);
      good("exchange " + name + ": " + type);
    } catch (const amqp::ChannelError& error) {
      broker.open_channel(deadline);
      // 403: this user may not declare, and need not; whether the type is right only setup's user can tell.
      if (error.code() == 403) return good("exchange " + name + ": there");
      bad("exchange " + name + ": is not the " + type + " exchange it should be: " + error.what());
    }
  }

  // The number of its consumers.
  uint32_t queue(amqp::Connection& broker, const QueueShape& shape) {
    const Deadline deadline = Deadline::in(answer_time);
    const std::string what = "queue " + shape.name;
    const auto state = broker.queue_state(shape.name, deadline);
    if (!state) {
      bad(what + ": missing; run muskrat setup");
      return 0;
    }
    try {
      // As with exchanges: it exists, so this changes nothing.
      broker.declare_queue(shape.name, shape.arguments, deadline);
    } catch (const amqp::ChannelError& error) {
      broker.open_channel(deadline);
      if (error.code() != 403) {
        bad(refusal_text(error, what));
        return state->consumers;
      }
    }
    good(what + ": " + counted(state->messages, "message") + ", " + counted(state->consumers, "consumer"));
    return state->consumers;
  }

  void scheduled(const Component& source, const SourceKind& kind) {
    const auto problem = [&](const std::string& why) {
      bad(describe({source.where, "source " + source.name + ": " + why}));
    };
    try {
      for (const std::string& what : kind.reader(source)->probe(stop_)) good("source " + source.name + ": " + what);
      const std::string path = scheduled_state_path(config_.relay);
      if (const auto state = ScheduledState::find(path, source.name)) state->expect_shape(kind.reader(source)->shape());
    } catch (const Failure& failure) {
      problem(failure.what());
    }
  }

  void source(const Component& source) {
    if (const SourceKind& kind = kind_of(source); kind.reader != nullptr) return scheduled(source, kind);
    if (source.kind == "mysql") return mysql_source(source);
    if (source.kind != "postgres") return;
    pg::Connection db = open_source(source, "");
    const std::string place = "source " + source.name + ": ";
    const Deadline deadline = Deadline::in(answer_time);
    good(place + "connected to " + db.place());
    const pg::Result extension =
        db.exec("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'muskrat'", deadline);
    if (extension.rows() == 0) {
      return bad(place + "the extension is not there; run CREATE EXTENSION muskrat in that database as a superuser");
    }
    extension_version(place, std::string(extension.text(0, 0)));
    const pg::Result hello =
        db.exec("SELECT same_history, history_problem, in_recovery FROM muskrat.relay_hello()", deadline);
    if (hello.rows() == 1 && !hello.boolean(0, 0)) return bad(place + std::string(hello.text(0, 1)));
    if (hello.rows() == 1 && hello.boolean(0, 2))
      return bad(place + "this is a stand-by in recovery; name the primary");
    good(place + "the relay may read the outbox");
    attachments(db, source.name, place);
  }

  void extension_version(const std::string& place, const std::string& version) {
    if (version == MUSKRAT_VERSION) return good(place + "extension muskrat " + version);
    bad(place + "the extension muskrat is of version " + version +
        ", and this program of " MUSKRAT_VERSION
        "; where the program is newer, install its extension on that server and run ALTER EXTENSION muskrat UPDATE "
        "(docs/operations.md, Upgrading)");
  }

  void mysql_source(const Component& source) {
    mysql_outbox::Db db = open_mysql_source(source, "");
    const std::string place = "source " + source.name + ": ";
    good(place + "connected to " + db.connection().place());
    const mysql_outbox::Hello hello = db.hello();
    if (!hello.history_problem.empty()) return bad(place + hello.history_problem);
    if (hello.read_only) return bad(place + "this server is read-only, a replica; name the primary");
    db.try_privileges();
    good(place + "the relay may read and mark the outbox");
    if (hello.version < mysql_outbox::schema_version)
      bad(place + "Muskrat's tables are of version " + std::to_string(hello.version) +
          ", and this program's of version " + std::to_string(mysql_outbox::schema_version) +
          "; an administrator runs: muskrat install " + source.name);
    if (hello.version > mysql_outbox::schema_version)
      bad(place + "Muskrat's tables are of version " + std::to_string(hello.version) +
          ", made by a newer Muskrat; bring this program up to date");
    if (!hello.durability.empty()) bad(place + hello.durability);
    if (!hello.warning.empty()) bad(place + hello.warning);
    mysql_attachments(db.connection(), source.name, place);
  }

  void mysql_attachments(mysql::Connection& db, const std::string& source, const std::string& place) {
    // The relay's user need not see them; what it may not see is not even there for it.
    if (!sees_attachments(db))
      return good(place + "attachments are not for this user to see; ask muskrat attached --dsn");
    const std::vector<Attachment> attachments = mysql_attached(db);
    if (attachments.empty()) bad(place + "no table is attached; see muskrat attach --help");
    for (const Attachment& a : attachments) {
      const std::string what = place + a.schema + "." + a.table + " as " + a.name;
      note_rows(db, source, a);
      if (a.problem.empty()) {
        good(what);
      } else {
        bad(what + ": " + a.problem);
      }
    }
  }

  void note_rows(mysql::Connection& db, const std::string& source, const Attachment& a) {
    const auto options = capture_mysql::Options::from_json(a.options);
    GuardedRows rows{source, a.schema + "." + a.table, a.name, a.object, options.columns, {}, ""};
    for (const auto& word : {options.on_insert, options.on_update, options.on_delete})
      if (word) rows.routing_keys.push_back(a.object + "." + *word);
    if (!options.key.empty() && !tell_rows_apart(db, {a.schema, a.table}, options.key))
      for (const std::string& column : options.key) rows.key += (rows.key.empty() ? "" : ", ") + column;
    attached_.push_back(std::move(rows));
  }

  void attachments(pg::Connection& db, const std::string& source, const std::string& place) {
    const Deadline deadline = Deadline::in(answer_time);
    const pg::Result allowed = db.exec("SELECT pg_catalog.has_table_privilege('muskrat.attached', 'SELECT')", deadline);
    // The relay's user need not see them.
    if (!allowed.boolean(0, 0)) return good(place + "attachments are not for this user to see (muskrat_monitor may)");
    const pg::Result rows = db.exec(attachments_sql, deadline);
    if (rows.rows() == 0) bad(place + "no table is attached; see muskrat attach --help");
    for (int i = 0; i < rows.rows(); ++i) {
      const std::string what = place + std::string(rows.text(i, 0)) + " is attached as " + std::string(rows.text(i, 1));
      note_rows(rows, i, source);
      rows.null(i, 2) ? good(what) : bad(what + ": " + std::string(rows.text(i, 2)));
    }
  }

  void note_rows(const pg::Result& row, int i, const std::string& source) {
    const auto text = [&](int column) { return std::string(row.text(i, column)); };
    GuardedRows rows{source, text(0), text(3), text(1), text(4), {}, ""};
    for (int word = 5; word <= 7; ++word)
      if (!row.null(i, word)) rows.routing_keys.push_back(rows.object + "." + text(word));
    if (!row.null(i, 9) && row.boolean(i, 9)) rows.key = text(8);
    attached_.push_back(std::move(rows));
  }

  void state() { good("state: " + state::open_store(config_.consumer, Deadline::in(connect_time))->place()); }

  void endpoint(const Component& component) {
    for (const EndpointKind& kind : endpoint_kinds()) {
      if (kind.name != component.kind) continue;
      if (kind.host_keeps_state) guard(component);
      try {
        make_endpoint(kind, component, config_.consumer, nullptr, nullptr)->connect(Deadline::in(connect_time));
        good("endpoint " + component.name + ": reached");
        if (kind.describe != nullptr) mapping(component, kind.describe(component, Deadline::in(connect_time)));
      } catch (const InUse&) {
        if (!consumed_.contains(component.name)) throw;
        good("endpoint " + component.name + ": in use, and a host consumes its queue");
      }
    }
  }

  void guard(const Component& component) {
    const std::string place = component.where.file + ":" + std::to_string(component.where.line) + ": endpoint ";
    for (const std::string& warning : guard_warnings(component.settings, attached_))
      doubtful(place + component.name + ": " + warning);
  }

  // Against the fields that the endpoint's own server says there are.
  void mapping(const Component& component, const std::vector<Problem>& problems) {
    const std::string name = "endpoint " + component.name + ": ";
    bool fits = true;
    for (const Problem& problem : problems) {
      const std::string text =
          problem.where.file + ":" + std::to_string(problem.where.line) + ": " + name + problem.text;
      fits = fits && !problem.error;
      problem.error ? bad(text) : doubtful(text);
    }
    const size_t fields = component.settings.records("fields").size();
    if (fields == 0)
      good(name + "its mapping names no fields (no `fields`), so none was compared with what is there");
    else if (fits)
      good(name + counted(fields, "field") + " of its mapping, compared with what is there");
  }

  const Config& config_;
  const Stop stop_;  // never requested: Ctrl-C ends the verb
  size_t problems_ = 0;
  std::vector<GuardedRows> attached_;  // at all sources whose attachments this user may see
  std::set<std::string> consumed_;     // endpoints whose queue a host consumes
};

}  // namespace

int check_online(const Config& config) { return Online(config).run(); }

}  // namespace muskrat::cli
