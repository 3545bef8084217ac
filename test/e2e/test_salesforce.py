"""Records through the real host into the double of Salesforce: contacts of accounts, told apart by an external id."""
import json
import os
import subprocess

import pytest

from doubles.salesforce import Salesforce
from harness.golden import golden, requests_text
from harness.processes import wait_until

COLLECTIONS = "/composite/sobjects/"
TOKEN = "/services/oauth2/token"


def certificate(folder, name):
    """A key and the certificate that the app gets: (key file, certificate file)."""
    key, cert = os.path.join(folder, f"{name}.key"), os.path.join(folder, f"{name}.crt")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=muskrat",
                    "-days", "2"], check=True, capture_output=True, timeout=60)
    return key, cert


@pytest.fixture
def app(world):
    return certificate(world.folder, "app")


@pytest.fixture
def salesforce(app):
    with Salesforce(certificate=app[1]) as double:
        for n in range(3):
            double.org.insert("Account", {"Name": f"A{n}", "Ext_Id__c": f"a-{n}"})
        yield double


def endpoint(salesforce, key, **more):
    return {"kind": "salesforce", "subscribe": ["Frontend.Customer.*"], "login_url": salesforce.url(), "client_id": "consumer-key",
            "username": "muskrat@example.com", "private_key": f"${{file:{key}}}", "object": "Contact", "external_id": "Ext_Id__c",
            "batch_age": "100ms", "circuit_first": "100ms", "circuit_most": "200ms",
            "fields": [{"to": "Ext_Id__c", "from": "id", "as": "text"}, {"to": "LastName", "from": "username", "default": "-"},
                       {"to": "Email", "from": "email"}, {"to": "Account.Ext_Id__c", "from": "company"}], **more}


def client_credentials(salesforce, **more):
    made = endpoint(salesforce, "", login="client_credentials", client_secret="consumer-secret", **more)
    return {k: v for k, v in made.items() if k not in ("username", "private_key")}


def stand(world, salesforce, key, **more):
    return world.stand(endpoints={"salesforce": endpoint(salesforce, key, **more)}, consumer={"state": f"{world.folder}/state.sqlite"})


def sign_up(world, first, last, company="'a-' || n % 3"):
    world.sql(f"INSERT INTO customers (id, email, company) SELECT n, 'c' || n || '@example.com', {company} "
              f"FROM generate_series({first}, {last}) n")


def contacts(salesforce):
    with salesforce.lock:
        return {row["Ext_Id__c"]: row["LastName"] for row in salesforce.org.seen("Contact")}


def wait_contacts(world, salesforce, expected):
    wait_until(lambda: contacts(salesforce) == expected, 60, "all contacts in their last state")
    world.settled()


def wait_parked(world, why):
    """Until `muskrat status` says why nothing is sent."""
    wait_until(lambda: why in world.program.run("status").stdout, 60, f"status to say: {why}")


def test_salesforce_gets_each_customer_in_its_last_state(world, salesforce, app):
    stand(world, salesforce, app[0])
    sign_up(world, 1, 500)
    world.sql("UPDATE customers SET username = 'later' WHERE id <= 50")
    world.sql("UPDATE customers SET company = NULL WHERE id = 51")
    world.sql("DELETE FROM customers WHERE id > 490")
    wait_contacts(world, salesforce, {str(n): "later" if n <= 50 else "-" for n in range(1, 491)})
    account = {row["Ext_Id__c"]: row.get("AccountId") for row in salesforce.org.seen("Contact")}
    assert account["51"] is None and account["52"] is not None
    sizes = [len(json.loads(e["body"])["records"]) for e in salesforce.journal.all(COLLECTIONS)]
    assert max(sizes) <= 200 and salesforce.journal.count(TOKEN) == 1
    assert not world.broker.depth("muskrat.salesforce.dead")


def test_salesforce_requests_are_golden(world, salesforce, app):
    """A collection, a delete, a bulk job to its end."""
    stand(world, salesforce, app[0])
    sign_up(world, 1, 1, company="'a-1'")
    wait_contacts(world, salesforce, {"1": "-"})
    world.sql("DELETE FROM customers")
    wait_contacts(world, salesforce, {})
    world.consumer.stop()
    salesforce.bulk.polls = 0
    world.configure({"salesforce": endpoint(salesforce, app[0], lanes=1, bulk_from=2, batch_age="1s")},
                    consumer={"state": f"{world.folder}/state.sqlite"})
    sign_up(world, 2, 3, company="'a-1'")
    wait_until(lambda: world.broker.depth("muskrat.salesforce") == 2, 60, "both events")
    world.start(relay=False)
    wait_until(lambda: salesforce.journal.count("/jobs/ingest", "DELETE") == 1, 60, "the job to be over")
    golden("test/golden/salesforce_requests.txt", requests_text(
        salesforce.journal.all(), (r"assertion=[\w.%-]+", "assertion=<signed>"), (r"Bearer \S+", "Bearer <session>")))


