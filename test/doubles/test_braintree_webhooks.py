"""Braintree's webhooks as its double sends them: signatures, challenge, what is sent again, and each way of being wrong."""
import base64
import hashlib
import hmac
import re
import threading
import urllib.parse
import xml.etree.ElementTree

import pytest

from doubles.braintree_webhooks import SPOILS, Webhooks, digest
from harness.http_server import HttpServer

KEYS = {"public": "private", "public-2": "private-2"}
SUBJECT = {"id": "s1", "status": "Past Due"}


class Listener:
    """Answers as it is told to, and knows what a receiver of webhooks must check, written apart from the sender."""

    def __init__(self):
        self.status, self.challenge_body, self.server = 200, None, HttpServer(self.answer)

    def answer(self, request, _nth):
        if request["method"] == "GET":
            challenge = urllib.parse.parse_qs(urllib.parse.urlsplit(request["path"]).query)["bt_challenge"][0]
            assert re.fullmatch("[a-f0-9]{20,32}", challenge)
            key = hashlib.sha1(b"private").digest()
            good = "public|" + hmac.new(key, challenge.encode(), hashlib.sha1).hexdigest()
            return 200, {"Content-Type": "text/plain"}, (good if self.challenge_body is None else self.challenge_body).encode()
        return self.status, {}, b""

    def url(self):
        return self.server.url("/hooks/braintree")

    def forms(self):
        return [dict(urllib.parse.parse_qsl(r["body"], keep_blank_values=True)) for r in self.server.requests() if r["method"] == "POST"]


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.server.stop()


def good(form, public="public", private="private"):
    """Whether a receiver with these keys may take a form."""
    signature, payload = form.get("bt_signature"), form.get("bt_payload")
    if not signature or not payload or re.search(r"[^A-Za-z0-9+=/\n]", payload):
        return False
    pairs = dict(pair.split("|", 1) for pair in signature.split("&") if "|" in pair)
    key = hashlib.sha1(private.encode()).digest()
    hexes = [hmac.new(key, text.encode(), hashlib.sha1).hexdigest() for text in (payload, payload + "\n")]
    return pairs.get(public) in hexes


def test_webhooks_digest_is_that_of_the_documentation():
    assert digest("integration_private_key", "20f9f8ed05f77439fe955c977e4c8a53") == "d9b899556c966b3f06945ec21311865d35df3ce4"


def test_webhooks_form_is_signed_by_each_key(listener):
    sent = Webhooks(listener.url(), KEYS).send("subscription_went_past_due", "subscription", SUBJECT)
    form = listener.forms()[0]
    assert sent.delivered and good(form) and good(form, "public-2", "private-2") and not good(form, "public", "other")
    assert listener.server.requests()[0]["headers"]["content-type"] == "application/x-www-form-urlencoded"
    lines = form["bt_payload"].split("\n")
    assert lines[-1] == "" and all(len(line) <= 76 for line in lines) and len(lines) > 2
    root = xml.etree.ElementTree.fromstring(base64.b64decode(form["bt_payload"]))
    assert root.tag == "notification" and root.findtext("kind") == "subscription_went_past_due"
    assert root.find("timestamp").get("type") == "datetime" and root.findtext("subject/subscription/id") == "s1"


def test_webhooks_of_what_has_no_id_have_none(listener):
    sender = Webhooks(listener.url(), KEYS)
    assert sender.send("payment_method_revoked_by_customer", "paypal-account", {"token": "t1"}).delivered
    for name, subject in (("paypal-account", {"id": "1"}), ("paypal-account", {}), ("check", {"id": "x"})):
        with pytest.raises(ValueError):
            sender.send("k", name, subject)


def test_webhooks_payload_without_its_last_line_end_is_good_still(listener):
    Webhooks(listener.url(), KEYS).send("check", "check", True, newline=False)
    assert not listener.forms()[0]["bt_payload"].endswith("\n") and good(listener.forms()[0])


@pytest.mark.parametrize("spoil", sorted(SPOILS))
def test_webhooks_spoilt_form_is_not_good_or_not_xml(listener, spoil):
    Webhooks(listener.url(), KEYS).send("check", "check", True, spoil=spoil)
    form = listener.forms()[0]
    if spoil not in ("not_xml", "doctype"):
        assert not good(form, "public-2", "private-2")
        return
    assert good(form)
    if spoil == "not_xml":
        with pytest.raises(xml.etree.ElementTree.ParseError):
            xml.etree.ElementTree.fromstring(base64.b64decode(form["bt_payload"]))
    else:
        assert b"<!DOCTYPE" in base64.b64decode(form["bt_payload"])


def test_webhooks_spoil_that_is_unknown_is_an_error():
    with pytest.raises(ValueError, match="no way to spoil forget; there are .*forged"):
        Webhooks("http://127.0.0.1:1/", KEYS).send("check", "check", True, spoil="forget")


@pytest.mark.parametrize("body, good_answer", [(None, True), ("public|0000", False), ("", False)])
def test_webhooks_check_takes_the_right_answer_alone(listener, body, good_answer):
    listener.challenge_body = body
    assert Webhooks(listener.url(), KEYS).check() is good_answer


@pytest.mark.parametrize("status", [503, 302, 404])
def test_webhooks_not_taken_comes_again_after_an_hour_the_same(listener, status):
    sender = Webhooks(listener.url(), KEYS)
    listener.status = status
    sent = sender.send("check", "check", True)
    assert sender.send_due() == []
    listener.status = 200
    sender.clock.advance(3600)
    assert sender.send_due() == [sent] and sent.statuses == [status, 200] and sender.waiting == []
    assert listener.forms()[0] == listener.forms()[1]


def test_webhooks_destination_that_is_gone_is_tried_for_a_day():
    server = HttpServer(lambda request, nth: None)
    try:
        sender = Webhooks(server.url("/"), KEYS)
        sent = sender.send("check", "check", True)
        for _ in range(30):
            sender.clock.advance(3600)
            sender.send_due()
        assert len(sent.statuses) == 25 and set(sent.statuses) == {None} and not sent.delivered
    finally:
        server.stop()


def test_webhooks_without_an_answer_in_time_come_again(listener):
    sender, late = Webhooks(listener.url(), KEYS, timeout=0.2), threading.Event()

    def after_all(request, nth):
        late.wait(10)
        return None
    listener.server.answer = after_all
    try:
        assert sender.send("check", "check", True).statuses == [None] and len(sender.waiting) == 1
    finally:
        late.set()
