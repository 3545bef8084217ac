"""How the daemons live: readiness, metrics, a blocked broker, stand-by, a drained stop."""
import contextlib
import json
import math
import os
import signal
import socket
import time
from datetime import datetime

import pika
import pytest

from harness import clients
from harness.amqp_proxy import ForgetfulBroker, SlowBroker
from harness.black_hole import black_hole
from harness.certificates import Certificates
from harness.golden import golden
from harness.processes import wait_until


def test_daemons_sigterm_drains(world):
    world.stand()
    observer = world.observe()
    for n in range(5):
        world.customers(*range(n * 40, n * 40 + 40))
        assert world.relay.stop() == 0
        world.relay = world.program.relay()
    world.wait_equal()
    assert world.consumer.stop() == 0
    observer.wait(200)
    ids = [d.message_id for d in observer.quiet()]
    assert len(ids) == 200 and len(set(ids)) == 200, "a drained stop repeats nothing"


def test_daemons_sigint_ends_them_too(world):
    world.stand()
    assert world.relay.stop(signal.SIGINT) == 0
    assert world.consumer.stop(signal.SIGINT) == 0


def test_daemons_name_server_that_does_not_answer_holds_up_no_stop(world):
    world.stand(relay=False, consume=False)
    env = black_hole(world.folder)
    broker, source = world.program.config["broker"], world.program.config["sources"]["frontend"]
    url, dsn = broker["url"], source["dsn"]
    for daemon, broker["url"], source["dsn"], host in (
            (world.program.relay, url.replace("127.0.0.1", "relays-broker.hole"), dsn, "relays-broker.hole"),
            (world.program.relay, url, dsn.replace("127.0.0.1", "source.hole"), "source.hole"),
            (world.program.consume, url.replace("127.0.0.1", "hosts-broker.hole"), dsn, "hosts-broker.hole")):
        world.program.save()
        started = daemon(wait=False, env=env)
        world.wait_log(started, f"asked for {host}")
        assert started.stop(timeout=20) == 0, host


@contextlib.contextmanager
def alarm(rabbitmq, what):
    """The broker's alarm over memory or disk, from within a moment on."""
    module, limit, usual = {"memory": ("vm_memory_monitor:set_vm_memory_high_watermark", "0.0", "0.6"),
                            "disk": ("rabbit_disk_monitor:set_disk_free_limit", str(10**15), "20000000")}[what]
    rabbitmq.eval(f"{module}({limit})")
    try:
        yield
    finally:
        rabbitmq.eval(f"{module}({usual})")


def drain_seconds(daemon):
    """From its being asked to stop to its end, as its own log has it: what the machine needs besides to end a process is not in it."""
    def at(event):
        with open(daemon.log_path, encoding="utf-8") as f:
            lines = [json.loads(text) for text in f if text.startswith("{")]
        return [datetime.fromisoformat(line["ts"].replace("Z", "+00:00")) for line in lines if line["event"] == event][-1]
    return (at("stopped") - at("draining")).total_seconds()


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_daemons_blocked_broker_is_a_visible_state(world, what):
    world.stand()
    world.customers(1)
    world.wait_equal()
    with alarm(world.rabbitmq, what):
        world.customers(*range(2, 60))
        wait_until(lambda: world.relay.metric("muskrat_relay_blocked") == 1, 60, "the relay to show that it is blocked")
        wait_until(lambda: "blocked" in world.relay.get("/readyz")[1], 60, "/readyz to say so")
        assert what in world.relay.get("/readyz")[1]
        assert world.relay.get("/healthz")[0] == 200, "blocked is no reason to be restarted"
        assert world.relay.stop() == 0
    assert drain_seconds(world.relay) < 5, "promised under an alarm; without one a stop waits for confirms for 30 s"
    world.start(consume=False)
    world.wait_equal()
    wait_until(lambda: world.relay.metric("muskrat_relay_blocked") == 0, 60, "the state to clear")


def second_relay(world):
    other = world.program.__class__(world.folder, world.program.binary.rsplit("/", 1)[0], "second.yaml")
    other.config = {**world.program.config, "relay": {"listen": f"127.0.0.1:{other.relay_port}"}}
    other.save()
    return other.relay(log=f"{world.folder}/second.log")


def test_daemons_second_relay_stands_by_and_takes_over(world):
    world.stand(source={"lease_time": "2s"})
    second = second_relay(world)
    assert "standby" in second.get("/")[1], second.get("/")[1][-600:]
    world.customers(1)
    world.wait_equal()
    world.relay.kill9()
    world.customers(2)
    world.wait_equal()
    assert second.stop() == 0


