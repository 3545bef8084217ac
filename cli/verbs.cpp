#include "cli/verbs.hpp"

#include <array>

namespace muskrat::cli {
namespace {

constexpr auto list = std::to_array<Verb>({
    {"Set up", "init", "Look at a database and write a first configuration.",
     "Asks for what is not given when a person is there to answer. Columns whose names speak of passwords or tokens "
     "are\n"
     "left out. It changes nothing in the database, and says what to do next.",
     "  muskrat init\n"
     "  muskrat init --dsn 'host=db.example.com dbname=frontend user=me' --table customers --table orders \\\n"
     "      --analytics 'host=analytics.example.com dbname=analytics user=loader'",
     make_init},
    {"Set up", "check", "Say everything that is wrong with the configuration, and what it means.",
     "Prints each source and endpoint, and for every subscription the AMQP binding made of it. Without\n"
     "--online, no server is asked.",
     "  muskrat check\n"
     "  muskrat check --online --config /etc/muskrat/muskrat.yaml",
     make_check},
    {"Set up", "setup", "Declare exchanges, queues and bindings on the broker.",
     "Can be run again at any time; what is there stays. Queues or exchanges that exist with other properties are\n"
     "reported (exit code 3) and left alone. Run it before starting the daemons, and again after adding an endpoint "
     "or\n"
     "a subscription. What was taken out of the configuration stays on the broker until --unbind or --remove.",
     "  muskrat setup --dry-run\n"
     "  muskrat setup\n"
     "  muskrat setup --endpoint hook --unbind 'Frontend.*'\n"
     "  muskrat setup --remove hook",
     make_setup},
    {"Set up", "install", "Put Muskrat's tables on a MySQL or MariaDB server.",
     "Makes the database muskrat with the outbox, and the locked account muskrat_capture that owns the triggers. Can "
     "be\n"
     "run again at any time, and after an upgrade of Muskrat must be; what is there stays. It needs an administrator:\n"
     "see --dsn. In PostgreSQL, CREATE EXTENSION muskrat does this.",
     "  muskrat install shop --dsn mysql://root@localhost/?socket=/run/mysqld/mysqld.sock\n"
     "  muskrat install shop --dry-run | mariadb",
     make_install},
    {"Set up", "attach", "Capture the changes of a table.",
     "Calls muskrat.attach() in the source's database; in MySQL and MariaDB it makes the triggers itself. OBJECT is\n"
     "<Source>.<Object>, the first two words of the routing key; the third is the action word given here for each\n"
     "operation. It needs the rights of the table's owner and the role muskrat_attach (in MySQL an administrator's):\n"
     "give such a user with --dsn, its password in PGPASSWORD, ~/.pgpass or MYSQL_PWD.",
     "  muskrat attach frontend customers Frontend.Customer --insert Signup --update Update --delete Cancel \\\n"
     "      --columns '[\"id\", \"email\", {\"subscription\": [\"volume\", \"rate\"]}]'\n"
     "  muskrat attach frontend customers Frontend.Customer --name plan --columns id,plan \\\n"
     "      --insert - --update PlanChange --delete - --truncate - --changes-of plan",
     make_attach},
    {"Set up", "detach", "Stop capturing the changes of a table.",
     "Events that were captured already are still published. Without OBJECT, every attachment of the table goes.",
     "  muskrat detach frontend customers Frontend.Customer\n"
     "  muskrat detach frontend customers",
     make_detach},
    {"Set up", "attached", "List what is captured.", "", "  muskrat attached\n  muskrat attached frontend --json",
     make_attached},
    {"Set up", "endpoint ddl", "Print the SQL for the tables that a postgres endpoint needs.",
     "From what the sources capture and the endpoint's mapping; for tables that are there, what to add to them.\n"
     "Nothing is changed: look at it, then hand it to psql as the tables' owner.",
     "  muskrat endpoint ddl analytics\n"
     "  muskrat endpoint ddl analytics | psql 'host=analytics.example.com dbname=analytics user=owner'",
     make_endpoint_ddl},
    {"Run", "relay", "Publish what the sources say: outbox to exchange.",
     "Runs until SIGTERM or Ctrl-C, then drains and exits. SIGHUP reads the configuration anew; a wrong one is\n"
     "refused and the old one stays. A second relay of the same source stands by.",
     "  muskrat relay\n"
     "  muskrat relay --only frontend",
     make_relay},
    {"Run", "consume", "Feed the endpoints: queue to target.",
     "Runs until SIGTERM or Ctrl-C, then finishes what is under way and exits. SIGHUP reads the configuration anew;\n"
     "a wrong one is refused and the old one stays. A second consumer of the same endpoint stands by.",
     "  muskrat consume\n"
     "  muskrat consume --only analytics",
     make_consume},
    {"Run", "produce", "Run a scheduled source once, now.",
     "As the relay does at its time: from where the last run ended, under the same lock, with the same ids; at the "
     "end\n"
     "it says what it read, sent and skipped, and why. It uses the relay's state file (relay.state), so run it on the\n"
     "relay's machine and as its user; the relay may go on. Exit code 1 when the run failed, 3 when it was stopped.",
     "  muskrat produce billing --dry-run\n"
     "  muskrat produce billing\n"
     "  muskrat produce billing --since 3d",
     make_produce},
    {"Run", "backfill", "Tell the rows that were there before, as events.",
     "For a table that had rows when it was attached, or an endpoint that came later. The rows travel as\n"
     "<Source>.<Object>.Backfill through the outbox, so they keep their place among live changes: newer state is "
     "never\n"
     "overwritten, and a deleted row does not come back. Rows are locked for a moment and never waited for. It can be\n"
     "stopped or killed at any time; the same command, or --resume, goes on. It needs the rights of the table's owner\n"
     "and the role muskrat_attach: give such a user with --dsn.",
     "  muskrat backfill customers --to analytics\n"
     "  muskrat backfill frontend.customers --where \"created > '2026-01-01'\" --rate 500/s --yes\n"
     "  muskrat backfill --list\n"
     "  muskrat backfill --resume",
     make_backfill},
    {"Look", "verify", "Compare a source's table with an endpoint's.",
     "Each row is turned into what its event would become at the endpoint, by the same capture, mapping and casts, "
     "and\n"
     "the endpoint's database compares. A row that differs is looked at again until nothing of it is under way, so it\n"
     "can run beside live traffic; it locks nothing and writes nothing. Keys of what is missing, different or extra "
     "go\n"
     "to standard output, values only with --values. It needs the role muskrat_attach and SELECT on the table, and "
     "for\n"
     "--repair the table's owner: give such a user with --dsn. Exit codes are those of diff: 0 equal, 1 different "
     "(and\n"
     "not repaired), 2 it could not be done; 3 rows that kept changing or whose events are still under way.",
     "  muskrat verify customers analytics\n"
     "  muskrat verify frontend.customers analytics --rate 5000/s --json\n"
     "  muskrat verify customers analytics --repair",
     make_verify},
    {"Look", "status", "Show sources, queues and what is wrong with them.",
     "Exit code 3 when something is wrong. The source's part needs a database user with muskrat_relay or\n"
     "muskrat_monitor.",
     "  muskrat status\n"
     "  muskrat status --watch\n"
     "  muskrat status --json",
     make_status},
    {"Look", "tail", "Print events as they pass.",
     "Listens on a queue of its own; nobody else loses an event by it. PATTERN is as in a subscription; without one,\n"
     "everything is printed. Ctrl-C ends it.",
     "  muskrat tail\n"
     "  muskrat tail 'Frontend.Customer.*'\n"
     "  muskrat tail --json --count 10 Frontend.Customer.Signup",
     make_tail},
    {"Look", "explain", "Say what each endpoint would do with an event.",
     "EVENT is what muskrat tail --json, muskrat dead list --json --body or the file endpoint prints:\n"
     "{\"routing_key\": …, \"op\": \"insert\", \"body\": {…}}. Nothing is sent and no server is asked: rows and "
     "documents\n"
     "are shown as the mapping makes them. Exit code 3 when an endpoint would make it a dead letter.",
     "  muskrat explain event.json\n"
     "  muskrat tail --json --count 1 | muskrat explain -\n"
     "  muskrat dead list analytics --json --body | muskrat explain - --only analytics",
     make_explain},
    {"Look", "test", "Run the cases that stand beside the mappings.",
     "A case is an event and what must become of it, under `tests:` of an endpoint or in a file of its own; see\n"
     "docs/mapping.md. No server is asked. Exit code 3 when a case fails, or there is none.",
     "  muskrat test\n"
     "  muskrat test --only analytics --match sign-up\n"
     "  muskrat test cases.yaml",
     make_test},
    {"Look", "dead list", "Count dead letters by reason, and list an endpoint's.",
     "They are looked at and given back, in order. Bodies are customers' data and are shown only\n"
     "with --body.",
     "  muskrat dead list\n"
     "  muskrat dead list analytics\n"
     "  muskrat dead list analytics --reason 'constraint plan_check' --newer 1h --json --limit 10",
     make_dead_list},
    {"Look", "dead show", "Show all that is known of a dead letter.",
     "Why it died, what was tried, its headers; its body, which is customers' data, only with --body. Numbers are\n"
     "places in the queue: they change when letters are taken out. With a filter, the first ten that it takes.",
     "  muskrat dead show analytics 1\n"
     "  muskrat dead show analytics 6b0f9d3c-1f0e-4c55-9a43-0c6a1b1f2e11 --body",
     make_dead_show},
    {"Look", "dead export", "Write dead letters out as JSON lines, bodies included.",
     "For a person or a script: everything that the queue holds of each letter, customers' data too. None is taken\n"
     "out. Exit code 3 when a filter is given and takes none.",
     "  muskrat dead export analytics --output letters.jsonl\n"
     "  muskrat dead export analytics --reason 'constraint plan_check' | jq .body",
     make_dead_export},
    {"Look", "superseded", "List the events that an endpoint passed over for newer state.",
     "As the host noted them in its state database: the newest 10,000 of each endpoint. IN PLACE is the epoch and seq\n"
     "of what stood there, where the host keeps the guard (http, exec, marketo, salesforce); SQL endpoints keep it\n"
     "in the target. The metric muskrat_endpoint_superseded_total counts them all.",
     "  muskrat superseded analytics\n"
     "  muskrat superseded crm --key 'Frontend.Customer:[48239]' --json",
     make_superseded},
    {"Look", "held list", "List the records of which a scheduled source can make no event, and why.",
     "Each run of the source begins with them: what can be mapped by then is sent, with its old place among the\n"
     "changes of its row. Records are customers' data and are shown only with --body. They are in the relay's state\n"
     "file (relay.state), so run it on the relay's machine and as its user.",
     "  muskrat held list\n"
     "  muskrat held list billing --body",
     make_held_list},
    {"Look", "docs options", "Print the reference of all configuration options.",
     "Markdown; docs/configuration.md holds it.", "  muskrat docs options", make_docs_options},
    {"Mend", "dead retry", "Send dead letters to their endpoint's queue again.",
     "Each is published with confirm, and only then taken out of the dead letters; ids and bodies stay the same, so "
     "an\n"
     "endpoint recognises what it has already, and newer state is not overwritten. It works while muskrat consume\n"
     "runs. Exit code 3 when no letter was sent, though a filter is given or there are letters that cannot be sent.",
     "  muskrat dead retry analytics\n"
     "  muskrat dead retry analytics --reason 'constraint plan_check'\n"
     "  muskrat dead retry analytics --key 'Frontend.Customer:[48239]'\n"
     "  muskrat dead retry analytics --class transient --older 1h --limit 100",
     make_dead_retry},
    {"Mend", "dead drop", "Delete dead letters for good.",
     "Says first how many there are of each reason, and asks. There is no way back: `muskrat dead export`\n"
     "keeps what they hold. Letters that come meanwhile stay. Exit code 3 when no letter is meant.",
     "  muskrat dead drop analytics --reason 'constraint plan_check'\n"
     "  muskrat dead drop analytics --all --yes",
     make_dead_drop},
    {"Mend", "held drop", "Give up records that a scheduled source holds, for good.",
     "They will never be sent; it asks before that. The source itself is not touched. Exit code 3 when the source\n"
     "does not hold all that were named.",
     "  muskrat held drop billing 48239 48240\n"
     "  muskrat held drop billing --all --yes",
     make_held_drop},
    {"Mend", "pause", "Let an endpoint take nothing for now; its events wait in the queue.",
     "The word is kept in the host's state database: a running host obeys it within about a second, and one that is\n"
     "started later consumes nothing for that endpoint. Other endpoints go on. It works while no host runs. Pausing "
     "a\n"
     "paused endpoint changes nothing: the first reason stays.",
     "  muskrat pause analytics --why 'the database moves to another server'", make_pause},
    {"Mend", "resume", "Let a paused endpoint go on.", "A running host takes its events again by itself, in order.",
     "  muskrat resume analytics", make_resume},
    {"Mend", "replay", "Send published events to an endpoint again.",
     "From the outbox, which keeps them for the source's retention, straight to one endpoint's queue, or with "
     "--to-all\n"
     "to every queue: same message_id, same body, same place among the changes of a row. So newer state stays, and an\n"
     "endpoint that appends recognises what it has for as long as its seen_for. What the relay has yet to publish\n"
     "comes by itself and is left out. With --unrouted, what nothing subscribed to goes to the endpoints that "
     "subscribe\n"
     "to it now. It may be given again, or gone on with by --after. Exit code 3 when nothing is meant, or it was\n"
     "stopped. The broker's user needs write on amq.default; the database's muskrat_relay, or in MySQL SELECT on\n"
     "muskrat.history, which has events where the source has a retention.",
     "  muskrat replay frontend --since 2h --to analytics\n"
     "  muskrat replay frontend --key 'Frontend.Customer:[48239]' --to crm --yes\n"
     "  muskrat replay frontend --since 2026-11-25T10:00 --until 2026-11-25T11:30 --to analytics --dry-run\n"
     "  muskrat replay frontend --since 1d --to-all --rate 500/s\n"
     "  muskrat replay frontend --unrouted",
     make_replay},
    {"Mend", "forget", "Erase one customer's events for good.",
     "Everything of these ordering keys: published events in each source's outbox (in MySQL its history), what was\n"
     "unrouted, and every endpoint's dead letters. First it prints how many there are in each place; last, what it\n"
     "cannot reach, such as events on their way and the endpoints' own data. What the relay has yet to publish stays,\n"
     "so that no endpoint misses a deletion: run it again later. It may be killed and run again at any time. Exit "
     "code\n"
     "3 when nothing was found, or something is still there. The database user must be the extension's owner, or be\n"
     "granted EXECUTE on muskrat.forget; see --dsn.",
     "  muskrat forget --key 'Frontend.Customer:[48239]' --dry-run\n"
     "  muskrat forget --key 'Frontend.Customer:[48239]' --key 'Frontend.Order:[\"EU\",17]' --source frontend \\\n"
     "      --dsn 'host=db.example.com dbname=frontend user=owner'\n"
     "  muskrat forget --key-file keys.txt --yes --json",
     make_forget},
    {"Mend", "accept", "Let a source publish again after a failover or a restore.",
     "When a database was restored or a stand-by promoted, some events that were published may not exist in it any\n"
     "more, and their numbers are used again. The relay then stops and waits for this word: a new epoch begins, and\n"
     "what comes under it wins over what endpoints have. Rows whose last change was lost with the old server stay\n"
     "different at the endpoints until they change again. It needs a superuser or the extension's owner; in MySQL\n"
     "the relay's user may. See --dsn.",
     "  muskrat accept frontend\n"
     "  muskrat accept frontend --yes --note 'restored from the backup of Tuesday'",
     make_accept},
});

}  // namespace

std::span<const Verb> verbs() { return list; }

}  // namespace muskrat::cli
