"""Leads through the real host into the double of Marketo."""
import contextlib
import json
import re
import sqlite3

import pytest

from doubles.marketo import Marketo
from doubles.marketo_store import described
from harness.golden import golden, requests_text
from harness.processes import wait_until

LEADS = "/rest/v1/leads.json"


@pytest.fixture
def marketo():
    with Marketo() as double:
        yield double


def stand(world, marketo, consume=True, **more):
    endpoint = {"kind": "marketo", "subscribe": ["Frontend.Customer.*"], "url": marketo.url(), "client_id": "client-id",
                "client_secret": "client-secret", "deletes": "skip", "batch_age": "100ms",
                "circuit_first": "100ms", "circuit_most": "200ms",
                "fields": [{"to": "email", "lower": True}, {"to": "firstName", "from": "username"}], **more}
    return world.stand(endpoints={"marketo": endpoint}, consumer={"state": f"{world.folder}/state.sqlite"}, consume=consume)


def wait_parked(world, why):
    """Until `muskrat status` says why nothing is sent."""
    wait_until(lambda: why in world.program.run("status").stdout, 60, f"status to say: {why}")


def customer(world, n, email):
    world.sql("INSERT INTO customers (id, email) VALUES (%s, %s)", [n, email])


def hazards(marketo):
    """Keys that two calls, or a call and an import, had at once."""
    return [*marketo.hazards, *marketo.bulk.hazards]


def leads(marketo):
    return {row["email"]: row["firstName"] for row in list(marketo.store.leads.rows.values())}


def test_marketo_gets_each_customer_once_and_its_last_state(world, marketo):
    stand(world, marketo)
    world.customers(*range(1, 201))
    world.sql("UPDATE customers SET username = 'later' WHERE id <= 50")
    expected = {f"c{n}@example.com": "later" if n <= 50 else None for n in range(1, 201)}
    wait_until(lambda: leads(marketo) == expected, 60, "all leads in their last state")
    world.settled()
    assert len(marketo.store.leads.rows) == 200 and not hazards(marketo)
    assert marketo.journal.peak(LEADS) <= 5 and not world.broker.depth("muskrat.marketo.dead")


def test_marketo_requests_are_golden(world, marketo):
    marketo.store.define("car_c", ["vin"], {"vin": "string", "owner": "email"})
    stand(world, marketo, deletes="apply", partition="Default")
    customer(world, 1, "Ada@example.com")
    wait_until(lambda: len(leads(marketo)) == 1, 60, "the lead")
    world.sql("DELETE FROM customers")
    wait_until(lambda: not leads(marketo), 60, "the lead to go")
    world.consumer.stop()
    world.configure({"marketo": {**world.program.config["endpoints"]["marketo"], "object": "car_c", "dedupe_fields": ["vin"],
                                 "fields": [{"to": "vin", "from": "id", "as": "text"}, {"to": "owner", "from": "email"}]}},
                    consumer={"state": f"{world.folder}/state.sqlite"})
    del world.program.config["endpoints"]["marketo"]["partition"]
    world.program.save()
    world.start(relay=False)
    cars = marketo.store.objects["car_c"].rows
    customer(world, 2, "ada@example.com")
    wait_until(lambda: cars, 60, "the object")
    world.sql("DELETE FROM customers")
    wait_until(lambda: not cars, 60, "the object to go")
    world.program.ok("check", "--online")
    world.consumer.stop()
    world.configure({"marketo": {**world.program.config["endpoints"]["marketo"], "lanes": 1, "bulk_from": 2, "batch_age": "1s",
                                 "bulk_look": "200ms"}},
                    consumer={"state": f"{world.folder}/state.sqlite"})
    customer(world, 3, "a3@example.com")
    customer(world, 4, "no-address")
    wait_until(lambda: world.broker.depth("muskrat.marketo") == 2, 60, "both events")
    world.start(relay=False)
    wait_until(lambda: cars and world.broker.depth("muskrat.marketo.dead") == 1, 60, "the import to be over, and what it refused")
    golden("test/golden/marketo_requests.txt", requests_text(marketo.journal.all(), (r"Bearer \S+", "Bearer <token>"),
                                                             (r"muskrat-\d+(-\d+)+", "<boundary>"), (r"\r\n", "<CRLF>\n")))


