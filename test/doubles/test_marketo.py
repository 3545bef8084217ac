"""Marketo's double: tokens, limits, syncs and their reasons, the hazard of one key in two calls, custom objects."""
import datetime
import json
import threading
import urllib.parse

import pytest

from doubles.client import call, call_json, query
from doubles.marketo import Marketo
from doubles.marketo_client import LEADS, ask, error, lead, outcomes, sync, token_of


@pytest.fixture
def marketo():
    with Marketo() as made:
        yield made


# ---- identity ----

def test_token_is_the_same_until_it_expires(marketo):
    first = token_of(marketo)[1]
    marketo.clock.advance(3000)
    second = token_of(marketo)[1]
    assert second["access_token"] == first["access_token"] and 3595 <= first["expires_in"] <= 3600 and second["expires_in"] <= 600
    marketo.clock.advance(600)
    assert token_of(marketo)[1]["access_token"] != first["access_token"]


def test_token_is_refused_to_the_wrong_client(marketo):
    assert token_of(marketo, client_secret="x")[0] == 401 and token_of(marketo, grant_type="password")[0] == 400


def test_token_answers_that_help_nobody(marketo):
    marketo.traps.set(no_token=1)
    assert "access_token" not in token_of(marketo)[1]
    marketo.traps.set(expires_in_zero=1)
    assert token_of(marketo)[1]["expires_in"] == 0


def test_token_expired_unknown_missing_or_in_the_query(marketo):
    token = token_of(marketo)[1]["access_token"]
    marketo.traps.set(expire_token=1)
    assert error(ask(marketo, "/rest/v1/stats/usage.json", token=token)[1]) == "602"
    assert error(ask(marketo, "/rest/v1/stats/usage.json", token="made-up")[1]) == "601"
    assert error(call_json(marketo.url("/rest/v1/stats/usage.json"))[1]) == "600"
    fresh = token_of(marketo)[1]["access_token"]
    assert fresh != token and error(call_json(marketo.url(f"/rest/v1/stats/usage.json?access_token={fresh}"))[1]) == "600"
    marketo.traps.set(invalid_token=1)
    assert error(ask(marketo, "/rest/v1/stats/usage.json", token=fresh)[1]) == "601"
    assert ask(marketo, "/rest/v1/stats/usage.json", token=fresh)[1]["success"]


# ---- limits ----

def test_rate_above_the_limit_is_606_and_is_not_charged():
    with Marketo(rate=3, window=600) as server:
        answers = [ask(server, "/rest/v1/stats/usage.json")[1] for _ in range(5)]
        assert [a["success"] for a in answers] == [True, True, True, False, False] and error(answers[4]) == "606"
        assert sum(server.used.values()) == 3


