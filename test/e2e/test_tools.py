"""The operator's verbs against running servers: status, tail, check, attach and its kin."""
import json
import subprocess

from world import CUSTOMERS, MIRROR
from harness.processes import Child, wait_until


def tail(world, *args):
    out = f"{world.folder}/tail.out"
    f = open(out, "wb")
    child = Child(world.program.argv("tail", *args), f"{world.folder}/tail.log", stdout=f, record=world.folder)
    world.broker.wait_temporary_bindings(1)

    def lines():
        with open(out, encoding="utf-8") as text:
            return text.read().splitlines()
    return child, lines


def test_tools_tail_shows_live_events(world):
    world.stand()
    child, lines = tail(world, "Frontend.Customer.*")
    world.customers(1)
    wait_until(lambda: any("Frontend.Customer.Signup" in text for text in lines()), 60, "the event")
    assert child.stop() == 0


def test_tools_tail_json_is_one_object_per_line_and_takes_nothing_away(world):
    world.stand()
    child, lines = tail(world, "Frontend.*", "--json")
    world.customers(1, 2)
    wait_until(lambda: len(lines()) == 2, 60, "two lines")
    for n, text in enumerate(lines(), 1):
        event = json.loads(text)
        body = event["body"] if isinstance(event["body"], dict) else json.loads(event["body"])
        assert event["routing_key"] == "Frontend.Customer.Signup" and body["id"] == n
    assert child.stop() == 0
    world.wait_equal()


def test_tools_status_says_what_runs(world):
    world.stand(consume=False)
    world.customers(1, 2, 3)
    world.broker.wait_depth("muskrat.analytics", 3)
    done = world.program.run("status")
    assert done.returncode == 3, "a problem has an exit code of its own"
    assert "frontend" in done.stdout and "nobody consumes" in done.stdout
    world.start(relay=False)
    world.wait_equal()
    report = world.program.json("status")  # exit code 0
    assert "frontend" in json.dumps(report) and "analytics" in json.dumps(report)
    assert "password" not in json.dumps(report)


def test_tools_status_exits_non_zero_when_the_broker_is_away(world):
    world.stand(relay=False, consume=False)
    world.program.config["broker"]["url"] = "amqp://guest:guest@127.0.0.1:1/"
    world.program.save()
    done = world.program.run("status")
    assert done.returncode != 0 and "127.0.0.1:1" in done.stdout + done.stderr


def test_tools_check_shows_the_binding_of_each_subscription(world):
    world.configure({"analytics": world.mirror(subscribe=["Frontend.*", "Frontend.Customer.*", "Frontend.Customer.Signup"])})
    text = world.program.ok("check")
    assert "Frontend.#" in text and "Frontend.Customer.#" not in text


def test_tools_attach_attached_detach_from_the_shell(world):
    world.sql(CUSTOMERS)
    world.tsql(MIRROR)
    world.configure({"analytics": world.mirror()})
    world.program.ok("attach", "frontend", "customers", "Frontend.Customer", "--insert", "Signup", "--update", "Update",
                     "--delete", "Cancel", "--columns", '["id", "email", "phone", "subdomain", "company", "username",'
                     ' {"subscription": ["volume", "retention", "rate"]}]')
    assert "Frontend.Customer" in world.program.ok("attached")
    world.program.setup()
    world.start()
    world.customers(1, volume="200")
    world.wait_equal()
    world.program.ok("detach", "frontend", "customers")
    assert world.sql("SELECT count(*) FROM muskrat.attached()") == [(0,)]


def test_tools_help_and_version(world):
    for args in (["--help"], ["relay", "--help"], ["--version"]):
        done = subprocess.run([world.program.binary, *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stdout.strip(), args
