"""Bulk import of Marketo's double: the file, the queue, failures and warnings, what is refused, keys in two jobs at once."""
import csv
import io
import json

import pytest

from doubles.client import call
from doubles.marketo import Marketo
from doubles.marketo_client import ask, error, lead, sync, token_of

BATCH = "/bulk/v1/leads/batch/"
CARS = "/bulk/v1/customobjects/car_c/import"


@pytest.fixture
def marketo():
    with Marketo() as made:
        yield made


@pytest.fixture
def cars(marketo):
    marketo.store.define("car_c", ["vin"], {"vin": "string", "email": "email"}, link=("email", "email"))
    marketo.store.insert_lead(email="a@example.com")
    return marketo


def upload(server, text, path="/bulk/v1/leads.json?format=csv&lookupField=email", name="file", more=""):
    text = text if isinstance(text, bytes) else text.encode()
    body = (f'--xyz\r\n{more}Content-Disposition: form-data; name="{name}"; filename="leads.csv"\r\nContent-Type: text/csv\r\n\r\n'.encode()
            + text + b"\r\n--xyz--\r\n")
    head = {"Authorization": f"Bearer {token_of(server)[1]['access_token']}", "Content-Type": "multipart/form-data; boundary=xyz"}
    reply = call(server.url(path), "POST", body, head)
    return json.loads(reply.text) if reply.status == 200 else reply.status


def key_of(answer):
    return answer["result"][0]["batchId"]


def look(server, key):
    return ask(server, f"{BATCH}{key}.json")[1]["result"][0]


def ended(server, key):
    """The state of an import that is looked at until it has ended."""
    for _ in range(30):
        found = look(server, key)
        if found["status"] in ("Complete", "Failed"):
            return found
    raise AssertionError(found)


def table(server, path, delimiter=","):
    text = call(server.url(path), headers={"Authorization": f"Bearer {token_of(server)[1]['access_token']}"}).text
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def test_import_runs_to_its_end_and_names_failures(marketo):
    sync(marketo, lead("a@example.com", firstName="old"))
    made = upload(marketo, 'email,firstName\na@example.com,new\nb@example.com,"B, ü"\nbad,C\n')["result"][0]
    assert made["status"] == "Queued" and made["importId"] == str(made["batchId"])
    looks = [look(marketo, made["batchId"]) for _ in range(2)]
    assert [r["status"] for r in looks] == ["Importing", "Complete"]
    assert (looks[1]["numOfLeadsProcessed"], looks[1]["numOfRowsFailed"], looks[1]["numOfRowsWithWarning"]) == (2, 1, 0)
    assert table(marketo, f"{BATCH}{made['batchId']}/failures.json") == [
        ["email", "firstName", "Import Failure Reason"], ["bad", "C", "Invalid value for field 'email' and value 'bad'"]]
    assert sorted(r["firstName"] for r in marketo.store.leads.rows.values()) == ["B, ü", "new"]
    marketo.clock.advance(8 * 86400)
    assert error(ask(marketo, f"{BATCH}{made['batchId']}.json")[1]) == "1013"


def test_import_queue_holds_ten_and_runs_two_in_the_order_they_came(marketo):
    keys = [key_of(upload(marketo, f"email\n{n}@example.com\n")) for n in range(10)]
    assert error(upload(marketo, "email\nz@example.com\n")) == "1016"  # time passed: the first is at work now
    assert [look(marketo, k)["status"] for k in keys[2:4]] == ["Queued", "Queued"]  # behind the two that are
    assert [look(marketo, k)["status"] for k in (keys[0], keys[3])] == ["Complete", "Queued"]
    assert ended(marketo, keys[9])["status"] == "Complete"
    assert [job.status for job in marketo.bulk.jobs.values()][:2] == ["Complete", "Complete"]


@pytest.mark.parametrize("path, code", [
    ("/bulk/v1/leads.json", "1002"), ("/bulk/v1/leads.json?format=xml", "1003"), ("/bulk/v1/leads.json?format=csv&lookup=email", "1003"),
    ("/bulk/v1/leads.json?format=csv&lookupField=none", "1006"), ("/bulk/v1/leads.json?format=csv&partitionName=No", "1008"),
    (CARS + ".json?format=csv&lookupField=vin", "1003"), ("/rest/bulk/v1/leads.json?format=csv", "610")])
def test_import_with_parameters_that_are_wrong_is_refused(cars, path, code):
    assert error(upload(cars, "email\n", path)) == code


def test_import_without_a_file_or_of_another_content_is_refused(marketo):
    assert error(upload(marketo, "email\n", name="other")) == "613"
    assert error(ask(marketo, "/bulk/v1/leads.json?format=csv", "POST", {})[1]) == "612"