def test_concurrency_above_the_limit_is_615():
    with Marketo(concurrency=2) as server:
        refused = threading.Event()
        server.at_work = lambda: refused.wait(10)
        token, found = token_of(server)[1]["access_token"], []

        def one(n):
            found.append(ask(server, LEADS, "POST", {"input": [lead(f"{n}@example.com")]}, token)[1])
            if not found[-1]["success"]:
                refused.set()  # and the two that are at work go on
        threads = [threading.Thread(target=one, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(a["success"] for a in found) == [False, True, True]
        assert error(next(a for a in found if not a["success"])) == "615"


def test_quota_ends_with_the_day_in_central_time():
    with Marketo(daily_limit=1, token_life=1e9) as server:
        assert outcomes(sync(server, lead("a@example.com"))) == ["created"]
        assert error(sync(server, lead("a@example.com"))) == "607"
        server.clock.advance(86400)
        assert outcomes(sync(server, lead("a@example.com"))) == ["updated"]


@pytest.mark.parametrize("moment, day", [
    ("2026-03-08T05:59:59+00:00", "2026-03-07"), ("2026-03-08T06:00:00+00:00", "2026-03-08"),    # the day in March that has 23 hours
    ("2026-03-09T04:59:59+00:00", "2026-03-08"), ("2026-03-09T05:00:00+00:00", "2026-03-09")])
def test_quota_day_begins_at_midnight_in_chicago_and_knows_daylight_saving(marketo, moment, day):
    marketo.clock.now = datetime.datetime.fromisoformat(moment).timestamp
    assert ask(marketo, "/rest/v1/stats/usage.json")[1]["result"][0]["date"] == day


@pytest.mark.parametrize("trap, code", [({"rate_exceeded": 1}, "606"), ({"concurrency_exceeded": 1}, "615"),
                                        ({"quota_exceeded": True}, "607"), ({"access_denied": True}, "603")])
def test_limits_that_others_use_up(marketo, trap, code):
    marketo.traps.set(**trap)
    assert error(sync(marketo, lead("a@example.com"))) == code
    assert marketo.store.leads.rows == {}


def test_fail_next_and_numbers_as_codes(marketo):
    marketo.traps.set(int_codes=True)
    marketo.fail_next(713, "Transient Error", times=2)
    assert [error(sync(marketo, lead("a@example.com"))) for _ in range(2)] == [713, 713]
    assert outcomes(sync(marketo, lead("a@example.com"), lead("bad"))) == ["created", 1003]


# ---- syncs ----

def test_sync_answers_by_position_without_the_key(marketo):
    sync(marketo, lead("b@example.com"))
    answer = sync(marketo, lead("a@example.com"), lead("B@example.com", firstName="B"), lead("bademail"))
    assert outcomes(answer) == ["created", "updated", "1003"]
    assert set(answer["result"][0]) == {"id", "status"} and set(answer["result"][2]) == {"status", "reasons"}
    assert len(marketo.store.leads.rows) == 2


@pytest.mark.parametrize("record, code", [
    (lead("ü@example.com"), "1003"), (lead("a@example.com", nonsense=1), "1006"), (lead("a@example.com", createdAt="x"), "1011"),
    (lead("a@example.com", company="C"), "1011"), (lead("a@example.com", id=1), "1011"), (lead("a@example.com", integer_field="x"), "1003"),
    (lead("a@example.com", date_field="2026-02-30"), "1003"),
    (lead("a@example.com", firstName="x" * 256), "1003"),
    (lead("a@example.com", firstName={"a": 1}), "1003"), ({"firstName": "F"}, "1003"), (lead(None), "1003"), (lead(["a"]), "1003")])
def test_sync_bad_record_is_skipped_alone(marketo, record, code):
    assert outcomes(sync(marketo, lead("good@example.com"), record)) == ["created", code]
    assert len(marketo.store.leads.rows) == 1


def test_sync_null_and_empty_write_null(marketo):
    sync(marketo, lead("a@example.com", firstName="F", lastName="L", title="T"))
    sync(marketo, lead("a@example.com", firstName=None, lastName=""))
    row = next(iter(marketo.store.leads.rows.values()))
    assert (row["firstName"], row["lastName"], row["title"]) == (None, None, "T")


@pytest.mark.parametrize("members, code", [
    ({"action": "upsert"}, "1003"), ({"lookupField": "nonsense"}, "1006"), ({"lookupField": "website"}, "1003"),
    ({"lookupField": "id"}, "1011"), ({"partitionName": "None"}, "1008"), ({"partitionName": "Default", "action": "updateOnly"}, "1010"),
    ({"asyncProcessing": "no"}, "1001"),
    ({"unknown": 1}, "609"), ({"input": []}, "1002"), ({"input": ["x"]}, "1002"), ({"input": [{}] * 301}, "1003")])
def test_sync_bad_request_fails_whole(marketo, members, code):
    assert error(sync(marketo, lead("a@example.com"), **members)) == code
    assert marketo.store.leads.rows == {}


def test_sync_actions_differ_in_what_they_find(marketo):
    assert outcomes(sync(marketo, lead("a@example.com"), action="updateOnly")) == ["1004"]
    assert outcomes(sync(marketo, lead("a@example.com"), action="createOnly")) == ["created"]
    assert outcomes(sync(marketo, lead("a@example.com"), action="createOnly")) == ["1005"]
    key = next(iter(marketo.store.leads.rows))
    assert outcomes(sync(marketo, {"id": key, "email": "new@example.com"}, {"id": 999}, lookupField="id", action="updateOnly")) == [
        "updated", "1004"]
    assert outcomes(sync(marketo, lead("new@example.com"), action="createDuplicate")) == ["created"]
    assert outcomes(sync(marketo, lead("new@example.com"))) == ["1007"]


def test_sync_body_too_large_is_413_and_uri_too_long_414(marketo):
    token = token_of(marketo)[1]["access_token"]
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    big = json.dumps({"input": [lead("a@example.com", mktoPersonNotes="x" * 1_000_000)]}).encode()
    assert call(marketo.url(LEADS), "POST", big, head).status == 413
    assert call(marketo.url(f"{LEADS}?filterValues={'x' * 8200}"), headers=head).status == 414
    assert error(json.loads(call(marketo.url(LEADS), "POST", b"{}", {**head, "Content-Type": "text/plain"}).text)) == "612"
    assert error(json.loads(call(marketo.url(LEADS), "POST", b"{", head).text)) == "609"
    assert error(ask(marketo, "/rest//v1/leads.json")[1]) == "610"


def test_sync_refused_by_a_test_and_short_answers(marketo):
    marketo.store.refuse(1016, "Too many imports", times=1, email="a@example.com")
    assert outcomes(sync(marketo, lead("a@example.com"), lead("b@example.com"))) == ["1016", "created"]
    marketo.traps.set(fewer_results=1)
    assert outcomes(sync(marketo, lead("a@example.com"), lead("b@example.com"))) == ["created"]


def both_at_once(server, *calls):
    token = token_of(server)[1]["access_token"]
    meeting = threading.Barrier(len(calls))
    server.at_work = lambda: meeting.wait(10)
    threads = [threading.Thread(target=ask, args=(server, LEADS, "POST", {"input": records}, token)) for records in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del server.at_work


def test_hazard_one_new_key_in_two_calls_at_once_makes_a_duplicate(marketo):
    both_at_once(marketo, [lead("a@example.com")], [lead("A@example.com"), lead("b@example.com")])
    assert sorted(r["email"].lower() for r in marketo.store.leads.rows.values()) == ["a@example.com", "a@example.com", "b@example.com"]
    assert marketo.hazards == [("a@example.com",)] and len(marketo.journal.noted("concurrent key")) == 1


def test_hazard_is_none_for_different_keys_or_one_after_the_other(marketo):
    both_at_once(marketo, [lead("a@example.com")], [lead("b@example.com")])
    sync(marketo, lead("a@example.com"))
    assert marketo.hazards == [] and len(marketo.store.leads.rows) == 2


def test_one_key_twice_in_one_call_is_one_lead(marketo):
    assert outcomes(sync(marketo, lead("a@example.com", firstName="1"), lead("a@example.com", firstName="2"))) == ["created", "updated"]
    assert [r["firstName"] for r in marketo.store.leads.rows.values()] == ["2"]


# ---- other calls on leads ----

def test_leads_are_found_described_and_deleted(marketo):
    sync(marketo, lead("a@example.com", firstName="A"), lead("b@example.com"))
    asked = query(filterType="email", filterValues="a@example.com,b@example.com", fields="email", batchSize="1")
    page = ask(marketo, f"{LEADS}?{asked}")[1]
    assert [r["email"] for r in page["result"]] == ["a@example.com"] and page["nextPageToken"]
    rest = ask(marketo, f"{LEADS}?{asked}&nextPageToken={page['nextPageToken']}")[1]
    assert [r["email"] for r in rest["result"]] == ["b@example.com"] and "nextPageToken" not in rest
    form = urllib.parse.urlencode({"filterType": "email", "filterValues": "a@example.com"}).encode()
    token = token_of(marketo)[1]["access_token"]
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-www-form-urlencoded"}
    assert len(json.loads(call(marketo.url(f"{LEADS}?_method=GET"), "POST", form, head).text)["result"]) == 1
    fields = {f["rest"]["name"]: f for f in ask(marketo, "/rest/v1/leads/describe.json")[1]["result"]}
    assert fields["createdAt"]["rest"]["readOnly"] and fields["firstName"]["length"] == 255
    key = page["result"][0]["id"]
    assert outcomes(ask(marketo, "/rest/v1/leads/delete.json", "POST", {"input": [{"id": key}, {"id": 999}]})[1]) == ["deleted", "1004"]
    assert ask(marketo, "/rest/v1/stats/usage.json")[1]["result"][0]["total"] == sum(marketo.used.values())


# ---- custom objects ----

@pytest.fixture
def cars(marketo):
    marketo.store.define("car_c", ["vin"], {"vin": "string", "email": "email", "year": "integer"}, link=("email", "email"))
    sync(marketo, lead("a@example.com"))
    return marketo


def test_objects_answer_with_seq_and_need_their_lead(cars):
    path = "/rest/v1/customobjects/car_c.json"
    records = [{"vin": "1", "email": "a@example.com"}, {"vin": "2", "email": "none@example.com"}, {"vin": "3", "year": "x"}]
    answer = ask(cars, path, "POST", {"input": records})[1]
    assert outcomes(answer) == ["created", "1004", "1003"] and [r["seq"] for r in answer["result"]] == [0, 1, 2]
    key = answer["result"][0]["marketoGUID"]
    changed = {"action": "updateOnly", "dedupeBy": "idField", "input": [{"marketoGUID": key, "year": 1999}, {"marketoGUID": "none"}]}
    assert outcomes(ask(cars, path, "POST", changed)[1]) == ["updated", "1013"]
    assert error(ask(cars, path, "POST", {"dedupeBy": "idField", "input": [{"marketoGUID": key}]})[1]) == "1003"
    assert error(ask(cars, "/rest/v1/customobjects/none_c.json", "POST", {"input": [{}]})[1]) == "1013"
    assert ask(cars, "/rest/v1/customobjects/car_c/describe.json")[1]["result"][0]["dedupeFields"] == ["vin"]
    gone = {"deleteBy": "dedupeFields", "input": [{"vin": "1"}, {"vin": "9"}]}
    assert outcomes(ask(cars, "/rest/v1/customobjects/car_c/delete.json", "POST", gone)[1]) == ["deleted", "1013"]
