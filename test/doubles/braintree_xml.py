"""XML as Braintree's gateway writes and reads it: names with dashes, types as attributes, nil for what has no value.

    <created-at type="datetime">2026-03-01T00:00:00Z</created-at>  <order-id nil="true"/>  <ids type="array"><item>a</item></ids>

Written from Python values: a dict has elements of its own, `Many` is an array, `Found` a page of a search. Read for what a search asks.
"""
import datetime
import xml.etree.ElementTree
from xml.sax.saxutils import escape, quoteattr

MOMENT = "%Y-%m-%dT%H:%M:%SZ"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def moment(text):
    """A datetime of `2026-03-01T00:00:00Z`, or ValueError: UTC, whole seconds, as the gateway writes it."""
    if len(text) != 20:
        raise ValueError(text)
    return datetime.datetime.strptime(text, MOMENT)


class Typed:
    """A value whose type the gateway names also when there is none: Typed("datetime") is <… type="datetime" nil="true"/>."""

    def __init__(self, kind):
        self.kind = kind


class Many:
    """An array; each of its elements has the name `item`."""

    def __init__(self, item, values, kind="array", head=None):
        self.item, self.values, self.kind, self.head = item, values, kind, head or {}


def found(item, values, page_size, total):
    """A page of what a search found."""
    return Many(item, values, "collection", {"current_page_number": 1, "page_size": page_size, "total_items": total})


def element(name, value):
    tag = name.replace("_", "-")
    if value is None:
        return f'<{tag} nil="true"/>'
    if isinstance(value, Typed):
        return f"<{tag} type={quoteattr(value.kind)} nil=\"true\"/>"
    if isinstance(value, dict):
        return f"<{tag}>{children(value)}</{tag}>"
    if isinstance(value, Many):
        inner = children(value.head) + "".join(element(value.item, v) for v in value.values)
        return f"<{tag} type={quoteattr(value.kind)}>{inner}</{tag}>"
    kind, text = scalar(value)
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def children(values):
    return "".join(element(name, value) for name, value in values.items())


def scalar(value):
    if isinstance(value, bool):
        return ' type="boolean"', "true" if value else "false"
    if isinstance(value, int):
        return ' type="integer"', str(value)
    if isinstance(value, datetime.datetime):
        return ' type="datetime"', value.strftime(MOMENT)
    if isinstance(value, datetime.date):
        return ' type="date"', value.isoformat()
    return "", str(value)


def document(name, value):
    return DECLARATION + element(name, value)


class NotXml(ValueError):
    """What was sent is no document that the gateway reads."""


def read(text):
    """The root element of a request's body."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise NotXml("a document type is not allowed")
    try:
        return xml.etree.ElementTree.fromstring(text)
    except xml.etree.ElementTree.ParseError as e:
        raise NotXml(str(e)) from None
