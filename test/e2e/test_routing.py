"""Who gets what: subscriptions at several depths, the unrouted, endpoints that do not disturb each other."""
import contextlib
import json

import pika

from harness.processes import wait_until


def files(world, **subscriptions):
    """One file endpoint per name."""
    return {name: {"kind": "file", "path": f"{world.folder}/{name}.jsonl", "subscribe": patterns}
            for name, patterns in subscriptions.items()}


def lines(world, name):
    try:
        with open(f"{world.folder}/{name}.jsonl", encoding="utf-8") as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def test_routing_three_depths_all_receive_signup(world):
    world.stand(endpoints=files(world, source=["Frontend.*"], object=["Frontend.Customer.*"], action=["Frontend.Customer.Signup"],
                                other=["Frontend.Invoice.*"], everything=["#"]))
    world.customers(1)
    world.sql("UPDATE customers SET phone = '1'")
    for name, count in {"source": 2, "object": 2, "everything": 2, "action": 1}.items():
        wait_until(lambda n=name, c=count: len(lines(world, n)) == c, 60, f"{count} lines in {name}")
    assert lines(world, "other") == []


def test_routing_unrouted_event_is_kept(world):
    world.stand(endpoints=files(world, invoices=["Frontend.Invoice.*"]))
    world.customers(1, 2)
    world.broker.wait_depth("muskrat.unrouted", 2)
    assert [d.routing_key for d in world.broker.get_all("muskrat.unrouted")] == ["Frontend.Customer.Signup"] * 2
    assert world.relay.get("/readyz")[0] == 200


def test_routing_dead_endpoint_holds_up_nobody(world):
    dead = world.mirror(dsn="host=127.0.0.1 port=1 dbname=nowhere user=postgres connect_timeout=2")
    world.stand(endpoints={"analytics": world.mirror(), "gone": dead}, consume=False)
    world.consumer = world.program.consume(wait=False)
    world.customers(*range(50))
    world.wait_equal()
    wait_until(lambda: world.broker.depth("muskrat.analytics") == 0, 60, "analytics' queue to be empty")
    status, text = world.consumer.get("/readyz")
    assert status == 503 and "gone" in text and "nowhere" not in world.broker.url
    assert world.broker.depth("muskrat.gone.dead") == 0, "an outage of the endpoint is no fault of the events"
    world.consumer.stop()
    world.broker.wait_depth("muskrat.gone", 50)


def test_routing_prefix_keeps_staging_apart(world):
    world.stand(endpoints=files(world, all=["#"]), broker={"prefix": "staging"})
    world.customers(1)
    wait_until(lambda: len(lines(world, "all")) == 1, 60, "the event")
    assert world.broker.depth("staging.all") == 0 and world.broker.depth("muskrat.all") is None


def test_routing_setup_is_idempotent_and_reports_drift(world):
    world.stand(endpoints=files(world, all=["#"]), relay=False, consume=False)
    world.broker.call(lambda c: c.queue_declare("muskrat.late", durable=True))  # classic, and in the way
    world.program.setup()
    world.program.config["endpoints"]["late"] = files(world, late=["#"])["late"]
    world.program.save()
    done = world.program.run("setup")
    assert done.returncode != 0
    assert "muskrat.late" in done.stdout + done.stderr
    assert world.broker.depth("muskrat.late.dead") == 0, "the rest goes on"


def publish(world, routing_key, n, op="emit", **way):
    """As the relay would."""
    headers = {"x-muskrat-key": f"{routing_key.rsplit('.', 1)[0]}:[{n}]", "x-muskrat-epoch": 1, "x-muskrat-seq": n,
               "x-muskrat-source": "frontend", "x-muskrat-op": op, **way.pop("headers", {})}
    world.broker.publish(way.pop("to", routing_key), f'{{"n": {n}}}', headers=headers, message_id=f"{routing_key}-{n}", **way)


