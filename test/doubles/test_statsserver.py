"""The statistics server's double: windows, pages in four kinds, tokens, and every trap."""
import base64
import json
import re

import pytest

from doubles.client import call, call_json, query
from doubles.statsserver import Statsserver, seconds_of, stamp_of, volumes

START = seconds_of("2026-03-01T00:00:00Z")
DAY = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}


def records(count, same_instant=False):
    return [{"key": f"k{n}", "ts": stamp_of(START + (0 if same_instant else n * 60)), "value": n} for n in range(count)]


def server_with(count=25, same_instant=False, **options):
    server = Statsserver(**options)
    server.add("volume", records(count, same_instant))
    return server


def get(server, metric="volume", headers=None, **parameters):
    return call_json(server.url(f"/v1/stats/{metric}?{query(**{**DAY, **parameters})}"), headers=headers)


def pages(server, limit=10, most=20):
    """Every page, the way a careless client reads them."""
    found, parameters, url = [], {}, server.url(f"/v1/stats/volume?{query(**DAY, limit=limit)}")
    for n in range(most):
        target = url + (f"&{query(**parameters)}" if parameters else "")
        reply = call(target)
        assert reply.status == 200, reply.text
        body = json.loads(reply.text)
        found.append(body["data"])
        if server.pagination == "cursor":
            more = body["next_cursor"] is not None
            parameters = {"cursor": body["next_cursor"]}
        elif server.pagination == "link":
            link = re.search(r'<([^>]*)>; type="application/json"; rel="next"', reply.headers.get("link", ""))
            more, url = link is not None, link and link[1]
        elif server.pagination == "offset":
            parameters = {"offset": (n + 1) * limit}
            more = body["total"] > parameters["offset"]
        else:
            parameters = {"page": n + 2}
            more = body["page"] < body["pages"]
        if not more:
            return found
    return found


def values(found):
    return [r["value"] for page in found for r in page]


# ---- windows and what is refused ----

def test_window_is_half_open():
    with server_with(3) as server:
        status, body = get(server, **{"from": stamp_of(START + 60), "to": stamp_of(START + 120)})
        assert status == 200 and [r["value"] for r in body["data"]] == [1] and body["next_cursor"] is None


