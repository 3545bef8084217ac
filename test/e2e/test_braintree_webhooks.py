"""The source kind braintree-webhooks: what Braintree's double sends, taken by the relay's listener and confirmed by the broker."""
import datetime
import http.client
import os
import threading
import time

import pytest

from doubles.braintree_webhooks import SPOILS, Webhooks, digest, encoded, notification, signature
from harness.amqp_proxy import ForgetfulBroker, SlowBroker
from harness.processes import free_port, wait_until

KEYS = {"public": "private", "public-2": "private-2"}
SUBJECT = {"id": "s1", "status": "Past Due", "price": "10.00", "days_past_due": 3}
NOW = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)


LATER = NOW + datetime.timedelta(seconds=1)


def micros(at):
    return int(at.replace(tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000


def listen(world, url, endpoints=None, **more):
    """A relay with a listener, and who sends to it."""
    port = free_port()
    source = {"kind": "braintree-webhooks", "listen": f"127.0.0.1:{port}", "path": "/hooks/braintree",
              "keys": [{"public": public, "private": private} for public, private in KEYS.items()], **more}
    world.program.configure(url, sources={"hooks": source}, endpoints=endpoints or {}, relay={"state": world.folder + "/relay.sqlite"})
    world.program.setup()
    world.seen = world.observe()
    world.relay = world.program.relay()
    sender = Webhooks(f"http://127.0.0.1:{port}/hooks/braintree", KEYS)
    wait_until(sender.check, 60, "the listener")
    wait_until(lambda: world.relay.get("/readyz")[0] == 200, 60, "the broker's connection")
    return sender


@pytest.fixture
def hooks(world):
    return listen(world, world.broker.url)


def count(world, result):
    return world.relay.metric("muskrat_webhooks_total", source="hooks", result=result) or 0


def test_webhook_is_an_event_before_it_is_answered(world, hooks):
    sent = hooks.send("subscription_went_past_due", "subscription", SUBJECT, at=NOW)
    assert sent.statuses == [200]
    assert count(world, "taken") == 1 and world.relay.metric("muskrat_relay_events_confirmed_total", source="hooks") == 1
    event = world.seen.wait(1)[0]
    stamp = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert event.body == (f'{{"object":"Subscription","kind":"subscription_went_past_due","timestamp":"{stamp}","id":"s1",'
                          '"record":{"id":"s1","status":"Past Due","price":"10.00","days_past_due":3}}')
    assert event.routing_key == "Braintree.Subscription.subscription_went_past_due"
    assert (event.key, event.op) == ('Braintree.Subscription:["s1"]', "record")
    assert event.seq == micros(NOW)


def test_webhook_that_comes_again_has_the_id_that_it_had(world, hooks):
    for newline in (True, False):
        assert hooks.send("subscription_canceled", "subscription", SUBJECT, at=NOW, newline=newline).statuses == [200]
    first, again = world.seen.wait(2)
    assert (first.message_id, first.body, first.seq) == (again.message_id, again.body, again.seq)


def test_webhook_of_another_key_of_the_merchant_is_taken(world, hooks):
    for keys in ({"public": "private"}, {"public-2": "private-2"}, {"unknown": "x", "public-2": "private-2"}):
        assert Webhooks(hooks.url, keys).send("check", "check", True).statuses == [200]
    assert Webhooks(hooks.url, {"unknown": "private"}).send("check", "check", True).statuses == [403]
    assert len(world.seen.wait(3)) == 3


@pytest.mark.parametrize("spoil", sorted(SPOILS))
def test_webhook_that_is_spoilt_is_refused_and_is_no_event(world, hooks, spoil):
    # With two pairs of keys a signature that ends early still has the first one whole.
    sender = Webhooks(hooks.url, {"public": "private"}) if spoil == "signature_cut" else hooks
    status = sender.send("subscription_canceled", "subscription", SUBJECT, spoil=spoil).statuses[0]
    assert status == (403 if spoil in ("forged", "old_key", "changed", "payload_cut", "signature_cut") else 400)
    assert hooks.send("subscription_canceled", "subscription", SUBJECT).statuses == [200]
    assert len(world.seen.quiet()) == 1 and count(world, "refused") == 1
    assert "s1" not in world.wait_log(world.relay, "a webhook is refused")


def test_webhook_whose_secret_cannot_be_read_is_counted_as_failed_and_the_log_names_the_source(world):
    private = world.folder + "/private"
    with open(private, "w", encoding="utf-8") as file:
        file.write("private")
    hooks = listen(world, world.broker.url, keys=[{"public": "public", "private": "${file:" + private + "}"}])
    assert hooks.send("subscription_canceled", "subscription", SUBJECT).statuses == [200]
    os.unlink(private)
    assert hooks.send("subscription_canceled", "subscription", SUBJECT).statuses == [500]
    assert count(world, "failed") == 1 and "hooks" in world.wait_log(world.relay, "a webhook could not be looked into")


def test_webhook_of_days_ago_is_refused_though_it_is_signed(world, hooks):
    assert hooks.send("subscription_canceled", "subscription", SUBJECT, at=NOW - datetime.timedelta(days=3)).statuses == [403]
    assert not world.seen.quiet()


def test_webhook_while_the_broker_is_down_is_refused_and_taken_when_it_comes_again(world, hooks, rabbitmq):
    rabbitmq.kill9()
    try:
        sent = [hooks.send("subscription_canceled", "subscription", SUBJECT)]
        assert sent[0].statuses == [503]
        wait_until(lambda: world.relay.get("/readyz")[0] == 503, 60, "the relay to see it")
        sent.append(hooks.send("subscription_canceled", "subscription", {"id": "s2"}))
        assert sent[1].statuses == [503]
    finally:
        rabbitmq.start()
    wait_until(lambda: world.relay.get("/readyz")[0] == 200, 60, "the broker's connection")

    def again():
        hooks.clock.advance(3600)
        hooks.send_due()
        return all(d.delivered for d in sent)
    wait_until(again, 90, "both to be taken")
    assert [d.statuses[-1] for d in sent] == [200, 200]
    wait_until(lambda: {d.json["id"] for d in world.seen.deliveries} == {"s1", "s2"}, 60, "both")
    assert len({(d.message_id, d.body) for d in world.seen.deliveries}) == 2


def test_webhook_that_was_refused_and_comes_again_after_a_newer_one_leaves_an_endpoint_at_the_newer(world, rabbitmq):
    """What an endpoint that keeps state would go back to, were events numbered as requests come."""
    world.tsql("CREATE TABLE subscriptions (id text PRIMARY KEY, status text)")
    route = {"table": "public.subscriptions", "key": ["id"], "columns": ["id", {"to": "status", "from": "record.status"}]}
    hooks = listen(world, world.broker.url, {"billing": world.mirror(subscribe=["Braintree.#"], routes=[route])})
    world.consumer = world.program.consume()
    rabbitmq.kill9()
    try:
        older = hooks.send("subscription_went_past_due", "subscription", SUBJECT, at=NOW)
        assert older.statuses == [503]
    finally:
        rabbitmq.start()
    wait_until(lambda: world.relay.get("/readyz")[0] == 200, 60, "the broker's connection")
    assert hooks.send("subscription_canceled", "subscription", {"id": "s1", "status": "Canceled"}, at=LATER).statuses == [200]
    hooks.clock.advance(3600)
    assert hooks.send_due() == [older] and older.statuses == [503, 200]
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_superseded_total", endpoint="billing") == 1, 60, "the older one")
    assert [(d.json["kind"], d.seq) for d in world.seen.wait(2)] == [("subscription_canceled", micros(LATER)),
                                                                     ("subscription_went_past_due", micros(NOW))]
    assert world.tsql("SELECT * FROM subscriptions") == [("s1", "Canceled")]


def test_webhooks_about_what_has_no_id_pass_no_other_of_their_kind_over(world):
    """A state of its own each: the older one comes after the newer one, which is about another account."""
    world.tsql("CREATE TABLE revoked (token text PRIMARY KEY)")
    route = {"table": "public.revoked", "key": ["token"], "columns": [{"to": "token", "from": "record.token"}]}
    hooks = listen(world, world.broker.url, {"billing": world.mirror(subscribe=["Braintree.#"], routes=[route])})
    world.consumer = world.program.consume()
    for token, at in (("t2", LATER), ("t1", NOW)):
        assert hooks.send("payment_method_revoked_by_customer", "paypal-account", {"token": token}, at=at).statuses == [200]
    wait_until(lambda: {t for t, in world.tsql("SELECT token FROM revoked")} == {"t1", "t2"}, 30, "both accounts")
    assert [d.key for d in world.seen.wait(2)] == ['Braintree.PaypalAccount:["t2"]', 'Braintree.PaypalAccount:["t1"]']


def send_until_taken(hooks, name, taken, stop):
    """As Braintree does, in less time: what was not answered with 2xx is sent again. `taken`: ids of what was."""
    sender, number = Webhooks(hooks.url, KEYS), 0
    while not stop.is_set():
        sent = sender.send("subscription_canceled", "subscription", {"id": f"{name}-{number}"}, at=NOW)
        if sent.statuses == [200]:
            taken.append(f"{name}-{number}")
            number += 1
        else:
            stop.wait(0.2)


def test_webhook_that_was_answered_with_200_is_there_though_the_broker_is_killed(world, hooks, rabbitmq):
    time.sleep(1.5)  # a queue that was declared less than about a second before the broker's death may come back empty
    taken, stop = [[], [], []], threading.Event()
    threads = [threading.Thread(target=send_until_taken, args=(hooks, name, taken[name], stop)) for name in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            most = max(len(ids) for ids in taken)
            wait_until(lambda: all(len(ids) >= most + 20 for ids in taken), 90, "each sender to get on")
            rabbitmq.kill9()
            wait_until(lambda: world.relay.get("/readyz")[0] == 503, 60, "the relay to see it")
            rabbitmq.start()
        most = max(len(ids) for ids in taken)
        wait_until(lambda: all(len(ids) >= most + 20 for ids in taken), 90, "each sender to get on after the last start")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    wait_until(lambda: {name for ids in taken for name in ids} <= {d.json["id"] for d in world.seen.deliveries}, 30,
               "all that were answered with 200")


@pytest.fixture
def forgetful(world):
    """forgetful(patience): as `hooks`, with a proxy before the broker that keeps back as many confirms as it is told to."""
    with ForgetfulBroker(world.rabbitmq.port) as proxy:
        def start(patience):
            sender = listen(world, world.broker.url.replace(f":{world.rabbitmq.port}/", f":{proxy.port}/"), patience=patience)
            return sender, proxy
        yield start
        world.program.stop()


def test_webhook_whose_confirm_is_forgotten_holds_up_no_other_and_is_sent_again(world, forgetful):
    sender, proxy = forgetful("24s")
    before, answers = proxy.connections, []

    def send():
        answers.append(sender.send("subscription_canceled", "subscription", SUBJECT, at=NOW).statuses)
    proxy.forget = 1
    threads = [threading.Thread(target=send)]
    threads[0].start()
    wait_until(lambda: proxy.forgotten == 1, 60, "a confirm to be forgotten")
    threads.append(threading.Thread(target=send))  # the same once more, while the first waits
    threads[1].start()
    assert sender.send("subscription_canceled", "subscription", {"id": "s2"}, at=NOW).statuses == [200]
    assert world.relay.metric("muskrat_relay_events_confirmed_total", source="hooks") == 1 and not answers
    for thread in threads:
        thread.join()
    assert answers == [[200], [200]] and proxy.connections == before + 1
    told = [(d.json["id"], d.message_id) for d in world.seen.wait(3)]
    assert [name for name, _ in told] == ["s1", "s2", "s1"] and told[0] == told[2]
    assert world.relay.metric("muskrat_relay_events_published_total", source="hooks") == 3


def test_webhook_is_refused_in_time_while_no_confirm_comes(world, forgetful):
    sender, proxy = forgetful("6s")
    proxy.forget = 1 << 30
    sent = sender.send("subscription_canceled", "subscription", SUBJECT, at=NOW)
    assert sent.statuses == [503] and count(world, "unavailable") == 1
    proxy.forget = 0
    wait_until(lambda: world.relay.metric("muskrat_relay_events_confirmed_total", source="hooks") == 1, 60, "what nobody waits for")
    sender.clock.advance(3600)
    assert [d.statuses for d in sender.send_due()] == [[503, 200]]
    assert len({d.message_id for d in world.seen.wait(3)}) == 1


def test_webhook_that_was_answered_with_200_is_there_though_the_relay_is_killed(world, hooks):
    answered, stop = [], threading.Event()

    def send():
        for n in range(400):
            if stop.is_set():
                return
            if hooks.send("subscription_canceled", "subscription", {"id": f"s{n}"}).statuses == [200]:
                answered.append(f"s{n}")
    thread = threading.Thread(target=send)
    thread.start()
    wait_until(lambda: len(answered) >= 30, 60, "some of them")
    world.relay.kill9()
    world.program.daemons.remove(world.relay)
    stop.set()
    thread.join()
    world.relay = world.program.relay()
    wait_until(lambda: set(answered) <= {d.json["id"] for d in world.seen.deliveries}, 60, "all that were answered with 200")


def call(hooks, method, path, body=None):
    host, port = hooks.url.split("/")[2].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-www-form-urlencoded"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_webhook_listener_answers_what_is_none(world, hooks):
    path = "/hooks/braintree"
    assert call(hooks, "GET", path + "?bt_challenge=20f9f8ed05f77439fe955c977e4c8a53") == (
        200, f"public|{digest('private', '20f9f8ed05f77439fe955c977e4c8a53')}".encode())
    for query in ("?bt_challenge=" + "f" * 33, "?bt_challenge=%3Cscript%3E", "?bt_challenge="):
        assert call(hooks, "GET", path + query) == (400, b"")
    assert call(hooks, "GET", path)[0] == 405 and call(hooks, "GET", "/")[0] == 404 and call(hooks, "POST", "/", b"a=b")[0] == 404
    assert call(hooks, "POST", path, b"no form")[0] == 400
    assert call(hooks, "POST", path, b"a=" + b"x" * (2 << 20))[0] == 413
    assert not world.seen.quiet()


def test_webhook_larger_than_the_librarys_forms_is_taken(world, hooks):
    subject = {"id": "s1", "note": "x" * 200_000}
    payload = encoded(notification("subscription_canceled", "subscription", subject, NOW))
    assert len(payload) > 8192 and signature(KEYS, payload)
    assert hooks.send("subscription_canceled", "subscription", subject).statuses == [200]
    assert len(world.seen.wait(1)[0].json["record"]["note"]) == 200_000


def test_webhook_that_takes_longer_to_go_out_than_a_confirm_may_is_not_sent_anew_in_the_middle(world):
    with SlowBroker(world.rabbitmq.port, 100_000) as proxy:
        url = world.broker.url.replace(f":{world.rabbitmq.port}/", f":{proxy.port}/")
        hooks = listen(world, url, patience="2s")  # of which a confirm may take a third
        connections = proxy.connections
        assert hooks.send("subscription_canceled", "subscription", {"id": "s1", "note": "x" * 400_000}).statuses == [503]
        assert len(world.seen.wait(1)[0].json["record"]["note"]) == 400_000
        assert proxy.connections == connections
        world.program.stop()


@pytest.mark.parametrize("wrong", [{"keys": [], "body_bytes": "1", "patience": "40s"},
                                   {"listen": "9400", "path": "hooks", "key": [], "routing_key": "Braintree.{object}"}])
def test_webhook_options_that_are_wrong_are_told_by_check_together(world, wrong):
    source = {"kind": "braintree-webhooks", "keys": [{"public": "p", "private": "x"}]}
    world.program.configure(world.broker.url, sources={"hooks": {**source, **wrong}})
    told = world.program.run("check")
    assert told.returncode == 2
    for option in wrong:
        assert f"{option}: " in told.stdout, (option, told.stdout)


def test_webhook_source_has_a_place_in_status_and_no_runs(world, hooks):
    address = world.program.config["sources"]["hooks"]["listen"]
    assert f"{address}/hooks/braintree" in world.program.run("status").stdout
    assert "with a schedule" in world.program.run("produce", "hooks").stderr