def test_routing_pattern_taken_out_is_warned_of_until_it_is_unbound(world):
    subscribed = {name: files(world, hook=[pattern]) for name, pattern in
                  {"wide": "Frontend.*", "narrow": "Frontend.Customer.*"}.items()}
    world.configure(subscribed["wide"])
    world.program.setup()
    world.start(relay=False)
    publish(world, "Frontend.Payment.Made", 1)
    wait_until(lambda: len(lines(world, "hook")) == 1, 60, "the payment")
    world.consumer.stop()

    # The binding is still there: what it brings is delivered, for the pattern could also be a new one.
    world.configure(subscribed["narrow"])
    world.program.setup()
    world.start(relay=False)
    for n in (2, 3):
        publish(world, "Frontend.Payment.Made", n)
        publish(world, "Frontend.Customer.Signup", n)
    # What was sent to the endpoint alone is no matter of bindings.
    publish(world, "Frontend.Payment.Sent", 4, exchange="", to="muskrat.hook", headers={"x-muskrat-routing-key": "Frontend.Payment.Sent"})
    world.delivered()
    keys = [json.loads(text)["routing_key"] for text in lines(world, "hook")]
    assert keys == ["Frontend.Payment.Made", *["Frontend.Payment.Made", "Frontend.Customer.Signup"] * 2, "Frontend.Payment.Sent"]
    assert world.consumer.metric("muskrat_endpoint_unsubscribed_total", endpoint="hook") == 2
    with open(world.consumer.log_path, encoding="utf-8") as f:
        warnings = [text for text in f if "gets what it does not subscribe to" in text]
    assert len(warnings) == 1 and "Frontend.Payment.Made" in warnings[0]
    assert "muskrat setup --endpoint hook --unbind PATTERN" in warnings[0]

    unbind = ["setup", "--endpoint", "hook", "--unbind"]
    done = world.program.run(*unbind, "Frontend.Customer.*")
    assert done.returncode == 2 and "still subscribes to Frontend.Customer.*" in done.stderr
    assert "Nothing was changed" in world.program.ok(*unbind, "Frontend.*", "--dry-run")
    assert "muskrat -> muskrat.hook: Frontend.# is not there any more" in world.program.ok(*unbind, "Frontend.*")
    publish(world, "Frontend.Payment.Made", 5)
    world.broker.wait_depth("muskrat.unrouted", 1)
    publish(world, "Frontend.Customer.Signup", 6)
    wait_until(lambda: len(lines(world, "hook")) == 7, 60, "what is still subscribed to")


def test_routing_endpoint_taken_out_is_removed_from_the_broker(world):
    def remove(*more, code=0):
        done = world.program.run("setup", "--remove", "hook", *more)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    both = files(world, hook=["Frontend.*"], other=["Frontend.*"])
    world.configure(both)
    world.program.setup()
    assert "still in the configuration" in remove("--yes", code=2)
    world.start(relay=False)
    world.configure({"other": both["other"]})
    assert "Somebody consumes; nothing was deleted" in remove("--yes", code=3)
    world.consumer.stop()
    publish(world, "Frontend.Payment.Made", 1)
    world.broker.wait_depth("muskrat.hook", 1)
    world.broker.fill("muskrat.hook.dead", [("{}", pika.BasicProperties(message_id=n, delivery_mode=2)) for n in "ab"])

    text = remove(code=2)  # nobody is there to answer
    assert "queue muskrat.hook: 1 message, 0 consumers" in text and "queue muskrat.hook.dead: 2 messages" in text and "--yes" in text
    remove("--dry-run")
    assert world.broker.depth("muskrat.hook") == 1
    text = remove("--yes")
    assert "queue muskrat.hook deleted, with 1 message" in text and "queue muskrat.hook.dead deleted, with 2 messages" in text
    assert world.broker.depth("muskrat.hook") is None and world.broker.depth("muskrat.hook.dead") is None
    assert "Nothing of an endpoint hook is there" in remove(code=3)

    world.configure(both)
    world.program.setup()
    world.configure({"other": both["other"]})
    assert "queue muskrat.hook deleted, with 0 messages" in remove()  # nothing to ask about
    for name in ("dead", "unrouted", "other.dead"):  # queues that stay
        assert world.program.run("setup", "--remove", name, "--yes").returncode == 2
    assert world.broker.depth("muskrat.unrouted") is not None and world.broker.depth("muskrat.other.dead") is not None


@contextlib.contextmanager
def relay_that_may_only_sign_up(world, **source):
    """Two customers, and a relay whose user may publish Frontend.Customer.Signup alone; gives the user's name."""
    world.stand(relay=False)
    world.customers(1, 2)
    user = f"topics{world.vhost}"
    world.rabbitmq.ctl("add_user", user, "topics")
    try:
        world.rabbitmq.ctl("set_permissions", "-p", world.vhost, user, "^$", ".*", "^$")
        world.rabbitmq.ctl("set_topic_permissions", "-p", world.vhost, user, "muskrat", r"^Frontend\.Customer\.Signup$", "^$")
        world.program.config["broker"]["url"] = world.broker.url.replace("guest:guest", f"{user}:topics")
        world.program.config["sources"]["frontend"].update(source)
        world.program.save()
        world.relay = world.program.relay()
        world.wait_equal()
        yield user
    finally:
        world.rabbitmq.ctl("delete_user", user)


