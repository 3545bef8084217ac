"""Salesforce's double: tokens, collections and their errors, locks, limits, bulk jobs."""
import base64
import csv
import io
import json
import subprocess
import threading
import time

import pytest

from doubles.client import call, call_json
from doubles.salesforce import Salesforce
from doubles.salesforce_client import CLIENT, COLLECTION, DATA, ask, codes, contact, logged_in, soql, token_answer, upsert
from doubles.salesforce_rows import long_id

@pytest.fixture
def salesforce():
    with Salesforce() as made:
        yield made


# ---- OAuth ----

@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("right", "wrong"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / f"{name}.key", "-out",
                        folder / f"{name}.crt", "-days", "2", "-subj", "/CN=double"], check=True, capture_output=True, timeout=60)
    return folder


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assertion(keys, name="right", algorithm="RS256", **changed):
    claims = {"iss": "consumer-key", "sub": "muskrat@example.com", "aud": "https://login.salesforce.com", "exp": int(time.time()) + 170,
              **changed}
    text = f"{encoded(json.dumps({'alg': algorithm}).encode())}.{encoded(json.dumps(claims).encode())}"
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", keys / f"{name}.key"], input=text.encode(), check=True,
                               capture_output=True, timeout=10).stdout
    return f"{text}.{encoded(signature)}"


def jwt(server, text):
    return token_answer(server, grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=text)


def test_jwt_signed_by_the_certificate_brings_a_session(keys):
    with Salesforce(certificate=keys / "right.crt") as server:
        status, answer = jwt(server, assertion(keys))
        assert status == 200 and answer["instance_url"] == server.url() and "expires_in" not in answer and "refresh_token" not in answer
        assert call_json(server.url(DATA + "/limits"), headers={"Authorization": f"Bearer {answer['access_token']}"})[0] == 200


@pytest.mark.parametrize("changed, described", [
    ({"name": "wrong"}, "invalid assertion"), ({"algorithm": "none"}, "invalid assertion"), ({"exp": 1}, "expired authorization code"),
    ({"exp": 1 << 40}, "invalid assertion"), ({"iss": "other"}, "client identifier invalid"),
    ({"sub": "other@example.com"}, "user hasn't approved this consumer"), ({"aud": "https://test.salesforce.com"}, "audience is invalid")])
def test_jwt_that_is_wrong_is_refused(keys, changed, described):
    with Salesforce(certificate=keys / "right.crt") as server:
        status, answer = jwt(server, assertion(keys, **changed))
        assert (status, answer["error_description"]) == (400, described)
        assert jwt(server, "no.jwt")[0] == 400


def test_client_credentials_refuse_a_wrong_secret_and_a_missing_user(salesforce):
    def refused(**form):
        status, answer = token_answer(salesforce, **form)
        assert status == 400
        return answer
    assert refused(grant_type="client_credentials", client_id="consumer-key", client_secret="x")["error"] == "invalid_client"
    salesforce.traps.set(no_run_as_user=True)
    assert refused(grant_type="client_credentials", **CLIENT)["error_description"] == "no client credentials user enabled"
    assert refused(grant_type="password")["error"] == "unsupported_grant_type"


def test_refresh_rotation_ends_the_old_token(salesforce):
    first = salesforce.oauth.refresh_token()
    assert "refresh_token" not in token_answer(salesforce, grant_type="refresh_token", refresh_token=first, **CLIENT)[1]
    salesforce.traps.set(rotate=True)
    second = token_answer(salesforce, grant_type="refresh_token", refresh_token=first, **CLIENT)[1]["refresh_token"]
    assert second != first
    assert token_answer(salesforce, grant_type="refresh_token", refresh_token=first, **CLIENT) == (
        400, {"error": "invalid_grant", "error_description": "expired access/refresh token"})
    assert token_answer(salesforce, grant_type="refresh_token", refresh_token=second, **CLIENT)[0] == 200


def test_token_answer_without_token(salesforce):
    salesforce.traps.set(no_token=1)
    assert "access_token" not in token_answer(salesforce, grant_type="client_credentials", **CLIENT)[1]