def test_salesforce_faults_of_the_api_lose_nothing(world, salesforce, app):
    salesforce.traps.set(fewer_results=1, unavailable=1, xml=1, concurrent_limit=1)
    salesforce.traps.set(expire_session=1, skip=1)
    salesforce.traps.set(lose=1, skip=4, only="composite")
    salesforce.org.refuse("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no, secret@example.com", Ext_Id__c="7")
    salesforce.org.refuse("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", times=2, Ext_Id__c="8")
    stand(world, salesforce, app[0], unanswered_rest="500ms", retry_first="100ms")
    sign_up(world, 1, 60)
    wait_contacts(world, salesforce, {str(n): "-" for n in range(1, 61) if n != 7})
    assert world.broker.depth("muskrat.salesforce.dead") == 1
    letter = world.program.ok("dead", "list", "salesforce")
    assert "FIELD_CUSTOM_VALIDATION_EXCEPTION" in letter and "secret@example.com" not in letter
    sprung = {note for e in salesforce.journal.all() for note in e["notes"]}
    assert {"fewer_results", "unavailable", "xml", "concurrent_limit", "expire_session", "lose"} <= sprung


def test_salesforce_calls_with_one_parent_take_turns_and_lock_nobody_out(world, salesforce, app):
    salesforce.traps.set(work=0.05)
    stand(world, salesforce, app[0], lanes=4, batch_size=5)
    sign_up(world, 1, 60, company="'a-1'")
    wait_contacts(world, salesforce, {str(n): "-" for n in range(1, 61)})
    assert salesforce.journal.peak(COLLECTIONS) == 1
    assert world.consumer.metric("muskrat_endpoint_retries_total", endpoint="salesforce") == 0


def test_salesforce_share_of_the_daily_calls_parks_and_status_shows_it(world, salesforce, app):
    salesforce.daily_limit = 10
    stand(world, salesforce, app[0], quota_share=50, batch_size=1, lanes=1, batch_age="0ms", hold_for="0ms")
    sign_up(world, 1, 9)
    wait_parked(world, "the org has used 5 of its 10 API calls of 24 hours")
    assert len(contacts(salesforce)) == 5 and not world.broker.depth("muskrat.salesforce.dead")


def test_salesforce_wrong_key_says_what_to_do_and_a_right_one_needs_no_restart(world, salesforce, app):
    right = app[0] + ".right"
    os.rename(app[0], right)
    os.rename(certificate(world.folder, "other")[0], app[0])
    world.configure({"salesforce": endpoint(salesforce, app[0])}, consumer={"state": f"{world.folder}/state.sqlite"})
    done = world.program.run("check", "--online")
    assert done.returncode != 0 and "private_key does not belong to the certificate" in done.stdout + done.stderr
    world.stand(endpoints={"salesforce": endpoint(salesforce, app[0])}, consumer={"state": f"{world.folder}/state.sqlite"}, consume=False)
    world.consumer = world.program.consume(wait=False)
    sign_up(world, 1, 3)
    world.wait_log(world.consumer, "private_key does not belong to the certificate")
    os.replace(right, app[0])
    wait_contacts(world, salesforce, {"1": "-", "2": "-", "3": "-"})


def test_salesforce_expired_certificate_says_what_to_do_and_a_new_one_needs_no_restart(world, salesforce, app):
    salesforce.clock.advance(3 * 86400)  # it was for two days
    world.configure({"salesforce": endpoint(salesforce, app[0])}, consumer={"state": f"{world.folder}/state.sqlite"})
    done = world.program.run("check", "--online")
    assert done.returncode != 0 and "the date of the certificate" in done.stdout + done.stderr
    world.stand(endpoints={"salesforce": endpoint(salesforce, app[0])}, consumer={"state": f"{world.folder}/state.sqlite"}, consume=False)
    world.consumer = world.program.consume(wait=False)
    sign_up(world, 1, 3)
    world.wait_log(world.consumer, "the date of the certificate")
    salesforce.clock.advance(-3 * 86400)
    key, salesforce.oauth.certificate = certificate(world.folder, "new")
    os.replace(key, app[0])
    wait_contacts(world, salesforce, {"1": "-", "2": "-", "3": "-"})


