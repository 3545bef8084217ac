"""What every double has from service.py: faults on the way, the journal, the clock, control over HTTP, the command line."""
import email.utils
import http.client
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from doubles.client import call, call_json
from doubles.service import Answer, Service

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOST = (http.client.HTTPException, OSError)


class Counter(Service):
    """Counts what it carried out."""
    def __init__(self, **options):
        self.carried_out = 0
        super().__init__(**options)

    def handle(self, request):
        with self.lock:
            self.carried_out += 1
        return Answer(200, {"n": self.carried_out, "text": "x" * 50})


@pytest.fixture
def service():
    with Counter() as made:
        yield made


def test_service_trap_unknown_names_those_there_are(service):
    with pytest.raises(ValueError, match="no trap htlm; there are .*html"):
        service.traps.set(htlm=1)


@pytest.mark.parametrize("wrong", [{"html": True}, {"html": -1}, {"slow": "much"}, {"throttle_status": float("nan")},
                                   {"retry_after_form": 3}, {"slow": 1, "skip": 1}])
def test_service_trap_of_wrong_kind_is_refused(service, wrong):
    with pytest.raises(ValueError):
        service.traps.set(**wrong)


def test_service_html_is_not_carried_out(service):
    service.traps.set(html=1)
    reply = call(service.url("/a"))
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/html") and "<html>" in reply.text
    assert service.carried_out == 0 and service.journal.all()[0]["notes"] == ["html"]
    assert call_json(service.url("/a"))[1]["n"] == 1


@pytest.mark.parametrize("trap, carried_out", [("drop", 0), ("lose", 1), ("cut", 1)])
def test_service_connection_that_ends_early_says_what_was_carried_out(service, trap, carried_out):
    service.traps.set(**{trap: 1})
    with pytest.raises(LOST):
        call(service.url("/a"))
    assert service.carried_out == carried_out
    assert call_json(service.url("/a"))[0] == 200


def test_service_empty_has_no_body(service):
    service.traps.set(empty=1)
    assert call(service.url("/a")).text == ""
    assert service.carried_out == 1


def test_service_slow_body_arrives_whole(service):
    service.traps.set(slow=0.2)
    began = time.monotonic()
    assert call_json(service.url("/a"))[1]["n"] == 1
    assert time.monotonic() - began >= 0.2


def test_service_skip_and_only_choose_the_request(service):
    service.traps.set(html=1, skip=1, only="/b")
    texts = [call(service.url(path)).text for path in ("/b", "/a", "/b", "/b")]
    assert ["<html>" in t for t in texts] == [False, False, True, False]


def test_service_share_springs_by_chance_and_repeats_with_its_seed():
    def run():
        with Counter(seed=7) as service:
            service.traps.set(html=0, share=0.3)
            return ["<html>" in call(service.url("/a")).text for _ in range(60)]
    first = run()
    assert 5 < sum(first) < 35 and run() == first


def test_service_throttle_seconds_sends_away_who_comes_early(service):
    service.traps.set(throttle=1, retry_after=1, throttle_status=503)
    first, second = call(service.url("/a")), call(service.url("/a"))
    assert [first.status, second.status] == [503, 503] and first.headers["retry-after"] == "1"
    assert len(service.journal.noted("before Retry-After")) == 1 and service.carried_out == 0
    time.sleep(float(second.headers["retry-after"]))  # the promise is about time
    assert call(service.url("/a")).status == 200


def test_service_throttle_date_is_a_date_after_the_pause(service):
    service.traps.set(throttle=1, retry_after=2, retry_after_form="date")
    after = email.utils.parsedate_to_datetime(call(service.url("/a")).headers["retry-after"]).timestamp()
    assert 1 < after - time.time() <= 3


def test_service_answer_next_replaces_that_many(service):
    service.answer_next(418, {"odd": 1}, {"X-Odd": "yes"}, times=2, only="/a")
    replies = [call(service.url(path)) for path in ("/b", "/a", "/a", "/a")]
    assert [r.status for r in replies] == [200, 418, 418, 200] and replies[1].headers["x-odd"] == "yes"
    assert service.carried_out == 2


def test_service_journal_knows_requests_and_their_overlap(service):
    meeting = threading.Barrier(3)
    service.handle = lambda request: Answer(200, {"arrived": meeting.wait(10)})
    threads = [threading.Thread(target=call, args=(service.url("/a?b=1"), "POST", b"body", {"X-One": "1"})) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entry = service.journal.all("/a?b")[0]
    assert (entry["method"], entry["body"], entry["status"], entry["headers"]["x-one"]) == ("POST", "body", 200, "1")
    assert service.journal.peak() == 3 and service.journal.most_within(20) == 3 and service.journal.most_within(1e-9) == 1


def test_service_control_sets_traps_and_clock_and_is_not_journalled(service):
    assert call_json(service.url("/-/traps"), "POST", {"html": {"value": 1, "skip": 1}})[1]["html"]["skip"] == 1
    assert call_json(service.url("/-/traps"), "POST", {"nonsense": 1})[0] == 400
    before = service.clock.now()
    assert call_json(service.url("/-/clock"), "POST", {"advance": 100})[1]["now"] >= before + 100
    assert call_json(service.url("/-/answer"), "POST", {"status": 500, "body": "no"})[0] == 200
    assert call(service.url("/a")).status == 500
    assert [e["path"] for e in call_json(service.url("/-/journal"))[1]] == ["/a"]
    assert call_json(service.url("/-/nothing"))[0] == 404
    assert call_json(service.url("/-/traps"), "POST", {"cut": 1})[1]["cut"]["value"] == 1
    with pytest.raises(LOST):
        call(service.url("/a"))


def test_service_body_that_is_not_utf_8_is_kept_as_it_came(service):
    service.handle = lambda request: Answer(200, {"size": request.size()})
    assert call_json(service.url("/a"))[1]["size"] == 0
    reply = call(service.url("/a"), "POST", b"\xff\xfe")
    assert reply.text == '{"size": 2}' and service.journal.all()[1]["body"].encode(errors="surrogateescape") == b"\xff\xfe"


def test_service_that_is_wrong_itself_says_so(service, capsys):
    service.handle = lambda request: 1 // 0
    reply = call(service.url("/a"))
    assert reply.status == 500 and "ZeroDivisionError" in reply.text and service.journal.noted("broke")


def test_service_stop_frees_the_port(service):
    service.stop()
    with pytest.raises(OSError):
        call(service.url("/a"))
    Counter(port=service.port).stop()


@pytest.mark.parametrize("module", ["statsserver", "salesforce", "marketo"])
def test_program_starts_prints_its_url_and_ends_with_sigterm(module):
    argv = [sys.executable, "-m", f"doubles.{module}", "--trap", "html"]
    child = subprocess.Popen(argv, cwd=TEST, stdout=subprocess.PIPE, text=True)
    try:
        url = child.stdout.readline().strip()
        assert "<html>" in call(url + "/any").text
    finally:
        child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0
    child.stdout.close()


@pytest.mark.parametrize("module", ["statsserver", "salesforce", "marketo"])
def test_program_help_lists_traps_and_a_wrong_trap_is_an_error(module):
    base = [sys.executable, "-m", f"doubles.{module}"]
    shown = subprocess.run([*base, "--help"], cwd=TEST, capture_output=True, text=True, timeout=20)
    assert shown.returncode == 0 and "--port" in shown.stdout and "retry_after_form" in shown.stdout
    wrong = subprocess.run([*base, "--trap", "nonsense"], cwd=TEST, capture_output=True, text=True, timeout=20)
    assert wrong.returncode == 1 and "no trap nonsense" in wrong.stderr