def test_daemons_metrics_and_health(world):
    world.stand()
    world.customers(*range(25))
    world.wait_equal()
    for daemon in (world.relay, world.consumer):
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz")[0] == 200
        status, page = daemon.get("/")
        assert status == 200 and "<html" in page.lower()
        assert daemon.get("/nothing")[0] == 404
    wait_until(lambda: world.relay.metric("muskrat_relay_events_confirmed_total", source="frontend") == 25, 60, "the relay's count")
    assert world.relay.metric("muskrat_relay_held", source="frontend") == 0
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_delivered_total", endpoint="analytics", outcome="done") == 25, 60,
               "the host's count")
    for daemon in (world.relay, world.consumer):
        text = daemon.get("/metrics")[1]
        names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE muskrat_")}
        assert names, text
        assert all(f"# HELP {name} " in text for name in names)


def test_daemons_depths_of_queues_are_known_while_the_endpoint_takes_nothing(world):
    def depth(name, **labels):
        return world.consumer.metric(f"muskrat_{name}", **labels)

    world.stand(consume=False, consumer={"state": f"{world.folder}/state.sqlite"})
    world.program.ok("pause", "analytics", "--why", "a test")
    world.customers(1, 2, 3)
    world.sql("SELECT muskrat.emit('Frontend.Order.Paid', '{}')")
    world.broker.wait_depth("muskrat.analytics", 3)
    world.broker.wait_depth("muskrat.unrouted", 1)
    world.broker.fill("muskrat.analytics.dead", [("{}", pika.BasicProperties(message_id=n, delivery_mode=2)) for n in "ab"])
    with world.user_with_rights("the host"):
        world.start(relay=False)
        wait_until(lambda: depth("unrouted_messages") == 1, 60, "the depth of the unrouted")
        assert depth("endpoint_queue_messages", endpoint="analytics") == 3
        assert depth("endpoint_dead_letters", endpoint="analytics") == 2
        world.customers(4)
        wait_until(lambda: depth("endpoint_queue_messages", endpoint="analytics") == 4, 60, "the queue to have grown")
        world.broker.delete_queue("muskrat.analytics.dead")
        wait_until(lambda: math.isnan(depth("endpoint_dead_letters", endpoint="analytics")), 60, "a queue that is gone to say nothing")
        assert depth("endpoint_queue_messages", endpoint="analytics") == 4
        assert world.consumer.stop() == 0


def test_daemons_metric_names_are_the_golden_ones(world):
    """Dashboards and alert rules hang on the names: changing one is a decision. `make golden` writes the file anew."""
    world.stand(endpoints={"analytics": world.mirror(), "archive": {"kind": "file", "path": f"{world.folder}/a", "subscribe": ["#"]}},
                relay=False)
    world.program.config["sources"]["nightly"] = {
        "kind": "sql-query", "dsn": world.front, "query": "SELECT id, email FROM customers", "cursor": "id", "key": "id", "overlap": 0,
        "every": "1d", "routing_key": "Nightly.Customer.Record"}
    world.program.config["relay"]["state"] = world.folder + "/relay.sqlite"
    world.program.save()
    world.relay = world.program.relay()
    world.customers(1)
    world.wait_equal()
    wait_until(lambda: world.relay.metric("muskrat_scheduled_runs_total", source="nightly"), 60, "a run to end")
    assert world.relay.metric("muskrat_relay_leader", source="nightly") is None, "an alarm for a source without a leader"
    found = sorted({" ".join(line.split()[2:4]) for daemon in (world.relay, world.consumer)
                    for line in daemon.get("/metrics")[1].splitlines() if line.startswith("# TYPE muskrat_")})
    golden("test/golden/metrics.txt", "".join(name + "\n" for name in found))


def test_daemons_relay_reads_many_backlogs_one_after_the_other(world):
    """A backlog is listed in slices whose width follows how long one takes: quick ones may widen it for ever, and nothing breaks."""
    world.stand(source={"window": 4}, consume=False)
    for first in range(0, 80 * 10, 10):
        world.sql(f"INSERT INTO customers (id, email) SELECT n, 'x' FROM generate_series({first + 1}, {first + 10}) AS n")
        wait_until(lambda n=first + 10: world.relay.metric("muskrat_relay_events_confirmed_total") == n, 60, f"{first + 10} confirms")


READS = ("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'"
         " AND query LIKE '%%muskrat.list_new(%%' AND (%s::int IS NULL OR pid = %s)")