def test_salesforce_user_without_rights_waits_with_a_reason(world, salesforce, app):
    salesforce.traps.set(api_disabled=True)
    stand(world, salesforce, app[0])
    sign_up(world, 1, 3)
    wait_parked(world, "API_DISABLED_FOR_ORG; the user needs the right API Enabled")
    salesforce.traps.set(api_disabled=False)
    world.program.ok("resume", "salesforce")
    wait_contacts(world, salesforce, {"1": "-", "2": "-", "3": "-"})


def test_salesforce_field_removed_in_mid_run_waits_and_goes_on_when_it_is_back(world, salesforce, app):
    salesforce.org.add_field("Contact", "Level__c")
    fields = endpoint(salesforce, app[0])["fields"] + [{"to": "Level__c", "value": "gold"}]
    stand(world, salesforce, app[0], fields=fields)
    sign_up(world, 1, 3)
    wait_contacts(world, salesforce, {"1": "-", "2": "-", "3": "-"})
    salesforce.org.remove_field("Contact", "Level__c")
    sign_up(world, 4, 6)
    wait_parked(world, "INVALID_FIELD on Level__c; look at the endpoint's object, external_id and fields")
    salesforce.org.add_field("Contact", "Level__c")
    world.program.ok("resume", "salesforce")
    wait_contacts(world, salesforce, {str(n): "-" for n in range(1, 7)})
    assert not world.broker.depth("muskrat.salesforce.dead")


def test_salesforce_parent_that_comes_later_is_waited_for_in_any_language(world, salesforce, app):
    salesforce.traps.set(translate=True)
    stand(world, salesforce, app[0], retry_first="50ms", retry_most="200ms", retry_attempts=1000)
    sign_up(world, 1, 3, company="CASE n WHEN 1 THEN 'a-9' ELSE 'a-1' END")
    wait_until(lambda: contacts(salesforce) == {"2": "-", "3": "-"}, 60, "those whose parent is there")
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_retries_total", endpoint="salesforce") >= 2, 60, "it to be tried again")
    with salesforce.lock:
        salesforce.org.insert("Account", {"Name": "A9", "Ext_Id__c": "a-9"})
    wait_contacts(world, salesforce, {"1": "-", "2": "-", "3": "-"})
    assert not world.broker.depth("muskrat.salesforce.dead")


def test_salesforce_deletes_wait_while_the_user_may_not_see_the_object(world, salesforce, app):
    """Salesforce answers them as it does where the record is gone."""
    stand(world, salesforce, app[0])
    sign_up(world, 1, 3)
    wait_contacts(world, salesforce, {"1": "-", "2": "-", "3": "-"})
    with salesforce.lock:
        salesforce.org.insert("Contact", {"LastName": "L", "Ext_Id__c": "ann@example.inc"})
        salesforce.org.hide("Contact")
    world.sql("DELETE FROM customers WHERE id <= 2")
    world.broker.publish("Frontend.Customer.Cancel", '{"id": "ann@example.inc"}', message_id="m", headers={"x-muskrat-op": "delete"})
    wait_parked(world, "INVALID_TYPE; look at the endpoint's object")
    with salesforce.lock:
        salesforce.org.show("Contact")
    world.program.ok("resume", "salesforce")
    wait_contacts(world, salesforce, {"3": "-"})
    assert not world.broker.depth("muskrat.salesforce.dead")


def test_salesforce_rotated_refresh_token_outlives_the_host(world, salesforce):
    salesforce.traps.set(rotate=True)
    path = os.path.join(world.folder, "refresh-token")
    with open(path, "w", encoding="ascii") as f:
        f.write(salesforce.oauth.refresh_token())
    made = client_credentials(salesforce, refresh_token_file=path)
    world.stand(endpoints={"salesforce": {**made, "login": "refresh_token"}}, consumer={"state": f"{world.folder}/state.sqlite"})
    sign_up(world, 1, 3)
    wait_contacts(world, salesforce, {"1": "-", "2": "-", "3": "-"})
    world.consumer.kill9()
    world.program.consume()
    sign_up(world, 4, 6)
    wait_contacts(world, salesforce, {str(n): "-" for n in range(1, 7)})
    assert salesforce.journal.count(TOKEN) == 2
    with open(path, encoding="ascii") as f:
        assert f.read().strip() == salesforce.oauth.refresh_token()


def crm(world, made):
    world.program.configure(world.broker.url, endpoints={"crm": made}, consumer={"state": f"{world.folder}/state.sqlite"})
    world.program.setup()
    return world.program.run("check", "--online")


