"""What servers and the machine refuse: an exchange that is gone, a message that is too large, more events than may be held, no more
open files, a segment that somebody keeps; and that all of it is waited out."""
import os
import re
import resource
import signal

from harness import clients
from harness.processes import wait_until

def test_relay_that_holds_as_many_as_it_may_stops_reading_until_the_broker_takes_them(world):
    """held_max: what is beyond it stays in the outbox, of other keys too, and everything comes at the end, each once and in order."""
    world.stand(endpoints={}, source={"held_max": 2, "held_retry": "1s"}, consume=False)
    world.broker.delete_queue("muskrat.unrouted")
    world.customers(1, 2, 3)
    world.sql("UPDATE customers SET phone = '1'")
    wait_until(lambda: world.relay.metric("muskrat_relay_held") == 2, 60, "two events to be held")
    world.wait_log(world.relay, "source stopped.*2 events are held, as many as held_max allows")
    status, text = world.relay.get("/readyz")
    assert status == 503 and "held_max" in text, text
    world.customers(4)
    observer = world.observe()
    observer.wait(7)
    told = [(d.json["id"], d.op) for d in observer.quiet()]
    assert len(told) == 7 and all(told.index((n, "insert")) < told.index((n, "update")) for n in (1, 2, 3)), told
    world.relay.wait_ready()
    wait_until(lambda: world.relay.metric("muskrat_relay_held") == 0, 60, "the metric to show it")


def test_relay_whose_exchange_is_deleted_under_load_waits_for_setup_and_loses_nothing(world):
    world.stand()
    world.customers(*range(20))
    world.wait_equal()
    world.customers(20)
    world.broker.call(lambda c: c.exchange_delete("muskrat"))
    world.customers(*range(21, 60))
    world.wait_log(world.relay, "broker away.*the exchange muskrat does not exist on the broker; run `muskrat setup`")
    wait_until(lambda: world.relay.get("/readyz")[0] == 503, 60, "the relay to say so")
    world.customers(*range(60, 80))
    world.program.setup()
    world.customers(*range(80, 90))
    world.published()
    # What came between the exchange and its bindings is with the unrouted, if anything is.
    assert world.program.run("replay", "frontend", "--unrouted", "--yes").returncode in (0, 3)
    world.wait_equal()
    assert world.sql("SELECT term FROM muskrat.cursor") == [(1,)], "a missing exchange costs nobody the lease"
    assert world.relay.metric("muskrat_relay_held") == 0, "no event is blamed"


def limit_message_size(rabbitmq, most):
    """For channels that are opened from now on; the value before. Newer brokers keep it elsewhere than in the application's settings."""
    before = rabbitmq.eval("application:get_env(rabbit, max_message_size, 134217728)")
    rabbitmq.eval(f"application:set_env(rabbit, max_message_size, {most}), persistent_term:put(max_message_size, {most})")
    return int(before)


def test_relay_event_that_is_too_large_for_the_broker_is_found_out_and_others_go_on(world):
    """The broker closes the channel over it (406), with others in flight beside it."""
    before = limit_message_size(world.rabbitmq, 100_000)
    try:
        world.stand(endpoints={}, source={"held_retry": "1s"}, relay=False)
        observer = world.observe()
        world.customers(*range(5))
        world.sql("SELECT muskrat.emit('Frontend.Bill.Paid', json_build_object('text', repeat('x', 200000)))")
        world.customers(*range(5, 10))
        world.start(consume=False)
        held = world.wait_log(world.relay, "event held")
        assert "406" in held and "Frontend.Bill.Paid" in held, held
        world.customers(10)
        observer.wait_for(lambda d: d.json.get("id") == 10)
        wait_until(lambda: world.relay.metric("muskrat_relay_held") == 1, 60, "the metric to show it")
    finally:
        limit_message_size(world.rabbitmq, before)
    # Each try that failed cost a connection; the next one's channel knows the new limit.
    observer.wait_for(lambda d: d.routing_key == "Frontend.Bill.Paid")
    wait_until(lambda: world.relay.metric("muskrat_relay_held") == 0, 60, "nothing to be held any more")
    assert {d.json["id"] for d in observer.deliveries if "id" in d.json} == set(range(11))


def test_daemons_without_open_files_left_reconnect_when_there_are_some(world):
    """Their connections end and no new one can be opened: nothing ends for good over that."""
    world.stand()
    world.customers(1)
    world.wait_equal()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    daemons = (world.relay, world.consumer)
    for daemon in daemons:
        # What is open stays open. Not less: poll() takes no more descriptors than this at a time.
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (5, hard))
    world.pg.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('{world.front_db}', '{world.target_db}')"
                  " AND pid <> pg_backend_pid()")
    world.broker.close_connections()
    world.customers(2)
    for daemon in daemons:
        world.wait_log(daemon, "Too many open files")
        daemon.send(signal.SIGHUP)
        world.wait_log(daemon, "reload refused, the old configuration stays")
    for daemon in daemons:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
    for daemon in daemons:
        daemon.wait_ready()
    world.customers(3)
    world.wait_equal()


def test_relay_says_that_an_open_transaction_keeps_the_outbox_from_rotating(world):
    world.stand(endpoints={}, source={"segment_bytes": "64KiB", "retention": "0s"}, consume=False)
    observer = world.observe()
    writer = clients.connect(world.front, autocommit=False)
    try:
        with writer.cursor() as cursor:
            cursor.execute("INSERT INTO customers (id, email) VALUES (0, 'open@example.com')")
        world.customers(*range(1, 4), company=os.urandom(40_000).hex())  # which does not compress well
        world.wait_log(world.relay, "outbox rotated")
        warning = world.wait_log(world.relay, "outbox cannot rotate")
        assert re.search(r"segment 1 is in use by pid \d+ \(.*transaction open for \d+ s\)", warning), warning
        wait_until(lambda: world.relay.metric("muskrat_relay_outbox_rotation_stuck") == 1, 60, "the metric to say so")
        writer.commit()
    finally:
        writer.close()
    wait_until(lambda: world.relay.metric("muskrat_relay_outbox_rotation_stuck") == 0, 60, "the metric to say that it is over")
    assert sorted(d.json["id"] for d in observer.wait(4)) == [0, 1, 2, 3]