def stopped_in_mid_read(world):
    """The backend of the relay, stopped while it looks through what waits in the outbox."""
    def caught():
        for (pid,) in world.sql(READS, (None, None)):
            os.kill(pid, signal.SIGSTOP)
            if world.sql(READS, (pid, pid)):
                return pid
            os.kill(pid, signal.SIGCONT)
        return None
    return wait_until(caught, 60, "the relay to read", 0.001)


def test_daemons_read_that_takes_long_keeps_the_lease_and_is_waited_for(world):
    """What one transaction wrote is looked through by one statement, however much it is: here longer than a stand-by waits, and than any
    other statement may take."""
    world.stand(source={"lease_time": "3s"}, relay=False, consume=False)
    world.sql("INSERT INTO customers (id, email) SELECT n, 'x' FROM generate_series(1, 60000) AS n")
    world.relay = world.program.relay(wait=False)
    backend = stopped_in_mid_read(world)
    try:
        second = second_relay(world)
        time.sleep(13)
        assert world.sql("SELECT term FROM muskrat.cursor") == [(1,)]
    finally:
        os.kill(backend, signal.SIGCONT)
    wait_until(lambda: (world.relay.metric("muskrat_relay_events_confirmed_total") or 0) >= 60000, 120, "what one transaction wrote")
    assert world.sql("SELECT term FROM muskrat.cursor") == [(1,)]
    assert not world.relay.metric("muskrat_relay_reconnects_total", to="source")
    assert second.stop() == 0 and world.relay.stop() == 0


def test_daemons_stop_in_the_middle_of_a_long_read_is_obeyed(world):
    world.stand(relay=False, consume=False)
    world.sql("INSERT INTO customers (id, email) SELECT n, 'x' FROM generate_series(1, 60000) AS n")
    world.relay = world.program.relay(wait=False)
    backend = stopped_in_mid_read(world)
    try:
        assert world.relay.stop(timeout=15) == 0
    finally:
        os.kill(backend, signal.SIGCONT)
    world.start()
    world.wait_equal(120)


def test_daemons_event_whose_headers_fit_no_frame_is_held_and_others_go_on(world):
    """Columns that capture left out are named in a header; a wide table's names can outgrow an AMQP frame."""
    world.stand()
    names = ", ".join('"' + '""' * 56 + f'{n:06d}" text' for n in range(1200))  # a quote takes two bytes in JSON
    world.sql(f"CREATE TABLE wide (id bigint PRIMARY KEY, {names})")
    world.sql("SELECT muskrat.attach('wide', 'Frontend.Wide', columns => '*')")
    world.sql("SET muskrat.max_body = '1kB'; INSERT INTO wide (id) VALUES (1)")
    world.customers(1, 2)
    world.wait_equal()
    wait_until(lambda: world.relay.metric("muskrat_relay_held", source="frontend") == 1, 60, "the event to be held")
    world.wait_log(world.relay, "event held.*do not fit into a frame")
    world.customers(3)
    world.wait_equal()
    assert world.relay.metric("muskrat_relay_reconnects_total", to="broker") in (None, 0)


def test_daemons_no_payload_and_no_secret_in_logs(world):
    world.stand(endpoints={"analytics": world.mirror(password="Hush-hush-7")}, log={"level": "debug"})
    world.tsql("ALTER TABLE customers ADD CHECK (company_name <> 'Secret Ltd')")
    world.customers(1, 2, company="Secret Ltd")
    world.customers(3, company="Open Inc")
    world.broker.wait_depth("muskrat.analytics.dead", 2)
    world.program.stop()
    for name in ("relay.log", "consume.log"):
        with open(f"{world.folder}/{name}", encoding="utf-8") as f:
            text = f.read()
        assert "Secret Ltd" not in text and "c1@example.com" not in text and "Hush-hush-7" not in text


def test_daemons_reconnect_when_the_broker_restarts(world):
    world.stand()
    world.customers(1)
    world.wait_equal()
    world.rabbitmq.restart()
    world.customers(2, 3)
    world.wait_equal(60)


def test_daemons_confirm_that_never_comes_is_not_waited_for_for_ever(world):
    """The event whose confirm got lost comes again, and those of its key behind it; others do not wait."""
    world.stand(relay=False, consume=False)
    observer = world.observe()
    with ForgetfulBroker(world.rabbitmq.port) as proxy:
        world.program.config["broker"]["url"] = world.broker.url.replace(f":{world.rabbitmq.port}/", f":{proxy.port}/")
        world.program.save()
        world.start(consume=False)
        world.customers(1)
        wait_until(lambda: world.relay.metric("muskrat_relay_events_confirmed_total") == 1, 60, "the first confirm")
        proxy.forget = 1
        world.customers(2)
        wait_until(lambda: proxy.forgotten == 1, 60, "a confirm to be forgotten")
        world.sql("UPDATE customers SET email = 'new@example.com' WHERE id = 2")
        world.customers(3)
        wait_until(lambda: world.relay.metric("muskrat_relay_events_confirmed_total") == 2, 60, "what has another key not to wait")
        wait_until(lambda: world.relay.metric("muskrat_relay_events_confirmed_total") == 4, 60, "the forgotten event to be sent again")
        assert proxy.connections == 2
    told = [(d.json["id"], d.op) for d in observer.wait(5)]
    assert [t for t in told if t[0] == 2] == [(2, "insert"), (2, "insert"), (2, "update")] and (3, "insert") in told