def test_salesforce_check_online_holds_the_mapping_against_the_describe(world, salesforce, app):
    salesforce.org.add_field("Contact", "Level__c", kind="double")
    salesforce.org.add_field("Contact", "Short__c", length=3)
    made = endpoint(salesforce, app[0])
    fields = made["fields"] + [{"to": "Levl__c", "from": "rate"}, {"to": "level__c", "from": "rate", "as": "boolean"},
                               {"to": "Short__c", "value": "long"}, {"to": "CreatedDate", "from": "since"},
                               {"to": "Owner.Nothing__c", "from": "owner"}]
    done = crm(world, {**made, "fields": fields})
    assert done.returncode != 0
    for text in ["field Levl__c: Salesforce's objects Contact have no such field (did you mean level__c?)",
                 "field level__c: boolean does not fit its type double",
                 "field Short__c: value is longer than its 3 characters", "field CreatedDate: it is read-only",
                 "field Owner.Nothing__c: Salesforce's objects Contact have no such field"]:
        assert text in done.stdout, done.stdout
    assert "field Email" not in done.stdout and "field Account.Ext_Id__c" not in done.stdout
    done = crm(world, made)
    assert done.returncode == 0 and "4 fields of its mapping, compared with what is there" in done.stdout
    done = crm(world, {**made, "fields": [f for f in made["fields"] if f["to"] != "LastName"]})
    assert done.returncode == 0 and "warning" in done.stdout
    assert "field LastName: Salesforce's objects Contact cannot be made without it, and the mapping leaves it out" in done.stdout
    assert "object Contat: Salesforce has no such object" in crm(world, {**made, "object": "Contat"}).stdout


def test_salesforce_check_online_finds_a_key_that_is_none(world, salesforce, app):
    made = endpoint(salesforce, app[0], external_id="Phone")
    done = crm(world, {**made, "fields": [{"to": "Phone", "from": "id"}]})
    assert done.returncode != 0 and "external_id Phone: it is not marked as External ID" in done.stdout


def backlog(world, salesforce, key, count, **more):
    """A host that finds so many events in its queue, more than one call holds; one lane, one delivery."""
    world.stand(endpoints={"salesforce": endpoint(salesforce, key, lanes=1, batch_size=1000, bulk_from=300, batch_age="1s", **more)},
                consumer={"state": f"{world.folder}/state.sqlite"}, consume=False)
    sign_up(world, 1, count)
    wait_until(lambda: world.broker.depth("muskrat.salesforce") == count, 60, "the backlog")


def test_salesforce_backlog_goes_as_one_bulk_job_and_each_record_has_its_fate(world, salesforce, app):
    salesforce.org.refuse("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no, secret@example.com", Ext_Id__c="7")
    salesforce.org.refuse("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", times=1, Ext_Id__c="8")
    backlog(world, salesforce, app[0], 600)
    world.sql("UPDATE customers SET username = 'a \"b\", c' || chr(10) || 'd', company = NULL WHERE id = 9")
    wait_until(lambda: world.broker.depth("muskrat.salesforce") == 601, 60, "the change")
    world.consumer = world.program.consume()
    wait_contacts(world, salesforce, {str(n): 'a "b", c\nd' if n == 9 else "-" for n in range(1, 601) if n != 7})
    assert world.broker.depth("muskrat.salesforce.dead") == 1
    letter = world.program.ok("dead", "list", "salesforce")
    assert "FIELD_CUSTOM_VALIDATION_EXCEPTION" in letter and "secret@example.com" not in letter
    assert salesforce.journal.count("/jobs/ingest", "POST") == 1 and not salesforce.bulk.jobs
    uploads = salesforce.journal.all("/batches", "PUT")
    assert uploads[0]["body"].startswith("Ext_Id__c,LastName,Email,Account.Ext_Id__c\n") and uploads[0]["body"].count("\n") == 601
    assert sum(len(json.loads(e["body"])["records"]) for e in salesforce.journal.all(COLLECTIONS)) <= 3  # 8 again, and 9
    account = {row["Ext_Id__c"]: row.get("AccountId") for row in salesforce.org.seen("Contact")}
    assert account["9"] is None and account["10"] is not None


def test_salesforce_bulk_job_that_is_at_work_is_seen_until_it_is_over(world, salesforce, app):
    salesforce.bulk.polls = 1_000_000
    backlog(world, salesforce, app[0], 400)
    world.consumer = world.program.consume()

    def jobs():
        (queue,) = json.loads(world.program.run("status", "--json").stdout)["queues"]
        return queue["jobs"]
    wait_until(lambda: [job["state"] for job in jobs()] == ["InProgress"], 60, "muskrat status to tell of the job")
    (job,) = jobs()
    assert job["what"] == "bulk job" and job["records"] == 400 and [job["id"]] == list(salesforce.bulk.jobs)
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_jobs", endpoint="salesforce") == 1, 60, "the metric")
    page = world.consumer.get("/")[1]
    assert f"bulk job {job['id']}" in page and "400 records, InProgress" in page
    salesforce.bulk.polls = 0
    wait_contacts(world, salesforce, {str(n): "-" for n in range(1, 401)})
    wait_until(lambda: jobs() == [], 60, "muskrat status to tell of none")


