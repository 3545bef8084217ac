"""Braintree's double: keys, what it refuses, searches in two steps, ranges of time, caps, late rows, XML that is spoilt."""
import base64
import gzip
import http.client
import xml.etree.ElementTree

import pytest

from doubles.braintree import Braintree
from doubles.client import call

DAY = "2026-03-01T"


@pytest.fixture
def server():
    with Braintree() as made:
        yield made


def headers(server, **more):
    token = base64.b64encode(f"{server.public_key}:{server.private_key}".encode()).decode()
    kept = {"Authorization": f"Basic {token}", "X-ApiVersion": "6", "Accept": "application/xml", "Content-Type": "application/xml", **more}
    return {name: value for name, value in kept.items() if value is not None}


def ask(server, path, body="", method="POST", **more):
    return call(server.url(f"/merchants/merchant/{path}"), method, body or None, headers(server, **more))


def search(*criteria, ids=None):
    listed = "" if ids is None else f'<ids type="array">{"".join(f"<item>{i}</item>" for i in ids)}</ids>'
    return f"<search>{''.join(criteria)}{listed}</search>"


def time_of(name, low=None, high=None):
    bounds = [(which, at) for which, at in (("min", low), ("max", high)) if at]
    return f"<{name}>" + "".join(f'<{which} type="datetime">{at}</{which}>' for which, at in bounds) + f"</{name}>"


def tree(reply):
    assert reply.status == 200, (reply.status, reply.text)
    return xml.etree.ElementTree.fromstring(reply.text)


def ids(server, kind="transactions", *criteria):
    return [item.text for item in tree(ask(server, f"{kind}/advanced_search_ids", search(*criteria))).findall("ids/item")]


def page(server, kind, wanted, *criteria):
    return tree(ask(server, f"{kind}/advanced_search", search(*criteria, ids=wanted)))


def sales(server, count, at=lambda n: f"{DAY}00:{n % 60:02d}:00Z"):
    for n in range(count):
        server.vault.sale(f"t{n}", at(n))


# ---- who may ask, and what is refused ----

def test_braintree_search_of_nothing_has_page_size_and_no_ids(server):
    root = tree(ask(server, "transactions/advanced_search_ids", search()))
    assert root.tag == "search-results" and root.find("page-size").attrib == {"type": "integer"} and root.findtext("page-size") == "50"
    assert root.find("ids").attrib == {"type": "array"} and list(root.find("ids")) == []


def test_braintree_wrong_keys_or_merchant_are_401(server):
    wrong = "Basic " + base64.b64encode(b"public:wrong").decode()
    assert ask(server, "transactions/advanced_search_ids", search(), Authorization=wrong).status == 401
    elsewhere = server.url("/merchants/other/transactions/advanced_search_ids")
    assert call(elsewhere, "POST", search(), headers(server)).status == 401


def test_braintree_rotated_keys_end_the_old_ones(server):
    before = headers(server)
    server.rotate("public-2", "private-2")
    assert call(server.url("/merchants/merchant/customers/advanced_search_ids"), "POST", search(), before).status == 401
    assert ids(server, "customers") == []


@pytest.mark.parametrize("more, status", [({"X-ApiVersion": None}, 426), ({"X-ApiVersion": "1"}, 426),
                                          ({"Accept": "application/json"}, 406), ({"Content-Type": "application/json"}, 415)])
def test_braintree_headers_that_are_wrong_are_refused(server, more, status):
    assert ask(server, "transactions/advanced_search_ids", search(), **more).status == status


@pytest.mark.parametrize("trap, status", [("forbidden", 403), ("upgrade", 426)])
def test_braintree_flags_refuse_every_call(server, trap, status):
    server.traps.set(**{trap: True})
    assert ask(server, "transactions/advanced_search_ids", search()).status == status


@pytest.mark.parametrize("path, method", [("transactions/search", "POST"), ("plans/advanced_search_ids", "POST"),
                                          ("transactions/advanced_search_ids", "PUT"), ("transactions/none", "GET")])
def test_braintree_unknown_path_is_404(server, path, method):
    assert ask(server, path, method=method).status == 404


@pytest.mark.parametrize("body, status", [
    ("<search>", 400), ("not xml", 400), ('<!DOCTYPE search [<!ENTITY a "b">]><search/>', 400), ("<find/>", 403),
    ("<search><updated-at/></search>", 403), ("<search><created-at/></search>", 403), ("<search><status>settled</status></search>", 403),
    (search('<status type="array"><item>paid</item></status>'), 422), (search("<order-id><like>a</like></order-id>"), 403),
    (search(f"<order-id><is>{'x' * 256}</is></order-id>"), 422), (search("<amount><min>much</min></amount>"), 422),
    (search("<created-at><min>2026-03-01T00:00:00Z</min></created-at>"), 422),
    (search(time_of("created-at", "2026-03-01 00:00:00")), 422), (search(time_of("created-at", "2026-03-01T00:00:00+01:00")), 422),
    (search(time_of("created-at", f"{DAY}00:00:00Z"), time_of("created-at", None, f"{DAY}00:00:00Z")), 403)])
