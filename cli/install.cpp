// muskrat install: Muskrat's tables come to stand on a MySQL or MariaDB server. What CREATE EXTENSION is to PostgreSQL.
#include <array>
#include <functional>
#include <string_view>
#include <thread>

#include "capture_mysql/install_sql.hpp"
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
    try {
      for (std::string_view script : scripts)
        for (const std::string& statement : capture_mysql::statements_of(script)) run_statement(db, statement);
    } catch (const mysql::SqlError& error) {
      explain_ddl(error,
                  "Installing needs ALL on database muskrat with GRANT OPTION, CREATE USER, and the right to name "
                  "another DEFINER (SET USER in MariaDB, SET_USER_ID or SET_ANY_DEFINER in MySQL), in MySQL SELECT on "
                  "mysql.procs_priv too: install as an administrator, with --dsn");
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
  static void run_statement(mysql::Connection& db, const std::string& statement) {
    if (const auto routine = capture_mysql::routine_of(statement)) return make_anew(db, *routine);
    if (!capture_mysql::makes_room(statement)) db.exec(statement, Deadline::in(answer_time));
  }

  // One that is as it should be stays: to replace it waits for every transaction that has captured a write, and all
  // other such writes wait behind it.
  static void make_anew(mysql::Connection& db, const capture_mysql::Routine& routine) {
    const std::array<mysql::Param, 2> of{routine.kind, routine.name};
    const mysql::Result there = db.exec(
        "SELECT routine_comment FROM information_schema.routines WHERE routine_schema = 'muskrat' AND routine_type = ? "
        "AND routine_name = ?",
        of, Deadline::in(answer_time));
    if (there.rows() > 0 && there.text(0, 0) == routine.comment) return;
    db.exec("SET SESSION lock_wait_timeout = 1", Deadline::in(answer_time));
    if (db.mariadb())
      without_delay(routine, [&] { db.exec(routine.sql, Deadline::in(answer_time)); });
    else
      exchange(db, routine);
    db.exec("SET SESSION lock_wait_timeout = DEFAULT", Deadline::in(answer_time));  // tables are waited for
  }

  // A writer is kept waiting for a second at most.
  static void without_delay(const capture_mysql::Routine& routine, const std::function<void()>& act) {
    constexpr int tries = 5, waited_in_vain = 1205;
    for (int attempt = 1;; ++attempt) {
      try {
        return act();
      } catch (const mysql::SqlError& error) {
        if (error.code() != waited_in_vain) throw;
        if (attempt == tries)
          throw Failure(Remedy::stop, "muskrat." + routine.name +
                                          " cannot be made anew while a transaction is open that has called it; look "
                                          "for it (SHOW PROCESSLIST), and run muskrat install again when it has ended");
      }
      std::this_thread::sleep_for(milliseconds(500));
    }
  }

  // In MySQL what was granted on a routine goes with it, and between DROP and CREATE calls of it fail. So the grants
  // are given again.
  static void exchange(mysql::Connection& db, const capture_mysql::Routine& routine) {
    const std::array<mysql::Param, 2> of{routine.kind, routine.name};
    const mysql::Result granted = db.exec(
        "SELECT user, host, proc_priv FROM mysql.procs_priv WHERE db = 'muskrat' AND routine_type = ? AND routine_name "
        "= ?",
        of, Deadline::in(answer_time));
    const std::string named = routine.kind + " muskrat." + routine.name;
    without_delay(routine, [&] {
      db.exec("DROP " + routine.kind + " IF EXISTS muskrat." + routine.name, Deadline::in(answer_time));
    });
    db.exec(routine.sql, Deadline::in(answer_time));
    for (int i = 0; i < granted.rows(); ++i) grant(db, named, granted, i);
  }

  // proc_priv: as in "Execute,Grant".
  static void grant(mysql::Connection& db, const std::string& routine, const mysql::Result& granted, int row) {
    const std::string_view given = granted.text(row, 2);
    std::string rights;
    for (const char* right : {"Execute", "Alter Routine"})
      if (given.find(right) != std::string_view::npos) rights += (rights.empty() ? "" : ", ") + std::string(right);
    db.exec("GRANT " + (rights.empty() ? "USAGE" : rights) + " ON " + routine + " TO " +
                db.quote_literal(granted.text(row, 0)) + "@" + db.quote_literal(granted.text(row, 1)) +
                (given.find("Grant") != std::string_view::npos ? " WITH GRANT OPTION" : ""),
            Deadline::in(answer_time));
  }

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
