"""Webhooks and endpoints in any language, through the real host."""
import json
import os
import signal
import subprocess
import threading

import pytest
import yaml

from harness import build as where
from harness.amqp_proxy import ForgetfulBroker
from harness.http_server import HttpServer
from harness.golden import golden, requests_text
from harness.processes import wait_until


@pytest.fixture
def server():
    server = HttpServer()
    yield server
    if server.running:
        server.stop()


def hook(server, **more):
    return {"kind": "http", "subscribe": ["Frontend.Customer.*"], "url": server.url("/hook"), "circuit_first": "100ms",
            "circuit_most": "200ms", **more}


def stand(world, endpoints, **more):
    return world.stand(endpoints=endpoints, consumer={"state": f"{world.folder}/state.sqlite"}, **more)


def ids(server):
    return [r["headers"]["idempotency-key"] for r in server.requests()]


def test_http_endpoint_request_is_golden(world, server):
    stand(world, {"hook": hook(server, batch="array", payload="event", headers=[{"name": "X-Source", "value": "{$source}"}],
                               signing_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")})
    world.customers(1, company='Löwe "&" Söhne\n')
    request = wait_until(lambda: server.requests(), 60, "a request")[0]
    golden("test/golden/http_request.txt", requests_text(
        [request], (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<message_id>"),
        (r'"epoch":\d+,"seq":\d+', '"epoch":<epoch>,"seq":<seq>'),
        (r"timestamp: \d+", "timestamp: <now>"), (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"), (r"v1,[\w+/]{43}=", "v1,<signature>")))


def test_http_endpoint_killed_between_effect_and_record_repeats_the_same_call(world, server):
    """kill -9 of the host inside the server's handler, once the request is there: it comes again under the same key."""
    victim = []

    def answer(request, nth):
        if nth == 2:
            os.kill(victim[0], signal.SIGKILL)
        return 200, {}, b"{}"

    stand(world, {"hook": hook(server, batch_size=1, lanes=1)}, consume=False)
    server.answer = answer
    consumer = world.program.consume()
    victim.append(consumer.pid)
    world.customers(1, 2, 3)
    wait_until(lambda: len(server.requests()) >= 2, 60, "the deadly request")
    consumer.wait(60)
    world.program.consume()
    world.settled()
    seen = ids(server)
    assert len(seen) == 4 and seen[1] == seen[2], "the call that was not recorded is repeated, and only that one"


def test_http_endpoint_that_goes_down_holds_up_no_other_and_loses_nothing(world, server):
    stand(world, {"hook": hook(server), "analytics": world.mirror()})
    world.customers(1)
    wait_until(lambda: len(server.requests()) == 1, 60, "the first")
    port = server.port
    server.stop()
    world.customers(*range(2, 30))
    world.wait_equal()
    world.wait_log(world.consumer, "parked")
    again = HttpServer(port=port)
    try:
        wait_until(lambda: {b["id"] for b in server.bodies() + again.bodies()} == set(range(1, 30)), 60, "the rest")
        assert not world.broker.depth("muskrat.hook.dead")
    finally:
        again.stop()


def test_http_endpoint_host_that_lost_the_broker_begins_no_more_calls(world, server):
    """What its lanes have left the stand-by is given, which may be through with it, and with newer events, by then."""
    go_on = threading.Event()

    def answer(request, nth):
        if request["path"] == "/first":
            go_on.wait(120)
        return 200, {}, b"{}"

    def requests_to(path):
        return len([r for r in server.requests() if r["path"] == path])

    def hook_at(path):
        return hook(server, url=server.url(path), lanes=1, batch_size=10, batch_age="1m", timeout="5m")

    server.answer = answer
    world.stand(endpoints={"hook": hook_at("/first")}, consumer={"state_dsn": world.target}, consume=False)
    stand_by = world.program.__class__(world.folder, world.program.binary.rsplit("/", 1)[0], "stand-by.yaml")
    stand_by.config = {**world.program.config, "endpoints": {"hook": hook_at("/second")},
                       "consumer": {"state_dsn": world.target, "listen": f"127.0.0.1:{stand_by.consumer_port}"}}
    stand_by.save()
    with ForgetfulBroker(world.rabbitmq.port) as proxy:
        world.program.config["broker"]["url"] = world.broker.url.replace(f":{world.rabbitmq.port}/", f":{proxy.port}/")
        world.program.save()
        first = world.program.consume()
        world.customers(*range(1, 11))
        wait_until(lambda: requests_to("/first") == 1, 60, "the first of ten calls")
        stand_by.consume(log=f"{world.folder}/stand-by.log")
        proxy.cut()
        wait_until(lambda: first.get("/readyz")[0] == 503, 60, "the host to miss the broker")
        wait_until(lambda: requests_to("/second") == 10, 60, "the stand-by to take over")
        go_on.set()
        world.wait_log(first, '"event":"connecting"')
        assert requests_to("/first") == 1
    stand_by.stop()


def test_http_endpoint_bad_record_is_a_dead_letter_and_its_neighbours_are_done(world, server):
    def answer(request, nth):
        bad = any(r["id"] == 5 for r in json.loads(request["body"]))
        return (422 if bad else 200), {}, b"{}"

    server.answer = answer
    stand(world, {"hook": hook(server, batch="array", batch_age="200ms", lanes=1)})
    world.customers(*range(1, 11))
    wait_until(lambda: world.broker.depth("muskrat.hook.dead") == 1, 60, "the dead letter")

    def done():
        bodies = [json.loads(request["body"]) for request in server.requests()]
        return {r["id"] for body in bodies for r in body if not any(x["id"] == 5 for x in body)}
    wait_until(lambda: done() == set(range(1, 11)) - {5}, 60, "all others to be done")


def test_host_second_one_on_the_same_state_file_is_refused(world, server):
    stand(world, {"hook": hook(server)})
    config = f"{world.folder}/other.yaml"
    with open(config, "w", encoding="utf-8") as f:
        yaml.safe_dump({**world.program.config, "consumer": {"state": f"{world.folder}/state.sqlite", "listen": ""}}, f)
    done = subprocess.run([world.program.binary, "consume", "--config", config], capture_output=True, text=True, timeout=60,
                          check=False, stdin=subprocess.DEVNULL)
    assert done.returncode != 0 and "another muskrat consume" in done.stderr
    world.customers(1)
    wait_until(lambda: len(server.requests()) == 1, 60, "the first host to go on")


def test_http_endpoint_state_in_postgresql_recognises_repeats(world, server):
    world.stand(endpoints={"hook": hook(server)}, consumer={"state_dsn": world.target})
    world.customers(1, 2)
    wait_until(lambda: len(server.requests()) == 2, 60, "both")
    wait_until(lambda: world.tsql("SELECT count(*)::int FROM muskrat_host.guard") == [(2,)], 60, "both to be recorded")


def test_exec_endpoint_in_python_as_in_the_example(world):
    program = os.path.join(where.TOP, "examples", "endpoint.py")
    stand(world, {"greeter": {"kind": "exec", "subscribe": ["Frontend.Customer.Signup"],
                              "command": ["/usr/bin/python3", program, f"{world.folder}/greeted"]}})
    world.customers(1, 2)
    world.sql("INSERT INTO customers (id, email) VALUES (3, 'nobody')")
    wait_until(lambda: world.broker.depth("muskrat.greeter.dead") == 1, 60, "the dead letter")

    def greeted():
        with open(f"{world.folder}/greeted", encoding="utf-8") as f:
            return f.read().splitlines()
    wait_until(lambda: greeted() == ["Hello c1@example.com", "Hello c2@example.com"], 60, "both to be greeted")


@pytest.mark.parametrize("batch", ["single", "array"])
def test_http_endpoint_event_over_which_the_receiver_hangs_up_is_a_dead_letter_and_holds_up_no_other(world, server, batch):
    def bad(request):
        return '"id":5,' in request["body"].replace(" ", "")

    def done():
        bodies = [json.loads(request["body"]) for request in server.requests() if not bad(request)]
        return {row["id"] for body in bodies for row in (body if batch == "array" else [body])}

    server.answer = lambda request, nth: None if bad(request) else (200, {}, b"{}")
    stand(world, {"hook": hook(server, batch=batch, retry_attempts=3, retry_first="10ms", retry_most="50ms", lanes=1)}, consume=False)
    world.customers(*range(5, 20))
    world.published()
    world.program.consume()
    wait_until(lambda: done() == set(range(6, 20)), 60, "the others")
    later = iter(range(20, 1000))

    def buried():
        world.customers(next(later))  # alone it may be that the receiver is down
        return world.broker.depth("muskrat.hook.dead")
    wait_until(buried, 60, "the dead letter")
    (letter,) = world.broker.peek("muskrat.hook.dead")
    assert json.loads(letter.body)["id"] == 5 and letter.headers["x-muskrat-class"] == "transient"
    world.settled()
    assert done() == set(range(6, next(later)))


def test_http_endpoint_message_id_that_fits_no_header_is_a_dead_letter_and_stops_nobody(world, server):
    stand(world, {"hook": hook(server)}, relay=False)
    for message_id in ("m1\r\nX-Evil: 1", "m2"):
        world.broker.publish("Frontend.Customer.Signup", '{"id": 1}', message_id=message_id, content_type="application/json")
    wait_until(lambda: ids(server) == ["m2"], 60, "the good one")
    world.broker.wait_depth("muskrat.hook.dead", 1)
    (letter,) = world.broker.peek("muskrat.hook.dead")
    assert letter.headers["x-muskrat-reason"] == "not an event of ours: the message_id holds control characters"


def test_exec_endpoint_program_that_dies_over_every_event_opens_the_circuit(world):
    stand(world, {"dying": {"kind": "exec", "subscribe": ["Frontend.Customer.*"], "retry_attempts": 100, "retry_first": "10ms",
                            "retry_most": "50ms", "command": ["/bin/sh", "-c", "read line; exit 1"]}}, consume=False)
    world.customers(*range(1, 41))
    world.published()
    world.wait_log(world.program.consume(wait=False), "parked")
    assert not world.broker.depth("muskrat.dying.dead")


def test_http_endpoint_superseded_event_is_listed_with_what_stands_there(world, server):
    stand(world, {"hook": hook(server)}, relay=False)
    for count, seq in enumerate((7, 3), 1):
        world.broker.publish("Frontend.Customer.Update", '{"id": 1}', message_id=f"m{seq}", content_type="application/json",
                             headers={"x-muskrat-key": "Frontend.Customer:[1]", "x-muskrat-epoch": 2, "x-muskrat-seq": seq,
                                      "x-muskrat-source": "frontend", "x-muskrat-op": "update"})
        wait_until(lambda count=count: world.consumer.metric("muskrat_endpoint_batches_total", endpoint="hook") == count,
                   60, "it to be taken")
    (text,) = wait_until(lambda: world.program.ok("superseded", "hook", "--json").splitlines(), 60, "the note")
    note = json.loads(text)
    assert (note["message_id"], note["epoch"], note["seq"], note["in_place"]) == ("m3", 2, 3, "2/7")
    assert len(server.requests()) == 1
    assert "No event of this key is noted" in world.program.ok("superseded", "hook", "--key", "none")