def test_marketo_wrong_secret_says_what_to_do_and_a_right_one_needs_no_restart(world, marketo):
    marketo.client = ("client-id", "another secret")
    stand(world, marketo, consume=False)
    done = world.program.run("check", "--online")
    assert done.returncode != 0 and "client_id and client_secret" in done.stdout + done.stderr
    world.consumer = world.program.consume(wait=False)
    world.customers(1, 2)
    world.wait_log(world.consumer, "client_id and client_secret")
    marketo.client = ("client-id", "client-secret")
    wait_until(lambda: sorted(leads(marketo)) == ["c1@example.com", "c2@example.com"], 60, "both leads")


def test_marketo_user_without_rights_waits_with_a_reason(world, marketo):
    stand(world, marketo, hold_for="1s")
    marketo.fail_next("603", "Access denied", times=1000)
    world.customers(1, 2)
    wait_parked(world, "603: access denied: give the API user's role the right to do this")
    marketo.errors.clear()
    world.program.ok("resume", "marketo")
    wait_until(lambda: sorted(leads(marketo)) == ["c1@example.com", "c2@example.com"], 60, "both leads")
    assert not world.broker.depth("muskrat.marketo.dead")


@pytest.mark.parametrize("kind", ["calls", "import"])
def test_marketo_field_removed_in_mid_run_waits_and_goes_on_when_it_is_back(world, marketo, kind):
    """All records have the mapping's fields: none does better than the others, and none is to blame."""
    stand(world, marketo, hold_for="1s",
          **({"lanes": 1, "bulk_from": 2, "batch_age": "1s", "bulk_look": "200ms"} if kind == "import" else {}))
    world.customers(1, 2)
    wait_until(lambda: len(leads(marketo)) == 2, 60, "both leads")
    removed = marketo.store.leads.fields.pop("firstName")
    world.customers(3, 4, 5)
    wait_parked(world, "1006: there is no such field (field firstName); look at the endpoint's fields")
    marketo.store.leads.fields["firstName"] = removed
    world.program.ok("resume", "marketo")
    wait_until(lambda: sorted(leads(marketo)) == [f"c{n}@example.com" for n in range(1, 6)], 60, "all leads")
    assert not world.broker.depth("muskrat.marketo.dead")


def test_marketo_two_rows_with_one_address_make_one_lead(world, marketo):
    """Different ordering keys, so different lanes; the double takes its time between look-up and write."""
    marketo.traps.set(work=0.1)
    stand(world, marketo, batch_size=1, batch_age="0ms")
    for n in range(1, 13):
        customer(world, n, "same@example.com")
    world.settled()
    assert len(marketo.store.leads.rows) == 1 and not hazards(marketo)


@pytest.mark.parametrize("lookup, left", [("customerId", ["new@example.com"]), ("email", ["new@example.com", "old@example.com"])])
def test_marketo_address_that_changes_is_one_lead_where_leads_are_found_by_the_rows_id(world, marketo, lookup, left):
    marketo.store.leads.fields["customerId"] = described("customerId")
    stand(world, marketo, lookup_field=lookup, fields=["email", {"to": "customerId", "from": "id", "as": "text"}])
    customer(world, 1, "old@example.com")
    wait_until(lambda: len(marketo.store.leads.rows) == 1, 60, "the lead")
    world.sql("UPDATE customers SET email = 'new@example.com'")
    wait_until(lambda: sorted(row["email"] for row in list(marketo.store.leads.rows.values())) == left, 60, "its new address")
    world.settled()
    assert not world.broker.depth("muskrat.marketo.dead")