def test_session_expires_with_the_clock_and_by_trap(salesforce):
    session = logged_in(salesforce)
    url = salesforce.url(DATA + "/limits")
    salesforce.traps.set(expire_session=1, skip=1)
    assert [call(url, headers=session).status for _ in range(3)] == [200, 401, 401]
    session = logged_in(salesforce)
    salesforce.clock.advance(7201)
    assert call_json(url, headers=session) == (401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
    assert call_json(url)[1][0]["errorCode"] == "INVALID_AUTH_HEADER"
    salesforce.traps.set(not_for_rest=1)
    assert call_json(url, headers=logged_in(salesforce))[1][0]["message"] == "This session is not valid for use with the REST API"


# ---- collections ----

def test_upsert_creates_then_updates_and_answers_in_order(salesforce):
    status, first = upsert(salesforce, contact("a"), contact("b"))
    assert status == 200 and [(r["success"], r["created"]) for r in first] == [(True, True)] * 2
    second = upsert(salesforce, contact("b", FirstName="B"), contact("c"))[1]
    assert second[0]["id"] == first[1]["id"] and [r["created"] for r in second] == [False, True]
    assert sorted(r["Ext_Id__c"] for r in salesforce.org.seen("Contact")) == ["a", "b", "c"]


@pytest.mark.parametrize("record, code", [
    (contact("k", LastName=None), "REQUIRED_FIELD_MISSING"), (contact("k", Email="badone"), "INVALID_EMAIL_ADDRESS"),
    (contact("k", FirstName="x" * 41), "STRING_TOO_LONG"), (contact("k", AccountId="nonsense"), "MALFORMED_ID"),
    (contact("k", Name="N"), "INVALID_FIELD_FOR_INSERT_UPDATE"), (contact("k", Account={"Ext_Id__c": "none"}), "INVALID_FIELD"),
    (contact(None), "MISSING_ARGUMENT")])
def test_upsert_bad_record_fails_alone(salesforce, record, code):
    status, results = upsert(salesforce, contact("good"), record)
    assert status == 200 and codes(results) == ["ok", code] and "id" not in results[1]
    assert len(salesforce.org.seen("Contact")) == 1


@pytest.mark.parametrize("records, status, code", [
    ([contact(str(n)) for n in range(201)], 400, "INVALID_INPUT"), ([], 400, "INVALID_INPUT"), ([{"Ext_Id__c": "k"}], 400, "INVALID_INPUT"),
    ([contact("k", Id="0035f0000000001AAA")], 400, "INVALID_FIELD"), ([contact("k", Nonsense="x")], 400, "INVALID_FIELD"),
    ([contact("k", number_field__c="many")], 400, "JSON_PARSER_ERROR"),
    ([contact("k", datetime_field__c="today")], 400, "JSON_PARSER_ERROR"),
    ([contact("k", Birthdate="2026-03-01T00:00:00Z")], 400, "JSON_PARSER_ERROR"),
    ([{"attributes": {"type": "Account"}, "Ext_Id__c": "k", "Name": "N"}], 400, "INVALID_INPUT")])
def test_upsert_bad_request_is_refused_whole(salesforce, records, status, code):
    found = upsert(salesforce, *records)
    assert (found[0], found[1][0]["errorCode"]) == (status, code)
    assert salesforce.org.seen("Contact") == []


def test_upsert_by_a_field_that_is_no_key_or_with_another_body_is_refused(salesforce):
    assert upsert(salesforce, contact("k"), path=DATA + "/composite/sobjects/Contact/LastName")[0] == 404
    session = logged_in(salesforce)
    assert call(salesforce.url(COLLECTION), "PATCH", b"{}", session).status == 415
    assert call(salesforce.url(COLLECTION), "PATCH", b"{", {**session, "Content-Type": "application/json"}).status == 400
    assert call(salesforce.url(COLLECTION), "PUT", b"{}", {**session, "Content-Type": "application/json"}).status == 405


def test_upsert_one_key_twice_in_a_batch_fails_both(salesforce):
    assert codes(upsert(salesforce, contact("k"), contact("K"), contact("m"))[1]) == ["DUPLICATE_VALUE", "DUPLICATE_VALUE", "ok"]


def test_upsert_all_or_none_rolls_the_innocent_back(salesforce):
    results = upsert(salesforce, contact("a"), contact("b", Email="bad"), all_or_none=True)[1]
    assert codes(results) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "INVALID_EMAIL_ADDRESS"]
    assert salesforce.org.seen("Contact") == [] and upsert(salesforce, contact("a"))[1][0]["created"]