@pytest.mark.parametrize("size, status", [(10_000_000 - 300, 200), (10_000_000, 413)])
def test_import_has_less_than_ten_megabytes(marketo, size, status):
    made = upload(marketo, "email\n" + ("x" * 99 + "\n") * (size // 100))
    assert (made if isinstance(made, int) else 200) == status


def test_import_takes_its_parameters_from_the_form_too(marketo):
    form = 'Content-Disposition: form-data; name="format"\r\n\r\ntsv\r\n--xyz\r\n'
    key = key_of(upload(marketo, "email\tfirstName\na@example.com\tA\nbad\tB\n", "/bulk/v1/leads.json", more=form))
    assert ended(marketo, key)["numOfLeadsProcessed"] == 1
    assert table(marketo, f"{BATCH}{key}/failures.json", "\t")[1][:2] == ["bad", "B"]


@pytest.mark.parametrize("text", ["", "email,nonsense\na@example.com,x\n", "email,email\na@example.com,a@example.com\n", "firstName\nA\n",
                                  "email,id\na@example.com,1\n"])
def test_import_whose_header_is_wrong_fails_whole(marketo, text):
    found = ended(marketo, key_of(upload(marketo, text)))
    assert found["status"] == "Failed" and found["message"] and not marketo.store.leads.rows


def test_import_that_fails_has_carried_out_half_of_it(marketo):
    marketo.traps.set(import_fails=1)
    found = ended(marketo, key_of(upload(marketo, "email\na@example.com\nb@example.com\nc@example.com\nd@example.com\n")))
    assert found["status"] == "Failed" and len(marketo.store.leads.rows) == 2


def test_import_names_failures_in_no_order_of_the_file_and_without_columns_that_are_empty_at_the_end(marketo):
    marketo.store.refuse(1003, "no", firstName="A")
    text = "email,firstName,lastName,phone\nbad,B,L,\na@example.com,A,L,\nc@example.com,C,L,1\n"
    key = key_of(upload(marketo, text))
    assert ended(marketo, key)["numOfRowsFailed"] == 2
    assert table(marketo, f"{BATCH}{key}/failures.json") == [
        ["email", "firstName", "lastName", "Import Failure Reason"], ["a@example.com", "A", "L", "no"],
        ["bad", "B", "L", "Invalid value for field 'email' and value 'bad'"]]


def test_import_names_warnings_of_rows_that_it_carried_out(marketo):
    marketo.store.warn("a strange name", firstName="A")
    key = key_of(upload(marketo, "email,firstName\na@example.com,A\nb@example.com,B\n"))
    found = ended(marketo, key)
    assert (found["numOfLeadsProcessed"], found["numOfRowsWithWarning"]) == (2, 1)
    assert table(marketo, f"{BATCH}{key}/warnings.json")[1] == ["a@example.com", "A", "a strange name"]


@pytest.mark.parametrize("row", [b"a@example.com", b"a@example.com,A,more", b"a@example.com,\xff", b",A"])
def test_import_row_that_is_wrong_fails_alone(marketo, row):
    found = ended(marketo, key_of(upload(marketo, b"email,firstName\n" + row + b"\nb@example.com,B\n")))
    assert (found["status"], found["numOfLeadsProcessed"], found["numOfRowsFailed"]) == ("Complete", 1, 1)


@pytest.mark.parametrize("keep, left", [(False, None), (True, "old")])
def test_import_empty_cell_clears_a_value_or_leaves_it(marketo, keep, left):
    sync(marketo, lead("a@example.com", firstName="old"))
    marketo.traps.set(keep_empty=keep)
    ended(marketo, key_of(upload(marketo, "email,firstName,company\na@example.com,,Acme\n")))
    row = next(iter(marketo.store.leads.rows.values()))
    assert row["firstName"] == left and row["company"] == "Acme"  # which a sync would not take


def test_import_is_looked_at_as_often_as_the_trap_says_and_may_be_gone(marketo):
    marketo.traps.set(import_looks=3)
    key = key_of(upload(marketo, "email\na@example.com\n"))
    assert [look(marketo, key)["status"] for _ in range(5)] == ["Importing"] * 4 + ["Complete"]
    marketo.traps.set(import_gone=1)
    assert error(ask(marketo, f"{BATCH}{key}.json")[1]) == "1013" and look(marketo, key)["status"] == "Complete"


def test_import_of_custom_objects_has_calls_of_its_own(cars):
    key = key_of(upload(cars, "vin,email\n1,a@example.com\n2,none@example.com\n", CARS + ".json?format=csv"))
    looks = [ask(cars, f"{CARS}/{key}/status.json")[1]["result"][0] for _ in range(2)]
    assert looks[1]["status"] == "Complete" and looks[1]["numOfObjectsProcessed"] == 1 and looks[1]["objectApiName"] == "car_c"
    assert table(cars, f"{CARS}/{key}/failures.json")[1] == ["2", "none@example.com", "Lead not found"]
    assert error(ask(cars, f"{BATCH}{key}.json")[1]) == "1013"  # which is for leads


def test_import_hazards_are_keys_in_two_jobs_or_in_a_job_and_a_call(marketo):
    first = key_of(upload(marketo, "email\na@example.com\nb@example.com\n"))
    assert marketo.bulk.hazards == []
    upload(marketo, "email\nA@example.com\nc@example.com\n")
    sync(marketo, lead("b@example.com"))
    assert marketo.bulk.hazards == [("a@example.com",), ("b@example.com",)] and marketo.hazards == []
    assert len(marketo.journal.noted("concurrent import")) == 2
    ended(marketo, first)
    sync(marketo, lead("b@example.com"))
    assert len(marketo.bulk.hazards) == 2