def test_marketo_faults_of_the_api_lose_nothing(world, marketo):
    marketo.traps.set(expire_token=1, fewer_results=1, concurrency_exceeded=1)
    stand(world, marketo)
    world.customers(*range(1, 51))
    customer(world, 60, "no-address")
    expected = {f"c{n}@example.com": None for n in range(1, 51)}
    wait_until(lambda: leads(marketo) == expected, 60, "all leads")
    wait_until(lambda: world.broker.depth("muskrat.marketo.dead") == 1, 60, "the one that is no address")
    world.settled()
    assert not hazards(marketo)


def test_marketo_deletes_take_the_leads_away(world, marketo):
    stand(world, marketo, deletes="apply")
    world.customers(*range(1, 21))
    wait_until(lambda: len(leads(marketo)) == 20, 60, "all leads")
    world.sql("DELETE FROM customers WHERE id <= 5")
    wait_until(lambda: sorted(leads(marketo)) == sorted(f"c{n}@example.com" for n in range(6, 21)), 60, "five leads to go")
    world.settled()
    assert not world.broker.depth("muskrat.marketo.dead")


def test_marketo_custom_objects_wait_for_their_lead_and_go_with_their_row(world, marketo):
    cars = marketo.store.define("car_c", ["vin"], {"vin": "string", "owner": "email"}, link=("owner", "email"))
    stand(world, marketo, object="car_c", dedupe_fields=["vin"], deletes="apply", missing_lead="retry", retry_most="300ms",
          fields=[{"to": "vin", "from": "id"}, {"to": "owner", "from": "email"}])
    world.customers(1, 2, 3)
    world.wait_log(world.consumer, "1004: there is no such lead")
    for n in (1, 2, 3):
        marketo.store.insert_lead(email=f"c{n}@example.com")

    def there():
        return {row["vin"]: row["owner"] for row in list(cars.rows.values())}
    wait_until(lambda: there() == {n: f"c{n}@example.com" for n in (1, 2, 3)}, 60, "the objects, once their leads are there")
    world.sql("DELETE FROM customers WHERE id = 2")
    wait_until(lambda: sorted(there()) == [1, 3], 60, "one to go")
    world.settled()
    assert not world.broker.depth("muskrat.marketo.dead")


def test_marketo_used_up_quota_parks_the_endpoint_until_its_reset(world, marketo):
    marketo.traps.set(quota_exceeded=True)
    stand(world, marketo, hold_for="0ms")
    world.customers(1)
    world.wait_log(world.consumer, "607: the day's quota of calls is used up")
    assert marketo.journal.count(LEADS) == 1 and not world.broker.depth("muskrat.marketo.dead")
    wait_until(lambda: world.broker.depth("muskrat.marketo") == 1, 60, "the event to wait in its queue")