def test_salesforce_bulk_job_that_fails_half_way_loses_nothing(world, salesforce, app):
    salesforce.traps.set(job_fails=1)
    salesforce.traps.set(lose=1, only="Results")
    backlog(world, salesforce, app[0], 400, unanswered_rest="500ms")
    world.consumer = world.program.consume()
    wait_contacts(world, salesforce, {str(n): "-" for n in range(1, 401)})
    assert not world.broker.depth("muskrat.salesforce.dead")


def test_salesforce_bulk_job_that_fails_each_time_goes_in_collections(world, salesforce, app):
    """And not as one job after the other, for which the backlog stays large enough."""
    salesforce.traps.set(job_fails=1000)
    backlog(world, salesforce, app[0], 700)
    world.consumer = world.program.consume()
    wait_contacts(world, salesforce, {str(n): "-" for n in range(1, 701)})
    assert salesforce.journal.count("/jobs/ingest", "POST") == 1 and not world.broker.depth("muskrat.salesforce.dead")


def test_salesforce_bulk_job_leaves_out_a_record_that_is_too_long_for_it(world, salesforce, app):
    fields = endpoint(salesforce, app[0])["fields"] + [{"to": "Description", "from": "username"}]
    for name in ("LastName", "Description"):
        salesforce.org.objects["Contact"].fields[name]["length"] = 100_000
    backlog(world, salesforce, app[0], 400, fields=fields)
    world.sql("INSERT INTO customers (id, email, company, username) VALUES (401, 'c401@example.com', 'a-1', repeat('x', 32001))")
    wait_until(lambda: world.broker.depth("muskrat.salesforce") == 401, 60, "the long one")
    world.consumer = world.program.consume()
    wait_contacts(world, salesforce, {str(n): "x" * 32_001 if n == 401 else "-" for n in range(1, 402)})
    assert salesforce.journal.count("/jobs/ingest", "POST") == 1 and not world.broker.depth("muskrat.salesforce.dead")


def test_salesforce_bulk_job_whose_close_got_no_answer_writes_nothing_over_newer_state(world, salesforce, app):
    salesforce.bulk.polls = 1_000_000
    salesforce.traps.set(lose=1, skip=1, only="/jobs/ingest/7505")  # the upload has one
    backlog(world, salesforce, app[0], 400, unanswered_rest="0ms")
    world.consumer = world.program.consume()
    wait_until(lambda: salesforce.journal.noted("lose"), 60, "the close without an answer")
    assert "UploadComplete" in salesforce.journal.noted("lose")[0]["body"]
    world.sql("UPDATE customers SET username = 'later'")
    wait_contacts(world, salesforce, {str(n): "later" for n in range(1, 401)})
    salesforce.bulk.carry_out()
    assert set(contacts(salesforce).values()) == {"later"}


def test_salesforce_bulk_job_of_a_mapping_with_an_unknown_field_waits_with_a_reason(world, salesforce, app):
    fields = endpoint(salesforce, app[0])["fields"] + [{"to": "Levl__c", "value": "gold"}]
    backlog(world, salesforce, app[0], 400, fields=fields)
    world.consumer = world.program.consume()
    wait_parked(world, "INVALID_FIELD on Levl__c; look at the endpoint's object")  # as collections say it
    assert not world.broker.depth("muskrat.salesforce.dead") and salesforce.journal.count("/jobs/ingest", "POST") == 1
    salesforce.org.add_field("Contact", "Levl__c")
    world.program.ok("resume", "salesforce")
    wait_contacts(world, salesforce, {str(n): "-" for n in range(1, 401)})


def test_salesforce_bulk_results_that_cannot_be_read_park_and_use_few_attempts(world, salesforce, app):
    """The job did its work each time: an upsert can be repeated."""
    salesforce.answer_next(200, "<html>log in</html>", {"Content-Type": "text/html"}, times=4, only="Results")
    backlog(world, salesforce, app[0], 400, retry_attempts=3, retry_first="50ms", retry_most="100ms")
    world.consumer = world.program.consume()
    wait_contacts(world, salesforce, {str(n): "-" for n in range(1, 401)})
    assert not world.broker.depth("muskrat.salesforce.dead")
