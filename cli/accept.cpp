// muskrat accept: the operator's word that a source may publish again after its history broke.
#include "cli/agreement.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/refusal.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"

namespace muskrat::cli {
namespace {

constexpr std::string_view explanation =
    "A new epoch begins with this. Events that this server still has and whose delivery cannot be proved are "
    "published\n"
    "again, under the new epoch; endpoints prefer what comes under it over what they have. Changes that were lost "
    "with\n"
    "the old server stay lost: rows whose last change was among them differ at the endpoints until they change again\n"
    "or are backfilled. Rows that were inserted by such a change stay at the endpoints: muskrat verify names them as "
    "extra.\n"
    "Make sure that no relay publishes from the old server any more.\n";

constexpr std::string_view needs =
    "to accept takes the owner of the extension muskrat (the relay's role may not): name such a user with --dsn, or "
    "run there in psql, as a superuser: SELECT muskrat.accept_history('why')";

class Accept : public Command {
 public:
  explicit Accept(Arguments& arguments) {
    arguments.positional("SOURCE", source_, "The source's name in the configuration.");
    arguments.flag("-y,--yes", yes_, "Do not ask.");
    arguments.text("--note", "TEXT", note_, "Why, for the record (muskrat.history; in MySQL muskrat.relay).");
    arguments.text("--dsn", "DSN", dsn_,
                   "Connect with this instead of the source's dsn; the password belongs into PGPASSWORD, ~/.pgpass or "
                   "MYSQL_PWD.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    const Component& source = find_component(config.sources, source_, "source");
    if (source.kind == "mysql") return accept(source);
    pg::Connection db = open_source(source, dsn_);
    try {
      return accept(db);
    } catch (const pg::SqlError& error) {
      explain_refusal(error, db.place(), "accept", needs);
    }
  }

 private:
  int accept(pg::Connection& db) {
    // Before anybody is asked: who answers yes is not to be told afterwards that he may not.
    const pg::Result may =
        db.exec("SELECT pg_catalog.has_function_privilege('muskrat.accept_history(text)', 'EXECUTE'), current_user",
                Deadline::in(answer_time));
    if (!may.boolean(0, 0))
      throw Failure(Remedy::stop, db.place() + ": the user " + harmless(may.text(0, 1)) +
                                      " may not accept a history; " + std::string(needs));
    explain(db);
    if (!yes_ && !agreed()) {
      print("Nothing was changed.\n");
      return exit_usage;
    }
    const pg::Param note = note_;
    const pg::Result epoch =
        db.exec("SELECT muskrat.accept_history($1)", std::span<const pg::Param>(&note, 1), Deadline::in(answer_time));
    begun(epoch.text(0, 0));
    return exit_ok;
  }

  int accept(const Component& source) {
    mysql_outbox::Db db = open_mysql_source(source, dsn_);
    const mysql_outbox::Hello hello = db.hello();
    describe(db.connection().place(), std::to_string(hello.epoch), hello.history_problem);
    if (!yes_ && !agreed()) {
      print("Nothing was changed.\n");
      return exit_usage;
    }
    begun(std::to_string(db.accept(note_)));
    return exit_ok;
  }

  void begun(std::string_view epoch) const {
    const std::string text =
        "Epoch " + std::string(epoch) + " has begun. A running relay goes on by itself; else start one.";
    try {
      print(text + "\n");
    } catch (const BrokenPipe&) {
      throw BrokenPipe{text};
    }
  }

  void explain(pg::Connection& db) const {
    const pg::Result hello =
        db.exec("SELECT same_history, history_problem, epoch FROM muskrat.relay_hello()", Deadline::in(answer_time));
    describe(db.place(), hello.text(0, 2), hello.null(0, 1) ? "" : hello.text(0, 1));
  }

  void describe(const std::string& place, std::string_view epoch, std::string_view problem) const {
    print("Source " + source_ + ", " + place + ", epoch " + std::string(epoch) + ".\n");
    if (!problem.empty()) {
      print(harmless(problem) + "\n");
    } else {
      print("This server is the one that the relay read last: nothing asks for accept here.\n");
    }
    print("\n");
    print(explanation);
  }

  bool agreed() const { return cli::agreed("\nType the source's name to go on: ", source_); }

  std::string source_, note_ = "muskrat accept", dsn_;
  bool yes_ = false;
};

}  // namespace

std::unique_ptr<Command> make_accept(Arguments& arguments) { return std::make_unique<Accept>(arguments); }

}  // namespace muskrat::cli
