"""Leads through the real host into the double of Marketo."""
import pytest

from doubles.marketo import Marketo
from harness.processes import wait_until

LEADS = "/rest/v1/leads.json"


@pytest.fixture
def marketo():
    with Marketo() as double:
        yield double


def stand(world, marketo, **more):
    endpoint = {"kind": "marketo", "subscribe": ["Frontend.Customer.*"], "url": marketo.url(), "client_id": "client-id",
                "client_secret": "client-secret", "deletes": "skip", "batch_age": "100ms",
                "circuit_first": "100ms", "circuit_most": "200ms",
                "fields": [{"to": "email", "lower": True}, {"to": "firstName", "from": "username"}], **more}
    return world.stand(endpoints={"marketo": endpoint}, consumer={"state": f"{world.folder}/state.sqlite"})


def customer(world, n, email):
    world.sql("INSERT INTO customers (id, email) VALUES (%s, %s)", [n, email])


def leads(marketo):
    return {row["email"]: row["firstName"] for row in marketo.store.leads.rows.values()}


def test_marketo_gets_each_customer_once_and_its_last_state(world, marketo):
    stand(world, marketo)
    world.customers(*range(1, 201))
    world.sql("UPDATE customers SET username = 'later' WHERE id <= 50")
    expected = {f"c{n}@example.com": "later" if n <= 50 else None for n in range(1, 201)}
    wait_until(lambda: leads(marketo) == expected, 30, "all leads in their last state")
    wait_until(lambda: world.broker.depth("muskrat.marketo") == 0, 20, "all to be settled")
    assert len(marketo.store.leads.rows) == 200 and not marketo.hazards
    assert marketo.journal.peak(LEADS) <= 5 and not world.broker.depth("muskrat.marketo.dead")


def test_marketo_two_rows_with_one_address_make_one_lead(world, marketo):
    """Different ordering keys, so different lanes; the double takes its time between look-up and write."""
    marketo.traps.set(work=0.1)
    stand(world, marketo, batch_size=1, batch_age="0ms")
    for n in range(1, 13):
        customer(world, n, "same@example.com")
    wait_until(lambda: marketo.journal.count(LEADS) >= 12 and world.broker.depth("muskrat.marketo") == 0, 40, "all twelve")
    assert len(marketo.store.leads.rows) == 1 and not marketo.hazards


def test_marketo_faults_of_the_api_lose_nothing(world, marketo):
    marketo.traps.set(expire_token=1, fewer_results=1, concurrency_exceeded=1)
    stand(world, marketo)
    world.customers(*range(1, 51))
    customer(world, 60, "no-address")
    expected = {f"c{n}@example.com": None for n in range(1, 51)}
    wait_until(lambda: leads(marketo) == expected, 40, "all leads")
    wait_until(lambda: world.broker.depth("muskrat.marketo.dead") == 1, 20, "the one that is no address")
    wait_until(lambda: world.broker.depth("muskrat.marketo") == 0, 20, "all to be settled")
    assert not marketo.hazards


def test_marketo_used_up_quota_parks_the_endpoint_until_its_reset(world, marketo):
    marketo.traps.set(quota_exceeded=True)
    stand(world, marketo, hold_for="0ms")
    world.customers(1)
    world.wait_log(world.consumer, "607: the day's quota of calls is used up")
    assert marketo.journal.count(LEADS) == 1 and not world.broker.depth("muskrat.marketo.dead")
    wait_until(lambda: world.broker.depth("muskrat.marketo") == 1, 20, "the event to wait in its queue")
