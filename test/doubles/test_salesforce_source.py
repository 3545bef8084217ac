"""Salesforce's double as a source: describe, queries page by page, what was deleted and updated, late rows, a series of any length."""
import urllib.parse

import pytest

from doubles.client import call
from doubles.salesforce import Salesforce
from doubles.salesforce_client import DATA, ask, contact, logged_in, soql, upsert
from doubles.salesforce_org import stamp_of
from doubles.salesforce_rows import long_id, number_of

BY_STAMP = "SELECT Id, SystemModstamp FROM Contact{} ORDER BY SystemModstamp, Id"
SMALL = {"Sforce-Query-Options": "batchSize=200"}


@pytest.fixture
def salesforce():
    with Salesforce() as made:
        yield made


# ---- as a source ----

def filled(server, count, same=None):
    base = server.clock.now() - 3600
    for n in range(count):
        server.org.insert("Contact", {"LastName": f"L{n}", "Ext_Id__c": str(n)}, stamp=same or stamp_of(base + n))


def test_describe_shows_fields_and_a_removed_one_is_gone(salesforce):
    fields = {f["name"]: f for f in ask(salesforce, DATA + "/sobjects/Contact/describe")[1]["fields"]}
    assert fields["Ext_Id__c"]["externalId"] and not fields["Name"]["updateable"] and fields["FirstName"]["length"] == 40
    salesforce.org.remove_field("Contact", "FirstName")
    assert upsert(salesforce, contact("k", FirstName="F"))[1][0]["errorCode"] == "INVALID_FIELD"


def test_query_pages_hold_every_row_once_with_equal_stamps(salesforce):
    filled(salesforce, 450, same="2026-03-01T00:00:00.000+0000")
    text = "SELECT Id, LastName FROM Contact WHERE SystemModstamp >= 2026-03-01T00:00:00Z ORDER BY SystemModstamp, Id"
    page = soql(salesforce, text, headers={"Sforce-Query-Options": "batchSize=200"})[1]
    sizes, ids = [len(page["records"])], [r["Id"] for r in page["records"]]
    while not page["done"]:
        page = ask(salesforce, page["nextRecordsUrl"], headers={"Sforce-Query-Options": "batchSize=200"})[1]
        sizes.append(len(page["records"]))
        ids += [r["Id"] for r in page["records"]]
    assert sizes == [200, 200, 50] and page["totalSize"] == 450 and ids == sorted(set(ids)) and "nextRecordsUrl" not in page


def test_query_conditions_and_related_fields(salesforce):
    account = salesforce.org.insert("Account", {"Name": "Acme"})
    for name, first, parent in (("Ann", "A", account), ("Bob's", None, None), ("Cy", "C", account)):
        salesforce.org.insert("Contact", {"LastName": name, "FirstName": first, "AccountId": parent})

    def names(where):
        status, found = soql(salesforce, f"SELECT LastName, Account.Name FROM Contact WHERE {where} ORDER BY LastName DESC")
        assert status == 200, found
        return [r["LastName"] for r in found["records"]]
    assert names("Account.Name = 'acme'") == ["Cy", "Ann"]
    assert names("LastName = 'Bob\\'s' OR LastName LIKE 'a%'") == ["Bob's", "Ann"]
    assert names("AccountId = null") == ["Bob's"] and names("NOT (LastName IN ('ann', 'cy'))") == ["Bob's"]
    assert names("LastName > 'Ann' AND IsDeleted = false") == ["Cy", "Bob's"]
    for order, wanted in (("ASC", "nAC"), ("ASC NULLS LAST", "ACn"), ("DESC", "CAn"), ("DESC NULLS FIRST", "nCA")):
        found = soql(salesforce, f"SELECT LastName, FirstName FROM Contact ORDER BY FirstName {order}, Id")[1]["records"]
        assert "".join((r["FirstName"] or "n")[0] for r in found) == wanted
    assert soql(salesforce, "SELECT COUNT() FROM Contact")[1]["totalSize"] == 3
    assert soql(salesforce, "SELECT Account.Name FROM Contact WHERE LastName = 'Ann'")[1]["records"][0]["Account"]["Name"] == "Acme"


