"""Mistakes: each gets a message that says what to do, an exit code other than 0, and nothing is lost by it."""
import pytest

from harness.processes import wait_until
from world import CUSTOMERS


def refuse(world, statement, *words):
    with pytest.raises(Exception) as e:
        world.sql(statement)
    text = str(e.value)
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"


def test_bad_input_attach_is_refused_with_reasons(world):
    world.sql(CUSTOMERS)
    world.sql("CREATE TABLE keyless (id int)")
    refuse(world, "SELECT muskrat.attach('nowhere', 'Frontend.Customer', columns => '*')", "nowhere")
    refuse(world, """SELECT muskrat.attach('customers', 'Frontend.Customer', columns => '["id", "emial"]')""", "emial", "HINT")
    refuse(world, "SELECT muskrat.attach('keyless', 'Frontend.Thing', columns => '*')", "key", "HINT")
    refuse(world, "SELECT muskrat.attach('customers', 'Frontend', columns => '*')", "Frontend")
    refuse(world, "SELECT muskrat.attach('customers', 'Front end.Customer', columns => '*')", "Front end")
    refuse(world, "SELECT muskrat.attach('customers', 'Frontend.Customer', on_insert => 'Sign.up', columns => '*')", "Sign.up")
    refuse(world, f"SELECT muskrat.attach('customers', 'Frontend.{'x' * 260}', columns => '*')", "255")
    refuse(world, "SELECT muskrat.emit('Frontend.Invoice', '{}')", "Frontend.Invoice")
    refuse(world, "SELECT muskrat.emit('Frontend.Invoice.Paid', '{oops')", "json")
    assert world.sql("SELECT count(*) FROM muskrat.attached()") == [(0,)]


def test_bad_input_attach_from_the_shell_exits_non_zero(world):
    world.sql(CUSTOMERS)
    world.configure({})
    done = world.program.run("attach", "frontend", "nowhere", "Frontend.Customer", "--insert", "Signup", "--columns", "*")
    assert done.returncode != 0 and "nowhere" in done.stderr


@pytest.mark.parametrize("verb", ["relay", "consume", "check", "setup", "status"])
def test_bad_input_configuration_file_is_missing(world, verb):
    done = world.program.run(verb)
    assert done.returncode != 0
    assert "muskrat.yaml" in done.stderr + done.stdout


TEN_MISTAKES = """\
broker:
  url: http://127.0.0.1/
  prefx: staging
sources:
  front end:
    kind: postgres
    dsn: dbname=x
  billing:
    kind: postgrse
  crm:
    kind: postgres
endpoints:
  analytics:
    kind: postgres
    subscribe: [Frontend..Customer]
    dsn: ${NOT_SET_ANYWHERE}
    lanes: many
    batch_age: 5 parsecs
    routes: []
    colour: blue
"""


def test_bad_input_ten_mistakes_are_all_told_at_once_with_lines(world):
    world.program.write(TEN_MISTAKES)
    done = world.program.run("check")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    expected = {2: "amqp://", 3: "prefix", 5: "front end", 9: "postgres", 11: "dsn", 15: "Frontend..Customer", 16: "NOT_SET_ANYWHERE",
                17: "lanes", 18: "batch_age", 20: "colour"}
    for number, word in expected.items():
        found = [line for line in text.splitlines() if f"muskrat.yaml:{number}" in line]
        assert any(word in line for line in found), f"line {number} ({word}) is not told of in:\n{text}"
    for verb in ("relay", "consume", "setup"):
        assert world.program.run(verb).returncode != 0


def test_bad_input_wrong_dsn_is_told_and_tried_again(world):
    world.stand(relay=False, consume=False)
    world.customers(1)
    good = world.front
    world.front = good.replace("dbname=front_", "dbname=nofront_")
    world.configure({"analytics": world.mirror()})
    relay = world.program.relay(wait=False)
    line = world.wait_log(relay, "nofront_")
    assert "does not exist" in line
    assert relay.get("/readyz")[0] == 503
    relay.stop()
    done = world.program.run("attach", "frontend", "customers", "Frontend.Customer", "--insert", "Signup", "--columns", "*")
    assert done.returncode != 0 and "nofront_" in done.stderr
    world.front = good
    world.configure({"analytics": world.mirror()})
    world.start()
    world.wait_equal()


def test_bad_input_database_without_the_extension_is_told(world):
    world.sql("DROP EXTENSION muskrat CASCADE")
    world.configure({})
    world.program.setup()
    relay = world.program.relay(wait=False)
    assert "CREATE EXTENSION" in world.wait_log(relay, "CREATE EXTENSION")
    assert relay.wait(60) == 1, "it has nothing to do until a person acts"
    world.program.daemons.remove(relay)