def test_window_without_records_is_empty_and_not_an_error():
    with server_with() as server:
        assert get(server, **{"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}) == (200, {"data": [], "next_cursor": None})


def test_window_takes_offsets_and_fractions():
    with server_with(3) as server:
        status, body = get(server, **{"from": "2026-03-01T01:00:30.5+01:00", "to": "2026-03-01T01:01:00.000001+01:00"})
        assert status == 200 and [r["value"] for r in body["data"]] == [1]


@pytest.mark.parametrize("parameters, code", [
    ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "bad_window"),
    ({"from": DAY["from"], "to": DAY["from"]}, "bad_window"),
    ({"from": "2026-03-01"}, "bad_window"),
    ({"from": "2026-03-01T00:00:00"}, "bad_window"),
    ({"from": "2026-02-30T00:00:00Z"}, "bad_window"),
    ({"to": "2026-12-01T00:00:00Z"}, "bad_window"),
    ({"limit": "0"}, "bad_limit"), ({"limit": "-1"}, "bad_limit"), ({"limit": "ten"}, "bad_limit"), ({"limit": ""}, "bad_limit"),
    ({"step": "0"}, "bad_step"), ({"step": "1h"}, "bad_step"),
    ({"step": "3600", "from": "2026-03-01T00:30:00Z"}, "bad_window"),
    ({"cursor": "made-up"}, "bad_cursor"),
    ({"offset": "10"}, "unknown_parameter"), ({"page": "1"}, "unknown_parameter"), ({"form": "x"}, "unknown_parameter"),
])
def test_request_that_is_wrong_is_refused(parameters, code):
    with server_with() as server:
        status, body = get(server, **parameters)
        assert (status, body["error"]["code"]) == (400, code)


def test_request_without_window_or_twice_is_refused():
    with server_with() as server:
        assert call_json(server.url("/v1/stats/volume"))[1]["error"]["message"] == "from is missing"
        assert call_json(server.url(f"/v1/stats/volume?{query(**DAY)}&from=x"))[1]["error"]["code"] == "repeated_parameter"
        assert get(server, "nothing")[0] == 404 and call(server.url("/v2/stats/volume")).status == 404
        assert call_json(server.url("/v1/stats/volume"), "POST", {})[0] == 405


def test_granularity_binds_window_and_step():
    with Statsserver() as server:
        server.define("volume", granularity=3600)
        assert get(server)[0] == 200
        assert get(server, **{"from": "2026-03-01T00:00:01Z"})[1]["error"]["code"] == "bad_window"
        assert get(server, step="1800")[1]["error"]["code"] == "bad_step"
        assert get(server, step="7200")[0] == 200


def test_step_adds_up_by_key_and_span():
    with Statsserver() as server:
        server.add("volume", [{"key": k, "ts": stamp_of(START + s), "value": v} for k, s, v in
                              [("a", 0, 1), ("b", 10, 5), ("a", 3599, 2), ("a", 3600, 4)]])
        assert get(server, step="3600")[1]["data"] == [
            {"key": "a", "ts": stamp_of(START), "value": 3}, {"key": "b", "ts": stamp_of(START), "value": 5},
            {"key": "a", "ts": stamp_of(START + 3600), "value": 4}]


def test_limit_above_the_largest_is_cut_down():
    with server_with(25, max_limit=20) as server:
        assert len(get(server, limit="1000")[1]["data"]) == 20


def test_stamps_survive_the_round_trip():
    assert [stamp_of(seconds_of(s)) for s in ("2026-03-01T00:00:00Z", "2026-03-01T01:00:00+01:00", "2026-03-01T00:00:00.250Z")] == [
        "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00.250000Z"]


# ---- pages ----

KINDS = ["cursor", "link", "offset", "page"]


@pytest.mark.parametrize("pagination", KINDS)
@pytest.mark.parametrize("count, sizes", [(0, [0]), (10, [10]), (25, [10, 10, 5])])
def test_pages_together_are_the_window(pagination, count, sizes):
    with server_with(count, pagination=pagination) as server:
        found = pages(server)
        assert [len(p) for p in found] == sizes and values(found) == list(range(count))


@pytest.mark.parametrize("pagination", KINDS)
def test_pages_with_equal_stamps_across_a_boundary_are_whole(pagination):
    with server_with(25, same_instant=True, pagination=pagination) as server:
        found = pages(server)
        assert len({r["ts"] for page in found for r in page}) == 1 and values(found) == list(range(25))


@pytest.mark.parametrize("pagination", KINDS)
def test_trap_repeat_page_brings_the_page_before_once_more(pagination):
    with server_with(25, pagination=pagination) as server:
        server.traps.set(repeat_page=1)
        assert [len(p) for p in pages(server)] == [10, 10, 5]
        server.traps.set(repeat_page=1)
        found = pages(server)
        assert found[0] == found[1] and values(found[2:]) == list(range(20, 25))


@pytest.mark.parametrize("pagination", KINDS)
def test_trap_endless_never_comes_to_an_end(pagination):
    with server_with(25, pagination=pagination) as server:
        server.traps.set(endless=True)
        assert len(pages(server, most=12)) == 12


@pytest.mark.parametrize("pagination", ["cursor", "link"])
def test_trap_empty_page_is_followed_by_the_rest(pagination):
    with server_with(25, pagination=pagination) as server:
        server.traps.set(empty_page=2, skip=1)
        found = pages(server)
        assert [len(p) for p in found] == [10, 0, 0, 10, 5] and values(found) == list(range(25))


def test_trap_ignore_limit_sends_another_size():
    with server_with(25) as server:
        server.traps.set(ignore_limit=17)
        assert [len(p) for p in pages(server, limit=5)] == [17, 8]


def test_trap_shuffle_keeps_the_records_of_a_page():
    with server_with(10) as server:
        server.traps.set(shuffle=True)
        found = values(pages(server))
        assert found != list(range(10)) and sorted(found) == list(range(10))


def test_trap_empty_window_hides_everything_once():
    with server_with(10) as server:
        server.traps.set(empty_window=1)
        assert values(pages(server)) == [] and values(pages(server)) == list(range(10))


def test_cursor_of_another_window_or_expired_is_refused():
    with server_with(25) as server:
        cursor = get(server, limit="10")[1]["next_cursor"]
        assert get(server, limit="10", cursor=cursor, to="2026-03-03T00:00:00Z")[1]["error"]["code"] == "bad_cursor"
        server.traps.set(expire_cursor=1)
        assert get(server, limit="10", cursor=cursor)[1]["error"]["code"] == "bad_cursor"


def link_of(server):
    return call(server.url(f"/v1/stats/volume?{query(**DAY, limit=10)}")).headers["link"]


def test_link_names_other_relations_too_and_may_be_relative_or_elsewhere():
    with server_with(25, pagination="link") as server:
        assert 'rel="help"' in link_of(server) and f"<{server.url('/v1/stats/volume')}?" in link_of(server)
        server.traps.set(link_relative=True)
        assert "</v1/stats/volume?" in link_of(server)
        server.traps.set(link_relative=False, link_elsewhere="http://127.0.0.1:1")
        assert "<http://127.0.0.1:1/v1/stats/volume?" in link_of(server)


# ---- late data ----

def test_late_records_appear_when_their_time_comes():
    with server_with(3) as server:
        server.add("volume", [{"key": "late", "ts": stamp_of(START + 30), "value": 99}], visible_at=server.clock.now() + 600)
        server.add("volume", [{"key": "hidden", "ts": stamp_of(START + 90), "value": 98}], hidden=True)
        assert values(pages(server)) == [0, 1, 2]
        server.clock.advance(601)
        assert values(pages(server)) == [0, 99, 1, 2]
        server.reveal("volume")
        assert values(pages(server)) == [0, 99, 1, 98, 2]


def test_removed_records_are_gone():
    with server_with(3) as server:
        server.remove("volume", "k1")
        assert values(pages(server)) == [0, 2]


# ---- who asks ----

def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_bearer_token_expires_with_the_clock():
    with server_with(auth="bearer") as server:
        token = server.issue(life=60)
        assert get(server)[0] == 401 and get(server, headers=bearer("wrong"))[0] == 401
        assert get(server, headers=bearer(token))[0] == 200
        server.clock.advance(61)
        reply = call(server.url(f"/v1/stats/volume?{query(**DAY)}"), headers=bearer(token))
        assert reply.status == 401
        assert 'error="invalid_token", error_description="The access token expired"' in reply.headers["www-authenticate"]


def test_trap_expire_token_ends_it_in_the_middle_of_a_run():
    with server_with(25, auth="bearer") as server:
        token = server.issue()
        server.traps.set(expire_token=1, skip=1)
        assert [get(server, headers=bearer(token))[0] for _ in range(3)] == [200, 401, 401]
        assert get(server, headers=bearer(server.issue()))[0] == 200


def test_trap_forbidden_is_another_refusal():
    with server_with(auth="bearer") as server:
        server.traps.set(forbidden=True)
        assert get(server, headers=bearer(server.issue()))[0] == 403


def test_basic_wants_user_and_password():
    with server_with(auth="basic") as server:
        right = base64.b64encode(b"stats:secret").decode()
        assert get(server, headers={"Authorization": f"Basic {right}"})[0] == 200
        assert get(server, headers={"Authorization": "Basic c3RhdHM6d3Jvbmc="})[0] == 401 and get(server)[0] == 401


# ---- ETag and bodies ----

def test_etag_answers_304_until_the_data_changes():
    with server_with(3) as server:
        url = server.url(f"/v1/stats/volume?{query(**DAY)}")
        tag = call(url).headers["etag"]
        again = call(url, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status, again.text, again.headers["etag"]) == (304, "", tag)
        server.add("volume", [{"key": "new", "ts": stamp_of(START), "value": 7}])
        assert call(url, headers={"If-None-Match": tag}).status == 200
        server.traps.set(no_etag=True)
        assert "etag" not in call(url).headers


def test_trap_bodies_are_not_what_the_path_says():
    with server_with(3) as server:
        server.traps.set(reshape=1)
        assert list(get(server)[1]) == ["result"]
        server.traps.set(null_data=1)
        assert get(server)[1]["data"] is None
        server.traps.set(bad_record=1)
        body = get(server)[1]
        assert "ts" not in body["data"][0] and "ts" in body["data"][1]
        assert values([get(server)[1]["data"]]) == [0, 1, 2]


def test_volumes_repeat_with_their_seed():
    made = volumes(3, START, START + 7200, 3600)
    assert len(made) == 6 and made == volumes(3, START, START + 7200, 3600) and made[0]["ts"] == stamp_of(START)
