"""Sends Braintree's webhooks, as the gateway does: a form of bt_signature and bt_payload, again every hour until it is answered with 2xx.

    sender = Webhooks("http://127.0.0.1:9400/hooks/braintree", {"public": "private"})
    assert sender.check()                                            # the challenge with which a destination is set up
    sent = sender.send("subscription_went_past_due", "subscription", server.vault.newest("subscriptions", "s1"))
    sender.clock.advance(3600); sender.send_due()                    # what was not answered with 2xx, once its hour has passed
    assert sent.delivered and sent.statuses == [503, 200]

A signature has a pair for each key of the merchant: `public|hex&public|hex`, the hex an HMAC-SHA1 of the payload as it is sent, its key the
SHA1 of the private key. A payload is base64 in lines of 76 with an end each. One thread, unless a test starts several calls of `send`.
"""
import base64
import datetime
import hashlib
import hmac
import http.client
import secrets
import urllib.parse

from doubles.braintree_xml import document
from doubles.service import Clock

HOUR = 3600
# What a subject is named, and what it is known by: not all have an id, and some have nothing.
OBJECTS = {"transaction": "id", "subscription": "id", "dispute": "id", "customer": "id", "disbursement": "id",
           "paypal-account": "token", "granted-payment-instrument-update": "token", "local-payment": "payment_id",
           "connected-merchant-status-transitioned": "merchant_public_id", "connected-merchant-paypal-status-changed": "merchant_public_id",
           "oauth-application-revocation": None, "account-updater-daily-report": None, "partner-merchant": None, "check": None}
SPOILS = {
    "forged": "signed with another private key under the public key that is known",
    "old_key": "signed by keys alone that the merchant no longer has",
    "changed": "the payload is another than the one that was signed",
    "payload_cut": "the payload ends early",
    "signature_cut": "the signature ends early",
    "no_signature": "there is no bt_signature",
    "no_payload": "there is no bt_payload",
    "not_base64": "the payload has characters that base64 does not have; its signature is right",
    "not_xml": "the payload is not well-formed; its signature is right",
    "doctype": "the payload has a document type with an entity; its signature is right",
}


def digest(private_key, text):
    return hmac.new(hashlib.sha1(private_key.encode()).digest(), text.encode(), hashlib.sha1).hexdigest()


def signature(keys, payload):
    return "&".join(f"{public}|{digest(private, payload)}" for public, private in keys.items())


def notification(kind, name, subject, at):
    if name not in OBJECTS:
        raise ValueError(f"a notification is about {', '.join(OBJECTS)}, not {name}")
    if OBJECTS[name] != "id" and isinstance(subject, dict) and "id" in subject:
        raise ValueError(f"Braintree gives {name} no id")
    if OBJECTS[name] not in (None, "id") and OBJECTS[name] not in subject:
        raise ValueError(f"{name} has {OBJECTS[name]}")
    return document("notification", {"timestamp": at, "kind": kind, "subject": {name: subject}})


def encoded(text):
    return base64.encodebytes(text.encode()).decode()


class Delivery:
    """`statuses`: what each attempt was answered with, None when there was no answer in time. `form`: what is sent each time."""

    def __init__(self, form, at):
        self.form, self.began, self.due, self.statuses = form, at, at, []

    @property
    def delivered(self):
        return any(status is not None and 200 <= status < 300 for status in self.statuses)


class Webhooks:
    """`keys`: public key: private key, of each API key of the merchant. `window`: seconds in which a webhook is sent again; three hours in
    the sandbox, a day in production. `timeout`: seconds in which it must be answered."""

    def __init__(self, url, keys, clock=None, window=24 * HOUR, timeout=30):
        self.url, self.keys, self.clock = url, dict(keys), clock or Clock()
        self.window, self.timeout, self.waiting = window, timeout, []

    def check(self):
        """Whether the destination answers a challenge as it must."""
        challenge = secrets.token_hex(16)
        mark = "&" if urllib.parse.urlsplit(self.url).query else "?"
        status, text = self._call("GET", f"{mark}bt_challenge={challenge}")
        return status == 200 and text in [f"{public}|{digest(private, challenge)}" for public, private in self.keys.items()]

    def send(self, kind, name, subject, at=None, spoil=None, newline=True):
        """One notification, tried once now; returns its Delivery. Without `newline` the payload is sent without its last line end, which
        its signature covers, as frameworks that strip a form's values hand it on."""
        at = at or datetime.datetime.fromtimestamp(int(self.clock.now()), datetime.timezone.utc).replace(tzinfo=None)
        made = Delivery(self.form(notification(kind, name, subject, at), spoil, newline), self.clock.now())
        self._try(made)
        return made

    def send_due(self):
        """What was not taken and is due again; returns those that were tried."""
        now = self.clock.now()
        due = [d for d in self.waiting if d.due <= now]
        self.waiting = [d for d in self.waiting if d.due > now]
        for delivery in due:
            self._try(delivery)
        return due

    def form(self, text, spoil=None, newline=True):
        """The fields of a form for the text of a notification."""
        if spoil is not None and spoil not in SPOILS:
            raise ValueError(f"no way to spoil {spoil}; there are {', '.join(sorted(SPOILS))}")
        if spoil == "not_xml":
            text = text[:text.rindex("</")]
        if spoil == "doctype":
            text = text.replace("?>\n", '?>\n<!DOCTYPE notification [<!ENTITY e "e">]>', 1).replace("</kind>", "&e;</kind>")
        payload = "~* not base64 *~" if spoil == "not_base64" else encoded(text)
        signed = self._signed(payload, spoil)
        return self._spoilt({"bt_signature": signed, "bt_payload": payload if newline else payload.rstrip("\n")}, spoil)

    def _signed(self, payload, spoil):
        keys = self.keys
        if spoil == "forged":
            keys = {public: f"not {private}" for public, private in keys.items()}
        if spoil == "old_key":
            keys = {f"old-{public}": f"old {private}" for public, private in keys.items()}
        return signature(keys, payload)

    @staticmethod
    def _spoilt(form, spoil):
        payload = form["bt_payload"]
        if spoil == "changed":
            form["bt_payload"] = encoded(base64.b64decode(payload).decode().replace("<kind>", "<kind>x"))
        if spoil == "payload_cut":
            form["bt_payload"] = payload[:len(payload) // 2 // 4 * 4]
        if spoil == "signature_cut":
            form["bt_signature"] = form["bt_signature"][:-8]
        if spoil in ("no_signature", "no_payload"):
            del form["bt_" + spoil.removeprefix("no_")]
        return form

    def _try(self, delivery):
        delivery.statuses.append(self._call("POST", "", urllib.parse.urlencode(delivery.form))[0])
        delivery.due += HOUR
        if not delivery.delivered and delivery.due <= delivery.began + self.window:
            self.waiting.append(delivery)

    def _call(self, method, more, body=None):
        """(status, text) of the destination with `more` at its end; redirects are not followed. (None, "") without an answer in time."""
        split = urllib.parse.urlsplit(self.url)
        target = urllib.parse.urlunsplit(("", "", split.path or "/", split.query, "")) + more
        connection = http.client.HTTPConnection(split.hostname, split.port, timeout=self.timeout)
        try:
            connection.request(method, target, body, {"Content-Type": "application/x-www-form-urlencoded"} if body else {})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return None, ""
        finally:
            connection.close()