@pytest.mark.parametrize("text, code", [
    ("SELECT FROM Contact", "MALFORMED_QUERY"), ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY"),
    ("SELECT Id FROM Contact WHERE Id ~ 'x'", "MALFORMED_QUERY"), ("SELECT Id FROM Contact LIMIT x", "MALFORMED_QUERY"),
    ("SELECT Nonsense FROM Contact", "INVALID_FIELD"), ("SELECT Id FROM Nonsense", "INVALID_TYPE"),
    ("SELECT Id FROM Contact WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
    ("SELECT Id FROM Contact WHERE LastName = 3", "INVALID_FIELD")])
def test_query_that_is_wrong_is_refused(salesforce, text, code):
    status, body = soql(salesforce, text)
    assert (status, body[0]["errorCode"]) == (400, code)


def test_locator_expires_by_trap_and_after_two_days():
    with Salesforce(session_life=1e9) as server:
        filled(server, 30)
        server.traps.set(page_size=10)
        page = soql(server, "SELECT Id FROM Contact")[1]
        assert len(page["records"]) == 10
        last = ask(server, ask(server, page["nextRecordsUrl"])[1]["nextRecordsUrl"])[1]
        assert last["done"] and len(last["records"]) == 10
        again = page["nextRecordsUrl"].replace("-10", "-20")
        assert ask(server, again)[1] == last  # whose answer may have been lost
        server.traps.set(expire_locator=1)
        assert ask(server, page["nextRecordsUrl"])[1][0]["errorCode"] == "INVALID_QUERY_LOCATOR"
        page = soql(server, "SELECT Id FROM Contact")[1]
        server.clock.advance(2 * 86400)
        assert ask(server, page["nextRecordsUrl"])[1][0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def span(server, back, ahead=120):
    return urllib.parse.urlencode({"start": stamp_of(server.clock.now() - back), "end": stamp_of(server.clock.now() + ahead)})


def test_late_rows_hold_latest_date_covered_back(salesforce):
    filled(salesforce, 2)
    late = stamp_of(salesforce.clock.now() - 1800)
    salesforce.org.insert("Contact", {"LastName": "late"}, stamp=late, visible_at=float("inf"))
    path = DATA + "/sobjects/Contact/updated/?"
    found = ask(salesforce, path + span(salesforce, 7200))[1]
    assert len(found["ids"]) == 2 and found["latestDateCovered"] <= late
    assert soql(salesforce, "SELECT COUNT() FROM Contact")[1]["totalSize"] == 2
    salesforce.org.reveal("Contact")
    found = ask(salesforce, path + span(salesforce, 7200))[1]
    assert len(found["ids"]) == 3 and found["latestDateCovered"] > late


def test_deleted_rows_are_in_query_all_and_in_deleted_for_fifteen_days():
    with Salesforce(session_life=1e9) as server:
        key = upsert(server, contact("k"))[1][0]["id"]
        ask(server, f"{DATA}/composite/sobjects?ids={key}", "DELETE")
        assert soql(server, "SELECT Id FROM Contact")[1]["records"] == []
        assert soql(server, "SELECT Id FROM Contact WHERE IsDeleted = true", deleted=True)[1]["records"][0]["Id"] == key
        path = DATA + "/sobjects/Contact/deleted/?"
        assert [d["id"] for d in ask(server, path + span(server, 3600))[1]["deletedRecords"]] == [key]
        server.clock.advance(16 * 86400)
        found = ask(server, path + span(server, 20 * 86400))[1]
        assert found["deletedRecords"] == [] and found["earliestDateAvailable"] > stamp_of(server.clock.now() - 16 * 86400)
        assert ask(server, path + "start=today&end=now")[1][0]["errorCode"] == "INVALID_REPLICATION_DATE"
        assert ask(server, path + span(server, 0, 0))[1][0]["errorCode"] == "INVALID_REPLICATION_DATE"
        assert ask(server, DATA + "/sobjects/Contact/updated/?" + span(server, 40 * 86400))[0] == 400


def test_deleted_above_the_id_limit_is_refused():
    with Salesforce(id_limit=1) as server:
        keys = [r["id"] for r in upsert(server, contact("a"), contact("b"))[1]]
        ask(server, f"{DATA}/composite/sobjects?ids={','.join(keys)}", "DELETE")
        assert ask(server, DATA + "/sobjects/Contact/deleted/?" + span(server, 3600))[1][0]["errorCode"] == "EXCEEDED_ID_LIMIT"


# ---- harder ----

def all_pages(server, text, deleted=False):
    """(rows, how many calls) of a query read to its end."""
    page, rows, calls = soql(server, text, deleted, SMALL)[1], [], 1
    while True:
        rows += page["records"]
        if page["done"]:
            return rows, calls
        page, calls = ask(server, page["nextRecordsUrl"], headers=SMALL)[1], calls + 1


def ids_of(server, where="", deleted=False):
    return [r["Id"] for r in all_pages(server, BY_STAMP.format(where and f" WHERE {where}"), deleted)[0]]


@pytest.mark.parametrize("text, code", [
    ("SELECT Id, Id FROM Contact", "INVALID_FIELD"), ("SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD"),
    ("SELECT Id FROM Contact ORDER BY Description", "INVALID_FIELD"), ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
    ("SELECT Id FROM Contact WHERE SystemModstamp > 2026-03-01", "INVALID_FIELD"), ("SELECT Id FROM Contact; SELECT Id", "MALFORMED_QUERY"),
    ("SELECT FIELDS(ALL) FROM Contact LIMIT 1", "MALFORMED_QUERY"), ("SELECT Id FROM Contact WHERE LastName = \"L\"", "MALFORMED_QUERY")])
def test_source_query_that_is_wrong_is_refused(salesforce, text, code):
    status, body = soql(salesforce, text)
    assert (status, body[0]["errorCode"]) == (400, code)


def test_source_plus_of_an_offset_that_is_not_escaped_is_malformed(salesforce):
    path = f"{DATA}/query?q=SELECT+Id+FROM+Contact+WHERE+SystemModstamp+>+2026-03-01T00:00:00.000"
    assert ask(salesforce, path.replace(">", "%3E") + "+0000")[1][0]["errorCode"] == "MALFORMED_QUERY"
    assert ask(salesforce, path.replace(">", "%3E") + "%2B0000")[0] == 200


def test_source_uri_that_is_too_long_is_414(salesforce):
    listed = ", ".join(f"'{long_id('003', n)}'" for n in range(1000))
    assert soql(salesforce, f"SELECT Id FROM Contact WHERE Id IN ({listed})")[0] == 414


def test_source_id_compares_by_its_first_fifteen_characters(salesforce):
    key = salesforce.org.insert("Contact", {"LastName": "L"})
    assert [r["Id"] for r in soql(salesforce, f"SELECT Id FROM Contact WHERE Id = '{key[:15]}'")[1]["records"]] == [key]


def test_source_rows_in_no_order_come_newest_first_and_so_do_those_of_one_stamp(salesforce):
    filled(salesforce, 5, same="2026-03-01T00:00:00.000+0000")
    newest_first = sorted((r["Id"] for r in salesforce.org.seen("Contact")), reverse=True)
    for order in ("", " ORDER BY SystemModstamp"):
        assert [r["Id"] for r in soql(salesforce, "SELECT Id FROM Contact" + order)[1]["records"]] == newest_first


def test_source_object_without_a_stamp_and_a_field_without_read_rights_are_not_there(salesforce):
    salesforce.org.remove_field("Account", "SystemModstamp")
    salesforce.org.remove_field("Account", "Phone")
    names = {f["name"] for f in ask(salesforce, DATA + "/sobjects/Account/describe")[1]["fields"]}
    assert "LastModifiedDate" in names and not names & {"SystemModstamp", "Phone"}
    for field in ("SystemModstamp", "Phone"):
        assert soql(salesforce, f"SELECT Id, {field} FROM Account")[1][0]["errorCode"] == "INVALID_FIELD"
    assert soql(salesforce, "SELECT Id FROM Account WHERE LastModifiedDate > 2026-01-01T00:00:00Z")[0] == 200


def test_source_describe_says_what_may_be_filtered(salesforce):
    fields = {f["name"]: f for f in ask(salesforce, DATA + "/sobjects/Contact/describe")[1]["fields"]}
    assert not fields["Description"]["filterable"] and not fields["Description"]["sortable"] and fields["LastName"]["filterable"]


def test_source_short_page_says_that_more_follows(salesforce):
    filled(salesforce, 450)
    salesforce.traps.set(short_page=2)
    rows, calls = all_pages(salesforce, BY_STAMP.format(""))
    assert len({r["Id"] for r in rows}) == len(rows) == 450 and calls == 4


def test_source_query_timeout_is_400(salesforce):
    salesforce.traps.set(query_timeout=1)
    assert soql(salesforce, "SELECT Id FROM Contact")[1][0]["errorCode"] == "QUERY_TIMEOUT"


def test_source_userinfo_names_the_user_of_the_session(salesforce):
    found = ask(salesforce, "/services/oauth2/userinfo")[1]
    made = upsert(salesforce, contact("k"))[1][0]["id"]
    row = soql(salesforce, f"SELECT LastModifiedById, CreatedById FROM Contact WHERE Id = '{made}'")[1]["records"][0]
    assert found["user_id"] == row["LastModifiedById"] == row["CreatedById"] != salesforce.org.someone


def test_source_change_by_someone_else_is_late_and_holds_latest_date_covered_back(salesforce):
    key = salesforce.org.insert("Contact", {"LastName": "old"}, stamp=stamp_of(salesforce.clock.now() - 7200))
    at = stamp_of(salesforce.clock.now() - 1800)
    salesforce.org.change("Contact", key, {"LastName": "new"}, stamp=at, visible_at=salesforce.clock.now() + 600)
    assert soql(salesforce, "SELECT LastName FROM Contact")[1]["records"][0]["LastName"] == "old"
    path = DATA + "/sobjects/Contact/updated/?"
    assert ask(salesforce, path + span(salesforce, 3600))[1]["latestDateCovered"] <= at
    salesforce.clock.advance(601)
    row = soql(salesforce, "SELECT LastName, LastModifiedById, SystemModstamp FROM Contact")[1]["records"][0]
    assert (row["LastName"], row["LastModifiedById"], row["SystemModstamp"]) == ("new", salesforce.org.someone, at)
    found = ask(salesforce, path + span(salesforce, 3600))[1]
    assert found["ids"] == [key] and found["latestDateCovered"] > at


def test_source_row_that_is_deleted_and_brought_back_is_no_longer_among_the_deleted(salesforce):
    key = salesforce.org.insert("Contact", {"LastName": "L"})
    salesforce.org.change("Contact", key, {"IsDeleted": True})
    path = DATA + "/sobjects/Contact/deleted/?"
    assert [d["id"] for d in ask(salesforce, path + span(salesforce, 600))[1]["deletedRecords"]] == [key] and ids_of(salesforce) == []
    salesforce.org.change("Contact", key, {"IsDeleted": False})
    assert ask(salesforce, path + span(salesforce, 600))[1]["deletedRecords"] == [] and ids_of(salesforce) == [key]


def test_source_emptied_bin_leaves_the_delete_log_alone():
    with Salesforce(session_life=1e9) as server:
        filled(server, 3)
        gone, kept = (r["Id"] for r in server.org.seen("Contact")[:2])
        server.org.change("Contact", gone, {"IsDeleted": True})
        page = soql(server, "SELECT Id FROM Contact", deleted=True)[1]
        server.org.empty_bin("Contact")
        assert len(page["records"]) == 3 and gone not in ids_of(server, deleted=True)
        path = DATA + "/sobjects/Contact/deleted/?"
        assert [d["id"] for d in ask(server, path + span(server, 600))[1]["deletedRecords"]] == [gone]
        server.org.change("Contact", kept, {"IsDeleted": True})
        server.clock.advance(16 * 86400)
        assert kept not in ids_of(server, deleted=True)


def test_source_page_leaves_out_what_was_purged_meanwhile(salesforce):
    filled(salesforce, 300)
    page = soql(salesforce, BY_STAMP.format(""), headers=SMALL)[1]
    last = salesforce.org.seen("Contact")[-1]["Id"]
    salesforce.org.change("Contact", last, {"IsDeleted": True})
    salesforce.org.empty_bin("Contact")
    page = ask(salesforce, page["nextRecordsUrl"], headers=SMALL)[1]
    assert page["totalSize"] == 300 and len(page["records"]) == 99 and page["done"]


def test_source_log_that_does_not_reach_back_says_so_or_is_refused(salesforce):
    path = DATA + "/sobjects/Contact/deleted/?" + span(salesforce, 7200)
    purged = stamp_of(salesforce.clock.now() // 60 * 60 - 3600)
    salesforce.org.purge_log("Contact", purged)
    assert ask(salesforce, path)[1]["earliestDateAvailable"] == purged
    salesforce.traps.set(refuse_old_start=True)
    assert ask(salesforce, path)[1][0]["errorCode"] == "INVALID_REPLICATION_DATE"
    assert ask(salesforce, DATA + "/sobjects/Contact/deleted/?" + span(salesforce, 600))[0] == 200


@pytest.mark.parametrize("back, ahead", [(0, 60), (60, 60), (-120, 600)])
def test_source_span_that_is_short_or_begins_ahead_is_refused(salesforce, back, ahead):
    minute = salesforce.clock.now() // 60 * 60
    asked = urllib.parse.urlencode({"start": stamp_of(minute - back), "end": stamp_of(minute - back + ahead)})
    assert ask(salesforce, f"{DATA}/sobjects/Contact/updated/?{asked}")[1][0]["errorCode"] == "INVALID_REPLICATION_DATE"


# ---- a series ----

START = "2026-03-01T00:00:00.000+0000"


def series(server, count=1000, per_stamp=7, start=START):
    server.org.generate("Contact", count, lambda n: {"LastName": f"L{n}", "FirstName": None if n % 10 else "T"}, start, 60, per_stamp)


def test_series_ids_and_numbers_are_the_same_order():
    keys = [long_id("003", n) for n in range(1, 5000, 7)]
    assert keys == sorted(keys) and [number_of(k) for k in keys] == list(range(1, 5000, 7))


def test_series_is_read_page_by_page_in_order(salesforce):
    series(salesforce)
    rows, calls = all_pages(salesforce, BY_STAMP.format(""))
    assert len(rows) == 1000 and calls == 5
    places = [(r["SystemModstamp"], r["Id"]) for r in rows]
    assert places == sorted(set(places)) and len({at for at, _ in places}) == 143


@pytest.mark.parametrize("where, wanted", [
    ("SystemModstamp >= {s} AND SystemModstamp < {t}", range(70, 140)), ("SystemModstamp > {s} AND SystemModstamp <= {t}", range(77, 147)),
    ("SystemModstamp = {s}", range(70, 77)), ("SystemModstamp != {s}", [*range(70), *range(77, 1000)]),
    ("(SystemModstamp > {s} OR (SystemModstamp = {s} AND Id > '{i}')) AND SystemModstamp < {t}", range(74, 140)),
    ("NOT (SystemModstamp < {s} OR SystemModstamp > {s})", range(70, 77)), ("Id IN ('{i}') AND SystemModstamp >= {s}", [73]),
    ("FirstName = 'T' AND SystemModstamp < {t}", range(0, 140, 10)), ("NOT FirstName = 'T' AND Id <= '{i}'",
                                                                     [n for n in range(74) if n % 10]),
    ("LastName = 'L5' OR Id = '{i}'", [5, 73]), ("IsDeleted = true OR LastName LIKE 'L99_'", range(990, 1000)),
    ("SystemModstamp >= {s} AND SystemModstamp < {t} AND IsDeleted = false", range(70, 140)), ("CreatedDate < 2020-01-01T00:00:00Z", [])])
def test_series_is_found_as_kept_rows_would_be(salesforce, where, wanted):
    series(salesforce)
    first = salesforce.org.objects["Contact"].rows.series.first
    text = where.format(s="2026-03-01T00:10:00Z", t="2026-03-01T00:20:00Z", i=long_id("003", first + 73))
    assert [number_of(k) - first for k in ids_of(salesforce, text)] == list(wanted)


def test_series_row_that_changes_is_kept_and_found_in_its_new_place(salesforce):
    began = salesforce.clock.now() // 60 * 60 - 3600
    series(salesforce, 50, start=stamp_of(began))
    first = salesforce.org.objects["Contact"].rows.series.first

    def change(n, minute, **values):
        salesforce.org.change("Contact", long_id("003", first + n), values, stamp=stamp_of(began + minute * 60))

    def places(keys):
        return [number_of(key) - first for key in keys]
    for n in (3, 20):
        change(n, 2, LastName="new")
    change(8, 3, IsDeleted=True)
    salesforce.org.insert("Contact", {"LastName": "other"}, stamp="2026-02-01T00:00:00Z")
    rest = [n for n in range(50) if n not in (3, 8, 20)]
    assert places(ids_of(salesforce)) == [50, *rest[:12], 3, *rest[12:18], 20, *rest[18:]]
    assert places(ids_of(salesforce, "LastName = 'new'")) == [3, 20]
    assert places(ids_of(salesforce, "IsDeleted = true", deleted=True)) == [8]
    path = DATA + "/sobjects/Contact/{}/?" + urllib.parse.urlencode({"start": stamp_of(began + 120), "end": stamp_of(began + 240)})
    assert sorted(places(ask(salesforce, path.format("updated"))[1]["ids"])) == [3, *range(14, 28)]
    assert places(d["id"] for d in ask(salesforce, path.format("deleted"))[1]["deletedRecords"]) == [8]


def test_series_of_a_million_rows_is_counted_and_paged_at_once(salesforce):
    series(salesforce, 1_000_000, per_stamp=100)
    assert soql(salesforce, "SELECT COUNT() FROM Contact")[1]["totalSize"] == 1_000_000
    page = soql(salesforce, BY_STAMP.format(" WHERE SystemModstamp >= 2026-03-07T00:00:00Z"))[1]
    assert page["totalSize"] == 1_000_000 - 6 * 1440 * 100 and len(page["records"]) == 2000
    page = ask(salesforce, page["nextRecordsUrl"].rpartition("-")[0] + "-100000")[1]
    assert page["records"][0]["SystemModstamp"] == "2026-03-07T16:40:00.000+0000"
    assert call(salesforce.url(DATA + "/sobjects/Contact/" + page["records"][0]["Id"]), headers=logged_in(salesforce)).status == 200