def test_braintree_search_that_is_wrong_is_refused(server, body, status):
    reply = ask(server, "transactions/advanced_search_ids", body)
    assert reply.status == status
    if status == 422:
        assert xml.etree.ElementTree.fromstring(reply.text).findtext("message")


# ---- searches ----

def test_braintree_ids_come_newest_first_and_pages_by_id(server):
    sales(server, 3)
    assert ids(server) == ["t2", "t1", "t0"]
    root = page(server, "transactions", ["t0", "t2"])
    assert root.tag == "credit-card-transactions" and root.get("type") == "collection" and root.findtext("total-items") == "2"
    assert [t.findtext("id") for t in root.findall("transaction")] == ["t2", "t0"]


def test_braintree_record_is_typed(server):
    server.vault.customer("c1", f"{DAY}00:00:00Z", email="a&b@example.com")
    server.vault.sale("t1", f"{DAY}00:00:01Z", "12.50", customer="c1")
    record = page(server, "transactions", ["t1"]).find("transaction")
    assert record.find("created-at").attrib == {"type": "datetime"} and record.findtext("created-at") == f"{DAY}00:00:01Z"
    assert record.find("order-id").attrib == {"nil": "true"} and record.findtext("customer/email") == "a&b@example.com"
    assert record.find("disbursement-details/disbursement-date").attrib == {"type": "date", "nil": "true"}
    assert [e.findtext("status") for e in record.findall("status-history/status-event")] == ["authorized", "submitted_for_settlement"]
    assert record.findtext("recurring") == "false" and record.find("recurring").get("type") == "boolean"


@pytest.mark.parametrize("second, included", [("15:59:59", False), ("16:00:00", True), ("17:00:59", True), ("17:01:00", False)])
def test_braintree_range_of_time_has_its_last_minute(server, second, included):
    server.vault.sale("t1", f"{DAY}{second}Z")
    assert ids(server, "transactions", time_of("created-at", f"{DAY}16:00:00Z", f"{DAY}17:00:00Z")) == (["t1"] if included else [])


def test_braintree_transition_is_found_by_its_time_whatever_came_after(server):
    server.vault.sale("t1", f"{DAY}10:00:00Z")
    server.vault.transition("t1", "settled", f"{DAY}20:00:00Z")
    later = time_of("settled_at", f"{DAY}20:00:00Z", f"{DAY}20:00:00Z")  # names with underscores are the same
    assert ids(server, "transactions", later) == ["t1"]
    assert ids(server, "transactions", time_of("authorized-at", f"{DAY}10:00:00Z", f"{DAY}10:00:00Z")) == ["t1"]
    assert ids(server, "transactions", time_of("created-at", f"{DAY}20:00:00Z", f"{DAY}20:00:00Z")) == []


def test_braintree_status_without_a_criterion_is_found_by_creation_alone(server):
    server.vault.sale("t1", f"{DAY}10:00:00Z")
    server.vault.transition("t1", "settlement_declined", f"{DAY}20:00:00Z")
    assert ask(server, "transactions/advanced_search_ids", search(time_of("settlement-declined-at", f"{DAY}20:00:00Z"))).status == 403
    assert page(server, "transactions", ids(server)).findtext("transaction/status") == "settlement_declined"


def test_braintree_dates_of_disputes_and_disbursements_are_days(server):
    sales(server, 2)
    server.vault.dispute("t0", "d1", "2026-03-05", f"{DAY}12:00:00Z")
    server.vault.disburse("t1", "2026-03-04", f"{DAY}13:00:00Z")
    day = '<{0}><min type="datetime">{1}T12:00:00Z</min><max type="date">{1}</max></{0}>'
    assert ids(server, "transactions", day.format("dispute-date", "2026-03-05")) == ["t0"]
    assert ids(server, "transactions", day.format("disbursement-date", "2026-03-04")) == ["t1"]


def test_braintree_criteria_are_all_to_hold(server):
    server.vault.customer("c1", f"{DAY}00:00:00Z", email="ann@example.com")
    server.vault.sale("t1", f"{DAY}10:00:00Z", "5.00", customer="c1", status="voided")
    server.vault.sale("t2", f"{DAY}10:00:00Z", "15.00", customer="c1")
    both = '<status type="array"><item>voided</item><item>submitted_for_settlement</item></status>'
    assert sorted(ids(server, "transactions", both)) == ["t1", "t2"]
    assert ids(server, "transactions", both, "<amount><min>10</min></amount>") == ["t2"]
    assert ids(server, "transactions", "<customer-email><starts-with>Ann</starts-with></customer-email>", "<id><is>t1</is></id>") == ["t1"]


def test_braintree_customers_and_subscriptions_are_searched_alike(server):
    server.vault.customer("c1", f"{DAY}10:00:00Z")
    server.vault.subscription("s1", f"{DAY}10:00:00Z", status="Past Due", days_past_due=3)
    assert ids(server, "customers", time_of("created-at", f"{DAY}10:00:00Z")) == ["c1"]
    assert ids(server, "subscriptions", '<status type="array"><item>Past Due</item></status>') == ["s1"]
    assert page(server, "customers", ["c1"]).findtext("customer/id") == "c1"
    assert page(server, "subscriptions", ["s1"]).findtext("subscription/days-past-due") == "3"