def relay_by_slow_tls(world, **how):
    """Configures a relay with a lease of a second; gives its way to the broker."""
    certificates = Certificates(world.folder + "/certificates")
    proxy = SlowBroker(world.rabbitmq.port, 1_500_000, certificates, **how)
    world.configure({}, source={"lease_time": "1s"})
    world.program.setup()
    world.program.config["broker"] = {"tls": {"ca": certificates.ca},
                                      "url": world.broker.url.replace("amqp://", "amqps://").replace(
                                          f"127.0.0.1:{world.rabbitmq.port}", f"localhost:{proxy.port}")}
    world.program.save()
    return proxy


def test_daemons_large_event_goes_out_over_tls_that_takes_longer_for_it_than_the_lease(world):
    with relay_by_slow_tls(world) as proxy:
        observer = world.observe()
        world.relay = world.program.relay()
        world.sql("SELECT muskrat.emit('Frontend.Bill.Paid', json_build_object('text', repeat('x', 6000000)))")
        assert len(observer.wait(1)[0].body) > 6_000_000
        wait_until(lambda: world.relay.metric("muskrat_relay_events_confirmed_total") == 1, 60, "the confirm")
        assert proxy.connections == 1


def test_daemons_broker_that_greets_late_is_waited_for_under_a_short_lease(world):
    with relay_by_slow_tls(world, greets_after=0.8) as proxy:
        world.relay = world.program.relay()
        assert proxy.connections == 1


def test_daemons_reconnect_when_backends_are_terminated(world):
    world.stand()
    for n in range(5):
        world.customers(n)
        world.pg.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      f" WHERE datname IN ('{world.front_db}', '{world.target_db}') AND pid <> pg_backend_pid()")
    world.wait_equal(60)


def test_daemons_listen_beyond_loopback_needs_a_token(world):
    world.stand(relay=False, consume=False)
    world.program.config["relay"]["listen"] = f"0.0.0.0:{world.program.relay_port}"
    world.program.save()
    done = world.program.run("relay")
    assert done.returncode != 0 and "token" in done.stderr + done.stdout


def test_daemons_idle_relay_hardly_asks(world):
    """Woken by the writer's NOTIFY, not by polling: an event after a pause is there before the next look is due."""
    world.stand(source={"poll_interval": "1m"})
    observer = world.observe()
    for n in range(3):
        time.sleep(4.6)  # looks come after 1, 2, 4 … ms: the last one 4.1 s ago at most, the next one in 3.6 s
        began = time.monotonic()
        world.customers(n)
        observer.wait(n + 1)
        assert time.monotonic() - began < 3


def test_daemons_ring_that_comes_with_a_statements_answer_is_heard(world):
    """The writer's NOTIFY reaches the relay's connection while a statement of its own runs there."""
    world.stand(source={"poll_interval": "1m"}, consume=False)
    observer = world.observe()
    world.customers(1)
    observer.wait(1)
    time.sleep(18)  # looks have grown rare: the next but one is a quarter of a minute away
    holder = clients.connect(world.front, autocommit=False)
    try:
        with holder.cursor() as cursor:
            cursor.execute("SELECT * FROM muskrat.cursor FOR UPDATE")
        wait_until(lambda: world.sql("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"),
                   60, "the relay to wait for the row, as it does once a second", 0.01)
        world.customers(2)
    finally:
        holder.close()
    observer.wait(2, timeout=10)


def test_daemons_page_knows_every_component_from_its_first_answer(world):
    """The host's state database takes the connection and says nothing, so no endpoint can begin yet."""
    world.stand(relay=False, consume=False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        world.program.config["consumer"]["state_dsn"] = f"host=127.0.0.1 port={silent.getsockname()[1]} sslmode=disable"
        world.program.save()
        world.consumer = world.program.consume(wait=False)
        code, said = wait_until(lambda: (answer := world.consumer.get("/readyz"))[0] and answer, 60, "the page to open")
    assert code == 503 and "endpoint analytics" in json.loads(said)["waiting_for"], said
