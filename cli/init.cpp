// muskrat init: looks at a database and writes a first muskrat.yaml, commented, that `muskrat check` accepts.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include <unistd.h>

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/init_text.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/event.hpp"
#include "common/secrets.hpp"
#include "common/suggest.hpp"

namespace muskrat::cli {
namespace {

constexpr const char* tables_sql = R"(
SELECT c.oid::pg_catalog.regclass::text, GREATEST(c.reltuples, 0)::bigint,
       EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisprimary AND x.indimmediate)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'muskrat') AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname)";

struct FoundTable {
  std::string name;
  int64_t rows = 0;
  bool has_key = false;
};

class Init : public Command {
 public:
  explicit Init(Arguments& arguments) {
    arguments.text("--dsn", "DSN", plan_.source_dsn,
                   "The database that is to be captured, as a libpq connection string; the password belongs into "
                   "PGPASSWORD or ~/.pgpass.");
    arguments.texts("--table", "TABLE", wanted_, "A table to capture; give it once for each.");
    arguments.text("--source", "NAME", plan_.source, "The source's name (default: the database's).");
    arguments.text("--broker", "URL", plan_.broker_url, "RabbitMQ (default: amqp://guest@127.0.0.1:5672/).");
    arguments.text("--analytics", "DSN", plan_.endpoint_dsn,
                   "A database to keep copies in; without one, an endpoint that writes JSON lines.");
    arguments.text("-o,--output", "FILE", plan_.config_file,
                   "Where to write (default: muskrat.yaml; - for standard output).");
    arguments.flag("--force", force_, "Write over a file that is there.");
  }

  int run(const Globals&) override {
    if (plan_.config_file.empty()) plan_.config_file = "muskrat.yaml";
    refuse_overwriting();
    ask_for_addresses();
    pg::Connection db = connect();
    name_source(db);
    name_grantee(db);
    choose_tables(db);
    const bool extension_there =
        db.exec("SELECT FROM pg_catalog.pg_extension WHERE extname = 'muskrat'", Deadline::in(answer_time)).rows() > 0;
    if (plan_.config_file == "-") {
      print(yaml_of(plan_));
      return exit_ok;
    }
    write();
    print(next_steps(plan_, extension_there));
    return exit_ok;
  }

 private:
  static bool asks() { return ::isatty(STDIN_FILENO) == 1 && on_terminal(); }

  static void ask(const std::string& what, const std::string& usual, std::string& into) {
    if (!into.empty() || !asks()) return;
    print(what + (usual.empty() ? ": " : " [" + usual + "]: "));
    std::getline(std::cin, into);
    if (into.empty()) into = usual;
  }

  void refuse_overwriting() const {
    if (force_ || plan_.config_file == "-" || ::access(plan_.config_file.c_str(), F_OK) != 0) return;
    throw UsageError(plan_.config_file +
                     " is there already; name another with --output, or write over it with --force");
  }

  void ask_for_addresses() {
    ask("The database to capture, as a connection string", "host=/var/run/postgresql dbname=frontend",
        plan_.source_dsn);
    if (plan_.source_dsn.empty()) throw UsageError("which database is to be captured? Give --dsn");
    ask("RabbitMQ", "amqp://guest@127.0.0.1:5672/", plan_.broker_url);
    if (plan_.broker_url.empty()) plan_.broker_url = "amqp://guest@127.0.0.1:5672/";
    ask("A database to keep copies in (empty: a file of JSON lines)", "", plan_.endpoint_dsn);
    for (const std::string* text : {&plan_.source_dsn, &plan_.broker_url, &plan_.endpoint_dsn})
      if (shows_password(*text))
        throw UsageError(
            "a password stands in clear text in what was given; leave it out: the file will take it from the "
            "environment, and init itself from PGPASSWORD or ~/.pgpass");
  }

  pg::Connection connect() const {
    pg::Address address;
    address.dsn = plan_.source_dsn;
    address.application_name = "muskrat init";
    return pg::Connection::open(address, Deadline::in(connect_time));
  }

  void name_source(pg::Connection& db) {
    if (plan_.source.empty())
      plan_.source = db.exec("SELECT pg_catalog.current_database()", Deadline::in(answer_time)).text(0, 0);
    const std::string key = plan_.source + ".Object.Action";
    if (!parse_routing_key(key))
      throw UsageError("\"" + harmless(plan_.source) +
                       "\" cannot be a source's name; give one of letters, digits, _ and - with --source");
  }

  void name_grantee(pg::Connection& db) {
    const pg::Result user = db.exec(
        "SELECT pg_catalog.quote_ident(rolname), rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user",
        Deadline::in(answer_time));
    if (user.rows() == 1 && !user.boolean(0, 1)) plan_.grantee = user.text(0, 0);
  }

