// muskrat install: Muskrat's tables come to stand on a MySQL or MariaDB server. What CREATE EXTENSION is to PostgreSQL.
#include <string_view>

#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/mysql_catalog.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"

namespace muskrat::cli {
namespace {

// sql/mysql/*.sql, put into the program by the Makefile.
constexpr std::string_view scripts[] = {
#include "mysql_outbox.inc"
    ,
#include "mysql_capture.inc"
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
    const bool there = tables(db) > 0;
    for (std::string_view script : scripts) {
      for (const std::string& statement : statements_of(script)) db.exec(statement, Deadline::in(answer_time));
    }
    print((there ? "Brought up to date: " : "Installed: ") + std::string("Muskrat's ") +
          counted(static_cast<size_t>(tables(db)), "table") + ", in database muskrat, " + db.place() + ".\n");
    if (!there)
      print("Next: let the relay's user in (docs/mysql.md, \"Users\"), then muskrat attach " + source_ + " …\n");
    return exit_ok;
  }

 private:
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
