"""Braintree's gateway as a source: searches for transactions, customers and subscriptions by XML, in two steps.

    POST /merchants/{id}/{kind}/advanced_search_ids     what is found, newest first, up to the cap: the rest is left out without a word
    POST /merchants/{id}/{kind}/advanced_search         with up to a page of these ids among the criteria: their records
    GET  /merchants/{id}/{kind}/{key}                   one record

The second step holds the criteria against the records anew: what no longer fits, or is gone, is missing from its page. Webhooks are sent by
braintree_webhooks.py.

    cd test && python3 -m doubles.braintree --port 8092 --transactions 200
"""
import base64
import datetime
import gzip
import random
import re
import time

from doubles.braintree_search import Invalid, NotAllowed, compiled, name_of
from doubles.braintree_vault import Vault
from doubles.braintree_xml import NotXml, document, found, read
from doubles.service import Answer, Refusal, Service, Trap, arguments, run

VERSION = "6"
KINDS = {"transactions": ("credit-card-transactions", "transaction"), "customers": ("customers", "customer"),
         "subscriptions": ("subscriptions", "subscription")}

TRAPS = {
    "not_well_formed": Trap("times", "answers whose last element is not closed"),
    "doctype": Trap("times", "answers with a document type that declares an entity, and use it"),
    "external_entity": Trap("times", "answers with an entity that names a file of the reader's machine"),
    "entity_bomb": Trap("times", "answers with entities of entities: 10^9 characters for who expands them"),
    "search_timeout": Trap("times", "searches answered with 200 and a document that has no results"),
    "reshape": Trap("times", "answers whose root has another name"),
    "vanish": Trap("times", "pages without their first record, as if it had been deleted meanwhile"),
    "no_id": Trap("times", "pages whose first record has no id"),
    "forbidden": Trap("flag", "the keys have no right to search: 403"),
    "upgrade": Trap("flag", "the version is no longer served: 426"),
    "plain": Trap("flag", "answers are not compressed, whatever the client accepts"),
}
BOMB = ('<!DOCTYPE x [<!ENTITY a0 "1234567890">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9)) + "]>", "&a8;")
DOCTYPES = {"doctype": ('<!DOCTYPE x [<!ENTITY more "more">]>', "&more;"), "entity_bomb": BOMB,
            "external_entity": ('<!DOCTYPE x [<!ENTITY more SYSTEM "file:///etc/hostname">]>', "&more;")}


def refuse(status, text="", headers=None):
    """The gateway's answer without a result: its status says all."""
    return Refusal(Answer(status, text, {"Content-Type": "text/plain", **(headers or {})}), str(status))


def invalid(message):
    body = {"errors": {}, "message": message}
    return Refusal(Answer(422, document("api-error-response", body), {"Content-Type": "application/xml; charset=utf-8"}), "422")


class Braintree(Service):
    """`transaction_cap` and `other_cap`: how many ids a search gives at most; `page_size`: how many records a page has."""
    name = "braintree"
    traps_known = TRAPS

    def __init__(self, port=0, merchant="merchant", public_key="public", private_key="private", transaction_cap=20_000, other_cap=10_000,
                 page_size=50, seed=1):
        self.merchant, self.public_key, self.private_key = merchant, public_key, private_key
        self.caps, self.page_size = {"transactions": transaction_cap}, page_size
        self.other_cap, self.order = other_cap, random.Random(seed)
        super().__init__(port, seed)

    def prepare(self):
        self.vault = Vault(self.clock, self.lock)

    def rotate(self, public_key, private_key):
        """New keys: the old ones are refused from now on."""
        with self.lock:
            self.public_key, self.private_key = public_key, private_key

    # ---- requests ----

    def handle(self, request):
        self._authorise(request)
        path = re.fullmatch(rf"/merchants/{re.escape(self.merchant)}/(\w+)/([^/]+)", request.path)
        if not path or path[1] not in KINDS or request.query:
            raise refuse(404)
        if request.method == "GET":
            return self._sent(request, self._one(*path.groups()))
        if request.method != "POST" or path[2] not in ("advanced_search_ids", "advanced_search"):
            raise refuse(404)
        root, matches = self._search(request, path[1])
        if self.traps.take("search_timeout", request):
            return self._sent(request, document("search-timeout", None))
        answer = self._ids if path[2] == "advanced_search_ids" else self._page
        with self.lock:
            return self._sent(request, answer(request, path[1], root, matches))

    def _authorise(self, request):
        with self.lock:
            expected = base64.b64encode(f"{self.public_key}:{self.private_key}".encode()).decode()
        elsewhere = not request.path.startswith(f"/merchants/{self.merchant}/")
        if request.headers.get("authorization") != f"Basic {expected}" or elsewhere and request.path.startswith("/merchants/"):
            raise refuse(401, "Unauthorized", {"WWW-Authenticate": 'Basic realm="Braintree"'})
        if self.traps.get("forbidden"):
            raise refuse(403)
        if self.traps.get("upgrade") or request.headers.get("x-apiversion") != VERSION:
            raise refuse(426)
        if request.headers.get("accept", "").split(";")[0].strip().lower() != "application/xml":
            raise refuse(406)

    def _search(self, request, kind):
        """The root of the request, or None when it has no body; and what a record must be."""
        if not request.body.strip():
            return None, lambda fields: True
        if request.content_type() != "application/xml":
            raise refuse(415)
        try:
            root = read(request.body)
            return root, compiled(root, kind)
        except NotXml as e:
            raise refuse(400, str(e)) from None
        except NotAllowed as e:
            raise refuse(403, str(e)) from None
        except Invalid as e:
            raise invalid(str(e)) from None

    def _one(self, kind, key):
        with self.lock:
            fields = self.vault.one(kind, key)
        if fields is None:
            raise refuse(404)
        return document(KINDS[kind][1], fields)

    def _ids(self, request, kind, root, matches):
        """Newest first; what was created in one second is in no order."""
        hits = [(fields["created_at"], self.order.random(), fields["id"]) for _, fields in self.vault.seen(kind) if matches(fields)]
        hits.sort(reverse=True)
        ids = [key for _, _, key in hits[:self.caps.get(kind, self.other_cap)]]
        if len(ids) < len(hits):
            request.notes.append("capped")
        items = "".join(f"<item>{key}</item>" for key in ids)
        return document("search-results", {"page_size": self.page_size}).replace(
            "</search-results>", f'<ids type="array">{items}</ids></search-results>')

    def _page(self, request, kind, root, matches):
        asked = [item.text or "" for node in (root if root is not None else []) if name_of(node) == "ids" for item in node]
        seen = [self.vault.one(kind, key) for key in dict.fromkeys(asked)]
        records = [fields for fields in seen if fields is not None and matches(fields)]
        records.sort(key=lambda fields: (fields["created_at"], self.order.random()), reverse=True)
        total, records = len(records), records[:self.page_size]
        if records and self.traps.take("vanish", request):
            records = records[1:]
        if records and self.traps.take("no_id", request):
            records = [{name: value for name, value in records[0].items() if name != "id"}, *records[1:]]
        root_name, item = KINDS[kind]
        return document(root_name, found(item, records, self.page_size, total))

    # ---- answers ----

    def _sent(self, request, text):
        body = self._spoilt(request, text).encode()
        headers = {"Content-Type": "application/xml; charset=utf-8"}
        accepted = [part.split(";")[0].strip().lower() for part in request.headers.get("accept-encoding", "").split(",")]
        if "gzip" in accepted and not self.traps.get("plain"):
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        return Answer(200, body, headers)

    def _spoilt(self, request, text):
        for name, (declared, used) in DOCTYPES.items():
            if self.traps.take(name, request):
                head, end, rest = text.partition("?>\n")
                return head + end + declared + re.sub(r"(<(?:item|id)>)[^<]*", rf"\g<1>{used}", rest, count=1)
        if self.traps.take("not_well_formed", request):
            return text[:text.rindex("</")]
        if self.traps.take("reshape", request):
            return re.sub(r"(</?)(search-results|credit-card-transactions|customers|subscriptions)\b", r"\1something-else", text)
        return text

    def throttled(self, headers):
        return Answer(int(self.traps.get("throttle_status", 429)), "", {"Content-Type": "text/plain", **headers})


def main():
    parser = arguments(__doc__, TRAPS)
    parser.add_argument("--transactions", type=int, default=100, help="one a minute up to now, of ten customers")
    args = parser.parse_args()
    server = Braintree(args.port)
    end = datetime.datetime.fromtimestamp(int(time.time()), datetime.timezone.utc).replace(tzinfo=None)
    for n in range(10):
        server.vault.customer(f"customer-{n}", end - datetime.timedelta(days=30), email=f"c{n}@example.com", first_name=f"First {n}")
    for n in range(args.transactions):
        server.vault.sale(f"t{n}", end - datetime.timedelta(minutes=args.transactions - n), f"{n}.00", customer=f"customer-{n % 10}")
    run(server, args, "merchant merchant, public key public, private key private")


if __name__ == "__main__":
    main()