def test_bad_input_source_that_cannot_start_is_looked_at_again_while_another_runs(world):
    world.configure({})
    world.program.config["sources"]["later"] = {"kind": "postgres", "dsn": world.target}
    world.program.save()
    world.program.setup()
    relay = world.program.relay(wait=False)

    def ready():
        return [relay.metric("muskrat_ready", source=name) for name in ("frontend", "later")]
    line = world.wait_log(relay, "CREATE EXTENSION")
    assert '"event":"source stopped"' in line and '"source":"later"' in line
    wait_until(lambda: ready() == [1, 0], 60, "the other one to lead")
    assert "stopped: source later: the extension muskrat is not in" in relay.get("/readyz")[1]
    world.tsql("CREATE EXTENSION muskrat")
    wait_until(lambda: ready() == [1, 1], 60, "it to be found")
    assert relay.metric("muskrat_relay_leader", source="later") == 1
    assert relay.log(1000).count("CREATE EXTENSION") == 1, "it is said once"


def test_bad_input_no_source_can_start_ends_the_relay(world):
    world.sql("DROP EXTENSION muskrat CASCADE")
    world.configure({})
    world.program.config["sources"]["later"] = {"kind": "postgres", "dsn": world.target}
    world.program.save()
    world.program.setup()
    relay = world.program.relay(wait=False)
    assert relay.wait(60) == 1
    assert relay.log(1000).count('"event":"source cannot go on"') == 2, "each with its reason"
    world.program.daemons.remove(relay)


def test_bad_input_broker_refuses_the_login(world):
    world.stand(relay=False, consume=False)
    world.program.config["broker"]["url"] = world.rabbitmq.url(world.vhost, password="wrong")
    world.program.save()
    done = world.program.run("setup", timeout=60)
    assert done.returncode != 0
    assert "guest" in done.stderr and "wrong" not in done.stderr + done.stdout, "the user, and never the password"
    relay = world.program.relay(wait=False)
    assert "guest" in world.wait_log(relay, "guest")
    assert relay.running() and relay.get("/readyz")[0] == 503
    assert "wrong" not in relay.log(1000)


def test_bad_input_vhost_that_is_not_there(world):
    world.configure({"analytics": world.mirror()})
    world.program.config["broker"]["url"] = world.rabbitmq.url("nowhere")
    world.program.save()
    done = world.program.run("setup", timeout=60)
    assert done.returncode != 0 and "nowhere" in done.stderr


def test_bad_input_exchange_of_another_type(world):
    world.configure({"analytics": world.mirror()})
    world.broker.call(lambda c: c.exchange_declare("muskrat", "fanout", durable=True))
    done = world.program.run("setup", timeout=60)
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "muskrat" in text and "topic" in text


def test_bad_input_relay_without_setup_says_so_and_loses_nothing(world):
    world.stand(relay=False, consume=False)
    world.broker.call(lambda c: c.exchange_delete("muskrat"))
    world.customers(1, 2)
    relay = world.program.relay(wait=False)
    assert "setup" in world.wait_log(relay, "setup")
    world.program.setup()
    world.program.consume()
    world.wait_equal()


def test_bad_input_relay_that_found_no_exchange_waits_for_the_bindings_too(world):
    """Whoever sets the broker up declares the exchange first: what is published before its queues are bound is nobody's."""
    world.stand(relay=False, consume=False)
    world.broker.call(lambda c: c.exchange_delete("muskrat"))
    world.customers(1, 2)
    relay = world.program.relay(wait=False)
    world.wait_log(relay, "setup")

    def set_up(channel):
        channel.exchange_declare("muskrat", "topic", durable=True, arguments={"alternate-exchange": "muskrat.unrouted"})
        world.wait_log(relay, "its queues are awaited")
        channel.queue_bind("muskrat.analytics", "muskrat", "Frontend.#")

    world.broker.call(set_up)
    world.program.consume()
    world.wait_equal()
    assert world.broker.depth("muskrat.unrouted") == 0


def test_bad_input_target_table_is_missing(world):
    world.stand(endpoints={"analytics": world.mirror(table="public.nothing")}, consume=False)
    world.customers(1)
    consumer = world.program.consume(wait=False)
    assert "nothing" in world.wait_log(consumer, "public.nothing")
    consumer.stop()
    wait_until(lambda: world.broker.depth("muskrat.analytics") + world.broker.depth("muskrat.analytics.dead") == 1, 60, "the event")


def test_bad_input_unknown_verb_and_option(world):
    world.configure({})
    for args in (["consumee"], ["relay", "--fast"], ["tail", "Frontend..x"]):
        done = world.program.run(*args)
        assert done.returncode != 0, args
        assert done.stderr.strip(), args