def test_upsert_relationship_by_external_id_finds_the_parent(salesforce):
    parent = salesforce.org.insert("Account", {"Name": "A", "Ext_Id__c": "a-9"})
    assert codes(upsert(salesforce, contact("k", Account={"Ext_Id__c": "a-9"}))[1]) == ["ok"]
    assert salesforce.org.seen("Contact")[0]["AccountId"] == parent


def test_upsert_of_a_key_that_two_rows_have_is_ambiguous(salesforce):
    for _ in range(2):
        salesforce.org.insert("Contact", {"LastName": "L", "Ext_Id__c": "k"})
    assert codes(upsert(salesforce, contact("k"))[1]) == ["DUPLICATE_EXTERNAL_ID"]
    status, urls = ask(salesforce, DATA + "/sobjects/Contact/Ext_Id__c/k", "PATCH", {"LastName": "M"})
    assert status == 300 and len(urls) == 2


def test_refusals_by_a_test_fail_matching_records_so_often(salesforce):
    salesforce.org.refuse("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", times=1, Ext_Id__c="k")
    assert codes(upsert(salesforce, contact("k"), contact("m"))[1]) == ["UNABLE_TO_LOCK_ROW", "ok"]
    assert codes(upsert(salesforce, contact("k"))[1]) == ["ok"]