def test_routing_key_that_the_broker_refuses_is_held_and_the_others_go_on(world):
    with relay_that_may_only_sign_up(world) as user:
        world.sql("UPDATE customers SET email = 'held' WHERE id = 1")
        world.customers(*range(3, 30))
        world.wait_target("SELECT count(*) FROM customers", [(29,)])
        wait_until(lambda: world.relay.metric("muskrat_relay_held") == 1, 60, "the one to be held")
        world.rabbitmq.ctl("clear_topic_permissions", "-p", world.vhost, user)
        assert world.relay.stop() == 0
        world.relay = world.program.relay()  # which tries held events at once
        world.wait_equal()
        wait_until(lambda: world.relay.metric("muskrat_relay_held") == 0, 60, "it to be published")


def test_routing_held_events_are_found_where_their_rows_went_and_given_up_when_these_are_gone(world):
    with relay_that_may_only_sign_up(world, held_retry="1s") as user:
        world.sql("UPDATE customers SET email = 'held' WHERE id = 1; UPDATE customers SET email = 'gone' WHERE id = 2")
        wait_until(lambda: world.relay.metric("muskrat_relay_held") == 2, 60, "both to be held")
        # both, so that what is left moves
        world.sql("DELETE FROM muskrat.outbox_1 WHERE body LIKE '%gone%' OR routing_key LIKE '%Signup'")
        world.sql("VACUUM FULL muskrat.outbox_1")
        world.wait_log(world.relay, "held event is gone from the outbox")
        wait_until(lambda: world.relay.metric("muskrat_relay_held") == 1, 60, "the one that is gone to be given up")
        world.rabbitmq.ctl("clear_topic_permissions", "-p", world.vhost, user)
        wait_until(lambda: world.relay.metric("muskrat_relay_held") == 0, 60, "the other to be published")
        world.sql("UPDATE customers SET email = 'again' WHERE id = 2")
        world.wait_equal()


def test_routing_large_held_events_are_tried_again_in_bounded_memory(world):
    """100 MB of them that nothing takes: all are due at once after a restart, and again with each held_retry."""
    world.configure({}, source={"held_retry": "1s"})
    world.program.setup()
    world.broker.delete_queue("muskrat.unrouted")
    world.sql("SELECT muskrat.emit('Frontend.Bill.Paid', json_build_object('n', n, 'text', repeat('x', 2000000))) "
              "FROM generate_series(1, 50) AS n")
    for returns in (51, 25):  # of the events themselves, and of tries
        relay = world.program.relay()
        wait_until(lambda n=returns, r=relay: r.metric("muskrat_relay_events_returned_total") >= n, 60, "some to be tried again")
        wait_until(lambda r=relay: r.metric("muskrat_relay_held") == 50, 60, "all to be held")
        assert relay.rss_kib("VmHWM") < 80 * 1024
        if returns == 51:
            assert relay.stop() == 0
    world.broker.queue("bills")
    world.broker.wait_depth("bills", 50)
    wait_until(lambda: relay.metric("muskrat_relay_held") == 0, 60, "none to be held")
    assert relay.rss_kib("VmHWM") < 80 * 1024


def test_routing_held_event_that_is_too_large_is_given_up_when_its_row_is_gone(world):
    world.configure({}, source={"held_retry": "1s", "max_body": "1KiB"})
    world.program.setup()
    observer = world.observe()
    world.relay = world.program.relay()
    world.sql("SELECT muskrat.emit('Frontend.Bill.Paid', json_build_object('text', repeat('x', 2000)), 'bill')")
    world.sql("SELECT muskrat.emit('Frontend.Bill.Paid', '{}', 'bill')")
    wait_until(lambda: world.relay.metric("muskrat_relay_held") == 2, 60, "both to be held")
    world.sql("DELETE FROM muskrat.outbox_1 WHERE octet_length(body) > 1024")
    assert observer.wait(1)[0].body == "{}"