def test_braintree_one_record_by_its_id(server):
    server.vault.customer("c1", f"{DAY}10:00:00Z", first_name="Ann")
    assert tree(ask(server, "customers/c1", method="GET")).findtext("first-name") == "Ann"


def test_braintree_cap_leaves_the_oldest_out_without_a_word():
    with Braintree(transaction_cap=5, other_cap=2) as server:
        sales(server, 8)
        assert ids(server) == ["t7", "t6", "t5", "t4", "t3"] and len(server.journal.noted("capped")) == 1
        for n in range(3):
            server.vault.customer(f"c{n}", f"{DAY}0{n}:00:00Z")
        assert ids(server, "customers") == ["c2", "c1"]


def test_braintree_caps_are_those_of_the_documentation():
    with Braintree() as server:
        sales(server, 20_001, lambda _: f"{DAY}10:00:00Z")
        assert len(set(ids(server))) == 20_000


def test_braintree_page_has_no_more_than_its_size(server):
    sales(server, 51)
    root = page(server, "transactions", [f"t{n}" for n in range(51)])
    assert len(root.findall("transaction")) == 50 and root.findtext("total-items") == "51"


def test_braintree_page_without_ids_is_empty(server):
    sales(server, 1)
    assert tree(ask(server, "transactions/advanced_search", search())).findall("transaction") == []


def test_braintree_record_that_changed_or_went_between_the_steps_is_missing(server):
    sales(server, 3)
    asked = '<status type="array"><item>submitted_for_settlement</item></status>'
    found = ids(server, "transactions", asked)
    server.vault.transition("t0", "settled", f"{DAY}20:00:00Z")
    server.vault.remove("transactions", "t1")
    assert [t.findtext("id") for t in page(server, "transactions", found, asked).findall("transaction")] == ["t2"]


def test_braintree_late_row_and_late_transition_have_their_old_stamps(server):
    server.vault.sale("t1", f"{DAY}10:00:00Z", hidden=True)
    server.vault.sale("t2", f"{DAY}10:00:00Z")
    server.vault.transition("t2", "settled", f"{DAY}11:00:00Z", visible_at=server.clock.now() + 60)
    settled = time_of("settled-at", f"{DAY}11:00:00Z", f"{DAY}11:00:00Z")
    assert ids(server) == ["t2"] and ids(server, "transactions", settled) == []
    server.clock.advance(61)
    server.vault.reveal()
    assert sorted(ids(server)) == ["t1", "t2"] and ids(server, "transactions", settled) == ["t2"]


def test_braintree_equal_stamps_have_no_order(server):
    sales(server, 20, lambda _: f"{DAY}10:00:00Z")
    orders = [ids(server) for _ in range(3)]
    assert orders[0] != orders[1] != orders[2] and len({tuple(sorted(o)) for o in orders}) == 1


# ---- answers that are not as they should be ----

def test_braintree_answer_is_compressed_for_who_accepts_it(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("POST", "/merchants/merchant/transactions/advanced_search_ids", search(),
                           {**headers(server), "Accept-Encoding": "gzip, deflate"})
        response = connection.getresponse()
        assert response.getheader("Content-Encoding") == "gzip" and b"<search-results>" in gzip.decompress(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("trap", ["doctype", "external_entity", "entity_bomb"])
def test_braintree_entities_are_declared_and_used(server, trap):
    sales(server, 1)
    server.traps.set(**{trap: 1})
    text = ask(server, "transactions/advanced_search_ids", search()).text
    assert "<!DOCTYPE x [<!ENTITY" in text and "<item>&" in text
    assert ids(server) == ["t0"]


def test_braintree_not_well_formed_ends_early(server):
    server.traps.set(not_well_formed=1)
    with pytest.raises(xml.etree.ElementTree.ParseError):
        ids(server)


def test_braintree_search_timeout_has_no_results(server):
    server.traps.set(search_timeout=1)
    assert tree(ask(server, "transactions/advanced_search_ids", search())).tag == "search-timeout"


def test_braintree_reshape_has_another_root(server):
    server.traps.set(reshape=1)
    assert tree(ask(server, "transactions/advanced_search_ids", search())).tag == "something-else"


def test_braintree_vanish_and_no_id_spoil_a_page(server):
    sales(server, 2)
    server.traps.set(vanish=1)
    assert [t.findtext("id") for t in page(server, "transactions", ["t0", "t1"]).findall("transaction")] == ["t0"]
    server.traps.set(no_id=1)
    assert [t.findtext("id") for t in page(server, "transactions", ["t0", "t1"]).findall("transaction")] == [None, "t0"]


def test_braintree_throttle_is_429_without_a_document(server):
    server.traps.set(throttle=1, retry_after=1)
    reply = ask(server, "transactions/advanced_search_ids", search())
    assert (reply.status, reply.text, reply.headers["retry-after"]) == (429, "", "1")