def test_concurrent_children_of_one_parent_do_not_get_its_lock(salesforce):
    salesforce.org.insert("Account", {"Name": "A", "Ext_Id__c": "a"})
    salesforce.org.insert("Account", {"Name": "B", "Ext_Id__c": "b"})
    meeting, found = threading.Barrier(3), {}
    salesforce.at_work = lambda: meeting.wait(10)

    def child(key, parent):
        found[key] = codes(upsert(salesforce, contact(key, Account={"Ext_Id__c": parent}))[1])[0]
    threads = [threading.Thread(target=child, args=pair) for pair in (("1", "a"), ("2", "a"), ("3", "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted([found["1"], found["2"]]) == ["UNABLE_TO_LOCK_ROW", "ok"] and found["3"] == "ok"


def test_answers_that_are_short_or_with_null_ids(salesforce):
    salesforce.traps.set(fewer_results=1)
    assert len(upsert(salesforce, contact("a"), contact("b"))[1]) == 1
    salesforce.traps.set(null_id=True)
    assert upsert(salesforce, contact("c", Email="bad"))[1][0]["id"] is None


def test_delete_collection_answers_each(salesforce):
    key = upsert(salesforce, contact("a"))[1][0]["id"]
    path = f"{DATA}/composite/sobjects?ids={key},{long_id('003', 999)},bad&allOrNone=false"
    assert codes(ask(salesforce, path, "DELETE")[1]) == ["ok", "INVALID_CROSS_REFERENCE_KEY", "INVALID_CROSS_REFERENCE_KEY"]
    assert codes(ask(salesforce, path, "DELETE")[1])[0] == "ENTITY_IS_DELETED"
    assert upsert(salesforce, contact("a"))[1][0]["created"]


def test_create_and_update_collections_go_by_id(salesforce):
    made = ask(salesforce, DATA + "/composite/sobjects", "POST", {"records": [contact("a")]})[1]
    assert "created" not in made[0]
    change = {"attributes": {"type": "Contact"}, "Id": made[0]["id"], "FirstName": "F"}
    answer = ask(salesforce, DATA + "/composite/sobjects", "PATCH", {"records": [change, contact("b")]})[1]
    assert codes(answer) == ["ok", "MISSING_ARGUMENT"]


def test_single_upsert_has_its_own_answers(salesforce):
    path = DATA + "/sobjects/Contact/Ext_Id__c/k"
    assert ask(salesforce, path + "?updateOnly=true", "PATCH", {"LastName": "L"})[0] == 404
    assert ask(salesforce, path, "PATCH", {"LastName": "L"})[0] == 201
    assert ask(salesforce, path, "PATCH", {"FirstName": "F"})[0] == 200
    assert ask(salesforce, path, "PATCH", {"Email": "bad"})[1][0]["errorCode"] == "INVALID_EMAIL_ADDRESS"
    assert ask(salesforce, path)[1]["FirstName"] == "F"
    assert ask(salesforce, path, "DELETE")[0] == 204 and ask(salesforce, path, "DELETE")[0] == 404
    assert ask(salesforce, DATA + "/sobjects/Nothing/describe")[0] == 404


def test_what_is_not_found_looks_alike_whether_gone_hidden_or_named_like_a_file(salesforce):
    path = DATA + "/sobjects/Contact/Ext_Id__c/"
    key = salesforce.org.insert("Contact", {"LastName": "L", "Ext_Id__c": "ann@example.inc"})
    gone = ask(salesforce, path + "nobody", "DELETE")
    assert gone == (404, [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])
    assert ask(salesforce, path + "ann%40example.inc", "DELETE") == gone
    salesforce.org.hide("Contact")
    assert ask(salesforce, path + "nobody", "DELETE") == gone and ask(salesforce, DATA + f"/sobjects/Contact/{key}", "DELETE") == gone
    assert soql(salesforce, "SELECT Id FROM Contact")[1][0]["errorCode"] == "INVALID_TYPE"
    salesforce.org.show("Contact")
    assert ask(salesforce, DATA + f"/sobjects/Contact/{key}", "DELETE")[0] == 204


def test_converted_lead_is_not_updated(salesforce):
    salesforce.org.insert("Lead", {"LastName": "L", "Company": "C", "Ext_Id__c": "k", "IsConverted": True})
    record = {"attributes": {"type": "Lead"}, "Ext_Id__c": "k", "LastName": "M"}
    assert codes(upsert(salesforce, record, path=DATA + "/composite/sobjects/Lead/Ext_Id__c")[1]) == ["CANNOT_UPDATE_CONVERTED_LEAD"]


# ---- limits and moods ----

def test_daily_limit_is_counted_shown_and_rolls_over():
    with Salesforce(daily_limit=2, session_life=1e9) as server:
        session, url = logged_in(server), server.url(DATA + "/sobjects/Contact/describe")
        replies = [call(url, headers=session) for _ in range(3)]
        assert [r.headers["sforce-limit-info"] for r in replies] == ["api-usage=1/2", "api-usage=2/2", "api-usage=2/2"]
        assert replies[2].status == 403 and json.loads(replies[2].text)[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
        server.clock.advance(86401)
        server.traps.set(limit_info="per-app")
        assert call(url, headers=session).headers["sforce-limit-info"] == "api-usage=1/2; per-app-api-usage=17/250(appName=Muskrat)"


@pytest.mark.parametrize("trap, status, part", [
    ({"unavailable": 1}, 503, "SERVER_UNAVAILABLE"), ({"concurrent_limit": 1}, 403, "REQUEST_LIMIT_EXCEEDED"),
    ({"api_disabled": True}, 403, "API_DISABLED_FOR_ORG"), ({"xml": 1}, 500, "<Errors>")])
def test_moods_of_the_platform(salesforce, trap, status, part):
    session = logged_in(salesforce)
    salesforce.traps.set(**trap)
    reply = call(salesforce.url(DATA + "/limits"), headers=session)
    assert reply.status == status and part in reply.text


def test_bare_error_is_one_object(salesforce):
    salesforce.traps.set(bare_error=True)
    assert ask(salesforce, DATA + "/nothing")[1]["errorCode"] == "NOT_FOUND"


# ---- bulk ----

def bulk(server, text, **job):
    asked = {"object": "Contact", "operation": "upsert", "externalIdFieldName": "Ext_Id__c", "contentType": "CSV", "lineEnding": "LF",
             **job}
    status, made = ask(server, DATA + "/jobs/ingest", "POST", asked)
    assert (status, made["state"]) == (200, "Open"), made
    path = f"{DATA}/jobs/ingest/{made['id']}"
    session = logged_in(server)
    assert call(server.url("/" + made["contentUrl"]), "PUT", text.encode(), {**session, "Content-Type": "text/csv"}).status == 201
    assert ask(server, path, "PATCH", {"state": "UploadComplete"})[1]["state"] == "UploadComplete"
    return path


def results(server, path, which):
    return list(csv.DictReader(io.StringIO(call(server.url(f"{path}/{which}"), headers=logged_in(server)).text)))


def test_bulk_job_runs_through_its_states_to_results_per_key(salesforce):
    salesforce.org.insert("Contact", {"LastName": "old", "FirstName": "F", "Email": "a@example.com", "Ext_Id__c": "a"})
    path = bulk(salesforce, 'Ext_Id__c,LastName,FirstName,Email\na,,,#N/A\nb,"L, and",,b@example.com\nc,L,,bad\n')
    assert [ask(salesforce, path)[1]["state"] for _ in range(2)] == ["InProgress", "JobComplete"]
    info = ask(salesforce, path)[1]
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (3, 1)
    assert {r["Ext_Id__c"]: r["sf__Created"] for r in results(salesforce, path, "successfulResults")} == {"a": "false", "b": "true"}
    assert results(salesforce, path, "failedResults")[0]["sf__Error"].startswith("INVALID_EMAIL_ADDRESS:")
    rows = {r["Ext_Id__c"]: r for r in salesforce.org.seen("Contact")}
    assert (rows["a"]["LastName"], rows["a"]["FirstName"], rows["a"]["Email"]) == ("old", "F", None) and rows["b"]["LastName"] == "L, and"
    assert ask(salesforce, path, "DELETE")[0] == 204 and ask(salesforce, path)[0] == 404


def test_bulk_job_that_fails_leaves_unprocessed_rows(salesforce):
    salesforce.traps.set(job_fails=1)
    path = bulk(salesforce, "Ext_Id__c,LastName\na,A\nb,B\n")
    assert [ask(salesforce, path)[1]["state"] for _ in range(2)][1] == "Failed"
    assert [r["Ext_Id__c"] for r in results(salesforce, path, "unprocessedrecords")] == ["b"]
    path = bulk(salesforce, "Ext_Id__c,Nonsense\na,A\n")
    ask(salesforce, path)
    assert "Field name not found : Nonsense" in ask(salesforce, path)[1]["errorMessage"]


def test_bulk_refuses_what_does_not_fit_its_state(salesforce):
    assert ask(salesforce, DATA + "/jobs/ingest", "POST", {"object": "Contact", "operation": "upsert"})[1][0]["errorCode"] == "INVALIDJOB"
    path = bulk(salesforce, "Ext_Id__c,LastName\na,A\n")
    reply = call(salesforce.url(path + "/batches"), "PUT", b"x", {**logged_in(salesforce), "Content-Type": "text/csv"})
    assert reply.status == 409 and "INVALIDJOBSTATE" in reply.text
    assert ask(salesforce, path, "PATCH", {"state": "Aborted"})[0] == 200
    assert ask(salesforce, path, "PATCH", {"state": "UploadComplete"})[0] == 409


def test_bulk_delete_goes_by_id(salesforce):
    key = salesforce.org.insert("Contact", {"LastName": "L"})
    bulk(salesforce, f"Id\n{key}\n", operation="delete", externalIdFieldName=None)
    salesforce.bulk.carry_out()
    assert salesforce.org.seen("Contact") == []


def test_bulk_job_is_queued_and_one_that_is_aborted_writes_nothing(salesforce):
    first, second = (bulk(salesforce, f"Ext_Id__c,LastName\n{key},L\n") for key in "ab")
    assert salesforce.org.seen("Contact") == []
    assert ask(salesforce, first, "PATCH", {"state": "Aborted"})[1]["state"] == "Aborted"
    salesforce.bulk.carry_out()
    assert [r["Ext_Id__c"] for r in salesforce.org.seen("Contact")] == ["b"]
    assert ask(salesforce, second)[1]["state"] == "JobComplete"
    assert ask(salesforce, second, "PATCH", {"state": "Aborted"})[0] == 409


def test_bulk_job_with_a_field_of_more_than_32000_characters_fails(salesforce):
    path = bulk(salesforce, f"Ext_Id__c,LastName,Description\na,L,\nb,L,{'x' * 32_001}\n")
    salesforce.bulk.carry_out()
    assert ask(salesforce, path)[1]["state"] == "Failed" and salesforce.org.seen("Contact") == []