def test_marketo_check_online_tells_every_field_that_does_not_fit_with_its_line(world, marketo):
    marketo.store.define("car_c", ["vin"], {"vin": "string", "owner": "email", "km": "integer"})
    car = {"kind": "marketo", "subscribe": ["Frontend.Customer.*"], "url": marketo.url(), "client_id": "client-id",
           "client_secret": "client-secret", "object": "car_c"}
    stand(world, marketo, fields=["email", {"to": "fristName", "from": "username"}, {"to": "createdAt", "from": "since"},
                                  {"to": "leadScore", "as": "boolean"}, {"to": "salutation", "value": "x" * 256}])
    world.configure({"marketo": world.program.config["endpoints"]["marketo"],
                     "cars": {**car, "dedupe_fields": ["owner"], "fields": ["owner", "vni"]},
                     "gone": {**car, "object": "gone_c", "dedupe_fields": ["vin"]},
                     "good": {**car, "dedupe_fields": ["vin"], "fields": ["vin", {"to": "km", "as": "integer"}]}},
                    consumer={"state": f"{world.folder}/state.sqlite"})
    done = world.program.run("check", "--online")
    assert done.returncode == 3
    with open(world.program.config_path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    told = [line.split("PROBLEM", 1)[1].strip() for line in done.stdout.splitlines() if "PROBLEM" in line and "endpoint " in line]
    for name, text, part in [
            ("marketo", "field fristName: Marketo's leads have no such field (did you mean firstName?)", "fristName"),
            ("marketo", "field createdAt: it is read-only", "createdAt"),
            ("marketo", "field leadScore: boolean does not fit its type integer", "as: boolean"),
            ("marketo", "field salutation: value is longer than its 255 characters", "xxx"),
            ("cars", "dedupe_fields: Marketo finds its car_c by vin, not by owner", "- owner"),
            ("cars", "field vni: Marketo's objects car_c have no such field (did you mean vin?)", "vni"),
            ("gone", "object: Marketo answers 1013: the object was not found", "object: gone_c")]:
        found = [t for t in told if t.endswith(f": endpoint {name}: {text}")]
        assert len(found) == 1, f"{text}\n{done.stdout}"
        assert part in lines[int(found[0].split(":")[1]) - 1], found[0]
    assert "endpoint good: 2 fields of its mapping, compared with what is there" in done.stdout
    assert not [t for t in told if "endpoint good" in t]


IMPORTS = "/bulk/v1/leads"


def backlog(world, marketo, count, **more):
    """A host that will find so many events in its queue, more than one call holds; one lane, one delivery."""
    stand(world, marketo, lanes=1, batch_size=1000, bulk_from=400, bulk_look="200ms", batch_age="1s", **more)
    world.consumer.stop()
    world.sql("INSERT INTO customers (id, email, username) "
              f"SELECT n, 'c' || n || '@example.com', 'u, \"' || n || '\"' FROM generate_series(1, {count}) n")
    wait_until(lambda: world.broker.depth("muskrat.marketo") == count, 60, "the backlog")


def imported(count, but=()):
    return {f"c{n}@example.com": f'u, "{n}"' for n in range(1, count + 1) if n not in but}


def test_marketo_backlog_goes_as_one_import_and_each_record_has_its_fate(world, marketo):
    marketo.store.refuse("1003", "Invalid value for field 'firstName' and value 'secret'", email="c7@example.com")
    marketo.store.refuse("1020", "Object is being cloned", times=1, email="c8@example.com")
    marketo.store.warn("the value secret was changed", email="c10@example.com")
    backlog(world, marketo, 600)
    world.sql("UPDATE customers SET username = NULL WHERE id = 9")  # no file holds that
    customer(world, 601, "c601@example.com")
    wait_until(lambda: world.broker.depth("muskrat.marketo") == 602, 60, "two more")
    world.consumer = world.program.consume()
    wait_until(lambda: leads(marketo) == {**imported(600, but=[7]), "c9@example.com": None, "c601@example.com": None}, 60, "all leads")
    world.settled()
    assert world.broker.depth("muskrat.marketo.dead") == 1
    letter = world.program.ok("dead", "list", "marketo")
    assert "1003: invalid data (field firstName)" in letter and "secret" not in letter
    assert marketo.journal.count(IMPORTS + ".json", "POST") == 1 and len(marketo.bulk.jobs) == 1
    upload = marketo.journal.all(IMPORTS + ".json", "POST")[0]
    assert 'filename="muskrat.csv"' in upload["body"] and "email,firstName\n" in upload["body"] and not hazards(marketo)
    assert sum(e["body"].count('"email":') for e in marketo.journal.all(LEADS, "POST")) <= 5  # 7, 8 and those that are no rows
    assert 600 <= world.consumer.metric("muskrat_endpoint_imported_total") <= 601
    assert world.consumer.metric("muskrat_endpoint_import_warnings_total") == 1
    world.wait_log(world.consumer, "imported with a warning")


def test_marketo_import_that_marketo_does_not_know_for_a_moment_is_waited_for(world, marketo):
    marketo.traps.set(import_gone=2, import_looks=2)
    backlog(world, marketo, 500)
    world.consumer = world.program.consume()
    wait_until(lambda: leads(marketo) == imported(500), 60, "all leads")
    world.settled()
    assert not marketo.journal.count(LEADS, "POST") and not hazards(marketo)


def jobs(world):
    (queue,) = json.loads(world.program.run("status", "--json").stdout)["queues"]
    return queue["jobs"]


def test_marketo_import_that_is_at_work_is_seen_until_it_is_over(world, marketo):
    """In `muskrat status`, on the host's page and in its metrics; also by the next host, when this one is killed."""
    marketo.traps.set(import_looks=1_000_000)
    backlog(world, marketo, 500, unanswered_rest="1s")
    world.consumer = world.program.consume()
    wait_until(lambda: [job["state"] for job in jobs(world)] == ["Importing"], 60, "muskrat status to tell of the import")
    (job,) = jobs(world)
    number = job["id"]
    assert job["what"] == "bulk import" and job["records"] == 500 and number == str(next(iter(marketo.bulk.jobs)))
    assert job["since"] <= job["heard"]
    told = world.program.run("status").stdout
    assert "jobs under way" in told and re.search(rf"marketo +bulk import {number} +500 +Importing", told)
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_jobs", endpoint="marketo") == 1, 60, "the metric")
    page = world.consumer.get("/")[1]
    assert f"bulk import {number}" in page and "500 records, Importing" in page
    world.consumer.kill9()
    (job,) = jobs(world)
    world.consumer = world.program.consume()
    wait_until(lambda: [j["heard"] for j in jobs(world) if j["heard"] > job["heard"]], 60, "the next host to hear of it")
    assert [(j["id"], j["records"], j["since"]) for j in jobs(world)] == [(number, 500, job["since"])]
    marketo.traps.set(import_looks=0)
    wait_until(lambda: leads(marketo) == imported(500), 60, "all leads")
    wait_until(lambda: jobs(world) == [], 60, "muskrat status to tell of none")
    assert "jobs under way" not in world.program.run("status").stdout
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_jobs", endpoint="marketo") == 0, 60, "the metric")


@pytest.mark.parametrize("fault", ["import fails", "too many imports"])
def test_marketo_import_that_comes_to_nothing_goes_as_calls(world, marketo, fault):
    if fault == "import fails":
        marketo.traps.set(import_fails=1)
    else:
        marketo.answer_next(200, {"requestId": "a", "success": False, "errors": [{"code": "1016", "message": "Too many imports"}]},
                            only=IMPORTS)
    backlog(world, marketo, 500)
    world.consumer = world.program.consume()
    wait_until(lambda: leads(marketo) == imported(500), 60, "all leads")
    world.settled()
    assert not world.broker.depth("muskrat.marketo.dead") and marketo.journal.count(LEADS, "POST") == 2


CARS = "/bulk/v1/customobjects/car_c/import"


def car_backlog(world, marketo, count, without_lead=None, **more):
    """The same of custom objects; each belongs to the lead of its owner's address, which is there already but for one."""
    cars = marketo.store.define("car_c", ["vin"], {"vin": "string", "model": "string", "owner": "email"}, link=("owner", "email"))
    for n in set(range(1, count + 1)) - {without_lead}:
        marketo.store.insert_lead(email=f"c{n}@example.com")
    fields = [{"to": "vin", "from": "id", "as": "text"}, {"to": "model", "from": "username"}, {"to": "owner", "from": "email"}]
    backlog(world, marketo, count, object="car_c", dedupe_fields=["vin"], fields=fields, **more)
    return cars.rows


def models(cars):
    return {row["vin"]: row["model"] for row in list(cars.values())}


def built(count, but=()):
    return {str(n): f'u, "{n}"' for n in range(1, count + 1) if n not in but}


def test_marketo_backlog_of_custom_objects_goes_as_one_import_and_each_has_its_fate(world, marketo):
    marketo.store.refuse("1003", "Invalid value for field 'model' and value 'secret'", vin="7")
    cars = car_backlog(world, marketo, 600, without_lead=8, missing_lead="retry", retry_first="100ms", retry_most="200ms",
                       retry_attempts=1000)
    world.consumer = world.program.consume()
    wait_until(lambda: models(cars) == built(600, but=[7, 8]), 60, "all objects but two")
    wait_until(lambda: world.broker.depth("muskrat.marketo.dead") == 1, 60, "the one that is refused for good")
    letter = world.program.ok("dead", "list", "marketo")
    assert "1003: invalid data (field model)" in letter and "secret" not in letter
    assert marketo.journal.count(CARS + ".json", "POST") == 1 and marketo.journal.count(IMPORTS + ".json", "POST") == 0
    upload = marketo.journal.all(CARS + ".json", "POST")[0]
    assert upload["path"].endswith("?format=csv") and "model,owner,vin\n" in upload["body"]
    marketo.store.insert_lead(email="c8@example.com")  # what it was tried again for
    wait_until(lambda: models(cars) == built(600, but=[7]), 60, "the one whose lead came late")
    world.settled()
    objects = [json.loads(e["body"])["input"] for e in marketo.journal.all("/rest/v1/customobjects/car_c.json", "POST")]
    assert {record["vin"] for call in objects for record in call} == {"7", "8"}
    assert world.consumer.metric("muskrat_endpoint_imported_total") == 600 and not hazards(marketo)


def test_marketo_import_of_custom_objects_of_a_killed_host_is_found_again(world, marketo):
    cars = car_backlog(world, marketo, 500, unanswered_rest="1s")
    world.consumer = world.program.consume(wait=False)
    wait_until(lambda: [e for e in marketo.journal.all(CARS + "/", "GET") if e["ended"]], 60, "a look at the import")
    world.consumer.kill9()
    world.consumer = world.program.consume()
    wait_until(lambda: models(cars) == built(500), 60, "all objects")
    world.settled()
    assert marketo.journal.count(CARS + ".json", "POST") == 1 and not hazards(marketo)
    assert not marketo.journal.count("/rest/v1/customobjects/car_c.json", "POST")
    wait_until(lambda: not notes(world), 60, "nothing to be under way")


@pytest.mark.parametrize("seen", ["upload", "look"])
def test_marketo_import_of_a_host_that_was_killed_is_found_again(world, marketo, seen):
    """Its events come again, and are settled by what became of them in the import: nothing goes a second time."""
    backlog(world, marketo, 500, unanswered_rest="1s")
    world.consumer = world.program.consume(wait=False)
    path = IMPORTS + "/batch" if seen == "look" else IMPORTS + ".json"
    wait_until(lambda: [e for e in marketo.journal.all(path) if e["ended"]], 60, "the import")
    if seen == "upload":  # and it was noted
        wait_until(lambda: notes(world, "import"), 60, "the note")
    world.consumer.kill9()
    world.consumer = world.program.consume()
    wait_until(lambda: leads(marketo) == imported(500), 60, "all leads")
    world.settled()
    assert marketo.journal.count(IMPORTS + ".json", "POST") == 1 and not marketo.journal.count(LEADS, "POST") and not hazards(marketo)
    wait_until(lambda: not notes(world), 60, "nothing to be under way")


def notes(world, begin=""):
    with contextlib.closing(sqlite3.connect(f"file:{world.folder}/state.sqlite?mode=ro", uri=True)) as state:
        return state.execute("SELECT id, text FROM under_way WHERE id LIKE ?", [begin + "%"]).fetchall()


def test_marketo_keys_of_a_killed_hosts_call_rest_and_others_do_not(world, marketo):
    """The call goes on at Marketo: a second one with its key would make a second lead."""
    marketo.traps.set(work=4)
    stand(world, marketo, lanes=1, unanswered_rest="15s")
    customer(world, 1, "c1@example.com")
    wait_until(lambda: marketo.journal.count(LEADS) == 1, 60, "the call")
    assert [text for _, text in notes(world) if "example.com" not in text]
    world.consumer.kill9()
    marketo.traps.set(work=0)
    world.consumer = world.program.consume()
    customer(world, 2, "c2@example.com")
    wait_until(lambda: "c2@example.com" in leads(marketo), 60, "the other lead")
    assert marketo.journal.count(LEADS) == 2
    wait_until(lambda: marketo.journal.count(LEADS) == 3, 60, "the first, once its call is over")
    wait_until(lambda: not notes(world), 60, "nothing to be under way")
    assert sorted(leads(marketo)) == ["c1@example.com", "c2@example.com"] and not hazards(marketo)
    assert len(marketo.store.leads.rows) == 2