  void choose_tables(pg::Connection& db) {
    const std::vector<FoundTable> found = tables_of(db);
    if (wanted_.empty() && asks()) ask_for_tables(found);
    if (wanted_.empty())
      throw UsageError("which tables are to be captured? Give --table for each; " + db.place() + " has " +
                       listed(names_of(found)));
    std::set<std::string> chosen;
    for (const std::string& name : wanted_) {
      plan_.tables.push_back(table(db, name, found));
      if (!chosen.insert(full_name(db, name)).second) throw UsageError("table " + harmless(name) + " is named twice");
    }
    name_objects();
  }

  static std::string full_name(pg::Connection& db, const std::string& table) {
    const pg::Param param = table;
    const pg::Result rows = db.exec("SELECT pg_catalog.to_regclass($1)::pg_catalog.text",
                                    std::span<const pg::Param>(&param, 1), Deadline::in(answer_time));
    return std::string(rows.text(0, 0));
  }

  // Tables of one object are one to endpoints, where rows of equal keys would take each other's place. Where the word
  // of several is the same, their schemas tell them apart.
  void name_objects() {
    std::map<std::string, int> tables_of_word;
    std::map<std::string, std::string> table_of_object;
    for (const InitTable& table : plan_.tables) ++tables_of_word[object_word(table.relation)];
    for (InitTable& table : plan_.tables) {
      const std::string word = object_word(table.relation);
      const std::string schema = tables_of_word[word] > 1 ? schema_word(table.relation) : "";
      table.object = source_word(plan_.source) + "." + schema + word;
      const auto [other, is_new] = table_of_object.emplace(table.object, table.relation);
      if (!is_new)
        throw UsageError("tables " + harmless(other->second) + " and " + harmless(table.relation) + " would both be " +
                         table.object +
                         ", and so one to endpoints; leave one out, and attach it by hand under an object of its own");
    }
  }

  static std::vector<FoundTable> tables_of(pg::Connection& db) {
    const pg::Result rows = db.exec(tables_sql, Deadline::in(answer_time));
    std::vector<FoundTable> found;
    found.reserve(static_cast<size_t>(rows.rows()));
    for (int i = 0; i < rows.rows(); ++i)
      found.push_back({std::string(rows.text(i, 0)), rows.int64(i, 1), rows.boolean(i, 2)});
    return found;
  }

  static std::vector<std::string_view> names_of(const std::vector<FoundTable>& found) {
    std::vector<std::string_view> names(found.size());
    std::transform(found.begin(), found.end(), names.begin(),
                   [](const FoundTable& table) { return std::string_view(table.name); });
    return names;
  }

  void ask_for_tables(const std::vector<FoundTable>& found) {
    Table table({"TABLE", "ROWS, ABOUT", ""});
    for (const FoundTable& one : found)
      table.add({harmless(one.name), std::to_string(one.rows), one.has_key ? "" : "no primary key"});
    print(table.empty() ? "That database has no tables.\n" : table.text());
    std::string answer;
    ask("Tables to capture, separated by blanks", "", answer);
    for (size_t start = 0; start < answer.size();) {
      const size_t end = std::min(answer.find_first_of(" ,", start), answer.size());
      if (end > start) wanted_.push_back(answer.substr(start, end - start));
      start = end + 1;
    }
  }

  // Its object is for name_objects().
  InitTable table(pg::Connection& db, const std::string& name, const std::vector<FoundTable>& found) const {
    InitTable made{.relation = name, .object = "", .columns = {}, .left_out = {}};
    for (TableColumn& column : table_columns(db, name)) {
      if (!column.primary && looks_secret(column.name))
        made.left_out.push_back(std::move(column.name));
      else
        made.columns.push_back(std::move(column));
    }
    if (made.columns.empty()) {
      const auto names = names_of(found);
      throw UsageError(db.place() + " has no table " + harmless(name) + did_you_mean(name, names) + "; it has " +
                       listed(names));
    }
    if (made.key().empty())
      throw UsageError(
          "table " + harmless(name) +
          " has no primary key, so its changes could not be ordered; add one, or attach it by hand with --key");
    return made;
  }

  void write() const {
    const std::string& path = plan_.config_file;
    std::ofstream file(path, std::ios::trunc);
    file << yaml_of(plan_);
    file.close();
    if (!file) throw Failure(Remedy::stop, "cannot write " + path + ": " + strerror(errno));
    const Loaded loaded = load_config(path, schema());
    for (const Problem& problem : loaded.problems) complain(describe(problem) + "\n");
    if (!loaded.ok())
      throw Failure(Remedy::stop, path + " was written, but has errors: mend them, or report this as a bug");
    print("Wrote " + path + ": the source " + plan_.source + ", " + counted(plan_.tables.size(), "table") +
          ", the endpoint " + loaded.config.endpoints.front().name + ". Look at it, then go on.\n\n");
  }

  InitPlan plan_;
  std::vector<std::string> wanted_;
  bool force_ = false;
};

}  // namespace

std::unique_ptr<Command> make_init(Arguments& arguments) { return std::make_unique<Init>(arguments); }

}  // namespace muskrat::cli
