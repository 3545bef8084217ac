// muskrat install: Muskrat's tables come to stand on a MySQL or MariaDB server. What CREATE EXTENSION is to PostgreSQL.
#include <string_view>

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/mysql_catalog.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "relay/sources/mysql_outbox_version.hpp"

namespace muskrat::cli {
namespace {

// sql/mysql/*.sql, put into the program by the Makefile.
constexpr std::string_view scripts[] = {
#include "mysql_outbox.inc"
    ,
#include "mysql_capture.inc"
    ,
#include "mysql_backfill.inc"
    ,
#include "mysql_version.inc"
};

// Statements as the server takes them: cut where the client's DELIMITER says, without whole-line comments.
std::vector<std::string> statements_of(std::string_view script) {
  std::vector<std::string> statements(1);
  std::string delimiter = ";";
  while (!script.empty()) {
    const size_t end = std::min(script.find('\n'), script.size());
    const std::string line(script.substr(0, end));
    script.remove_prefix(std::min(end + 1, script.size()));
    if (line.starts_with("DELIMITER ")) {
      delimiter = line.substr(10);
      continue;
    }
    if (line.starts_with("--")) continue;
    if (line.ends_with(delimiter)) {
      statements.back() += line.substr(0, line.size() - delimiter.size());
      statements.emplace_back();
    } else if (!line.empty()) {
      statements.back() += line + "\n";
    }
  }
  statements.pop_back();
  return statements;
}

class Install : public Command {
 public:
  explicit Install(Arguments& arguments) {
    arguments.positional("SOURCE", source_, "The source's name in the configuration.");
    arguments.text("--dsn", "DSN", dsn_, "Connect with this, as an administrator, instead of the source's dsn.");
    arguments.flag("--dry-run", dry_run_, "Print the SQL, for a DBA to run; change nothing.");
  }

  int run(const Globals& globals) override {
    if (dry_run_) {
      for (std::string_view script : scripts) print(script);
      return exit_ok;
    }
    const Config config = load(globals);
    mysql::Connection db = open_mysql_server(find_component(config.sources, source_, "source"), dsn_);
    require_server(db);
    const int64_t before = version(db);
    if (before > mysql_outbox::schema_version)
      throw Failure(Remedy::stop, "Muskrat's tables on " + db.place() + " are of version " + std::to_string(before) +
                                      ", made by a newer Muskrat; this one knows version " +
                                      std::to_string(mysql_outbox::schema_version) + ": use the newer program");
    for (std::string_view script : scripts) {
      for (const std::string& statement : statements_of(script)) db.exec(statement, Deadline::in(answer_time));
    }
    print((before > 0 ? "Brought up to date: " : "Installed: ") + std::string("Muskrat's ") +
          counted(static_cast<size_t>(tables(db)), "table") + " of version " + std::to_string(version(db)) +
          (before > 0 && before != version(db) ? " (they were of version " + std::to_string(before) + ")" : "") +
          ", in database muskrat, " + db.place() + ".\n");
    if (before == 0)
      print("Next: let the relay's user in (docs/mysql.md, \"Users\"), then muskrat attach " + source_ + " …\n");
    return exit_ok;
  }

 private:
  // 0: they are not there.
  static int64_t version(mysql::Connection& db) {
    const mysql::Result there = db.exec(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'muskrat' AND table_name = 'relay'",
        Deadline::in(answer_time));
    if (there.int64(0, 0) == 0) return 0;
    const mysql::Result row = db.exec("SELECT COALESCE(MAX(version), 1) FROM muskrat.relay", Deadline::in(answer_time));
    return row.int64(0, 0);
  }

  static int64_t tables(mysql::Connection& db) {
    return db
        .exec("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'muskrat'",
              Deadline::in(answer_time))
        .int64(0, 0);
  }

  std::string source_, dsn_;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_install(Arguments& arguments) { return std::make_unique<Install>(arguments); }

}  // namespace muskrat::cli
