"""The account of a host alone finds what is wrong: a history that is good, and one thing of it changed."""
from collections import namedtuple

import pytest

from accounts import POISON, all_settled, in_place, states

Letter = namedtuple("Letter", "message_id")


class History:
    """Three rows, two of which share their key; one event that is poison; one that was superseded."""

    def __init__(self):
        self.events = {f"m{v}": {"id": v % 3, "v": v, "key": "a" if v % 3 == 0 else "A" if v % 3 == 1 else "b"} for v in range(1, 10)}
        self.events["poison"] = {"id": 2, "v": POISON, "key": "b"}
        self.written, self.letters, self.passed_over = [1, 2, 3, 4, 5, 7, 8, 9], [Letter("poison")], {"m6"}
        self.there = [("A", 9), ("b", 8)]

    def found(self):
        return (states(self.events, self, self.letters, self.passed_over) +
                in_place(self.events, self, "key", self.there, "records"))


@pytest.fixture
def history():
    return History()


def test_account_of_a_good_history_is_clean(history):
    assert history.found() == [] and all_settled(history.events, history, history.passed_over)


def lose(history):
    history.written.remove(5)


def invent(history):
    history.letters.append(Letter("nobody's"))


def bury_what_was_written(history):
    history.events["m8"]["v"] = history.events["poison"]["v"] * 2
    history.written[history.written.index(8)] = POISON * 2
    history.there[1] = ("b", 5)
    history.letters.append(Letter("m8"))


def bury_without_cause(history):
    history.written.remove(5)
    history.letters.append(Letter("m5"))


def swap_within_a_row(history):
    history.written.remove(2)
    history.written.append(2)


def make_it_twice(history):
    history.there.append(("B", 5))


def leave_it_behind(history):
    history.there[0] = ("a", 3)


def forget_it(history):
    del history.there[1]


@pytest.mark.parametrize("change, says", [
    (lose, "lost: [5]"), (invent, "invented: [None]"), (bury_what_was_written, "in two states"),
    (bury_without_cause, "a dead letter without cause: [5]"), (swap_within_a_row, "out of order: row 2, 2 after 8"),
    (make_it_twice, "2 records b"), (leave_it_behind, "a has [3], not"), (forget_it, "b has None, not")])
def test_account_finds_what_is_wrong(history, change, says):
    change(history)
    assert any(says in text for text in history.found()), history.found()


def test_account_is_not_settled_while_an_event_is_missing(history):
    history.written.remove(5)
    assert not all_settled(history.events, history, history.passed_over)
