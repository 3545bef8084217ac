"""The checker is proved before it is trusted: each mutation of a good history must be caught, by the right rule."""
import random

import pytest
from oracle import Entry, Seen, check, check_effects, check_state, repeats


def history(seed, keys=8, events=200):
    """A ledger and the deliveries that go with it: versions rise per key, about one in ten is a deletion."""
    rng = random.Random(seed)
    ledger, seen, at = [], [], {}
    for n in range(events):
        pk = rng.randrange(keys)
        old = at.get(pk, 0)
        delete = old > 0 and old % 2 == 0 and rng.random() < 0.1
        v = old + 1 if delete else (old | 1) + 1
        at[pk] = v
        tag = f"t{n}"
        ledger.append(Entry(tag, pk, v))
        body_tag = tag if not delete else "before"
        seen.append(Seen(body_tag, pk, v, f"id-{n}", f'{{"id":{pk},"v":{v}}}', "Load.Account.Change", n, 1, False))
    return ledger, seen


def rules(violations):
    return {v.rule for v in violations}


@pytest.fixture(params=range(20))
def good(request):
    return history(request.param)


def test_oracle_good_history_passes(good):
    assert check(*good, repeats_allowed=0) == []


def test_oracle_drop_is_caught(good):
    ledger, seen = good
    for n in range(len(seen)):
        assert rules(check(ledger, seen[:n] + seen[n + 1:])) == {"C1"}


def test_oracle_invented_is_caught(good):
    ledger, seen = good
    ghost = seen[50]._replace(v=10_000, message_id="ghost")
    assert "C2" in rules(check(ledger, seen + [ghost]))


def test_oracle_rolled_back_is_caught(good):
    ledger, seen = good
    assert "C2" in rules(check(ledger[:-1], seen))


def test_oracle_duplicate_is_counted(good):
    ledger, seen = good
    twice = seen[:40] + [seen[39]] + seen[40:]
    assert repeats(twice) == 1
    assert check(ledger, twice, repeats_allowed=1) == []
    assert rules(check(ledger, twice, repeats_allowed=0)) == {"C4"}


def test_oracle_redelivery_by_the_broker_is_no_repeat(good):
    ledger, seen = good
    again = seen[:40] + [seen[39]._replace(redelivered=True)] + seen[40:]
    assert check(ledger, again, repeats_allowed=0) == []


def test_oracle_duplicate_under_new_id_is_caught(good):
    ledger, seen = good
    assert "C4" in rules(check(ledger, seen + [seen[10]._replace(message_id="other")]))


def test_oracle_changed_body_is_caught(good):
    ledger, seen = good
    assert "C4" in rules(check(ledger, seen + [seen[10]._replace(body="{}")], repeats_allowed=5))


def test_oracle_changed_writer_is_caught(good):
    ledger, seen = good
    n = next(i for i, s in enumerate(seen) if s.v % 2 == 0)
    assert "C2" in rules(check(ledger, seen[:n] + [seen[n]._replace(tag="somebody")] + seen[n + 1:]))


def test_oracle_swap_within_a_key_is_caught(good):
    ledger, seen = good
    for n, s in enumerate(seen):
        later = next((i for i in range(n + 1, len(seen)) if seen[i].pk == s.pk), None)
        if later is None:
            continue
        swapped = list(seen)
        swapped[n], swapped[later] = swapped[later], swapped[n]
        assert rules(check(ledger, swapped)) == {"C3"}


def test_oracle_swap_across_keys_is_allowed(good):
    ledger, seen = good
    n = next(i for i in range(len(seen) - 1) if seen[i].pk != seen[i + 1].pk)
    seen[n], seen[n + 1] = seen[n + 1], seen[n]
    assert check(ledger, seen) == []


def test_oracle_state_difference_is_caught():
    rows = [(1, 2, "a"), (2, 4, "b"), (3, 2, "c")]
    assert check_state(rows, list(reversed(rows))) == []
    assert check_state(rows, rows[:2])                             # a row is missing
    assert check_state(rows[:2], rows)                             # a deleted row came back
    assert check_state(rows, [(1, 2, "a"), (2, 2, "b"), (3, 2, "c")])  # an old version won
    assert check_state(rows, [*rows, rows[0]])                     # twice


def test_oracle_effects_must_be_exactly_once(good):
    ledger, _ = good
    effects = [(e.pk, e.v) for e in ledger]
    assert check_effects(ledger, effects) == []
    assert check_effects(ledger, effects[1:])
    assert check_effects(ledger, effects + effects[:1])
    assert check_effects(ledger, effects + [(1, 99_999)])
