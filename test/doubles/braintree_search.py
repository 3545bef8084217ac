"""Searches of Braintree's double: what a <search> asks, held against a record.

    <search><settled-at><min type="datetime">…Z</min><max type="datetime">…Z</max></settled-at>
    <status type="array"><item>settled</item>…

Three sorts of criteria: ranges (is, min, max), several values (an array), text (is, is-not, starts-with, ends-with, contains). Ranges
of time include their lower bound; their upper one plus a minute they exclude. A criterion that is not in the lists below is refused.
"""
import datetime
import decimal

from doubles.braintree_vault import STATUSES, SUBSCRIPTION_STATUSES, TRANSITIONS
from doubles.braintree_xml import Typed, moment

MINUTE = datetime.timedelta(minutes=1)


class NotAllowed(Exception):
    """A parameter that is not in the list, or in the wrong place."""


class Invalid(Exception):
    """A value that the criterion does not take."""


def field(*path):
    """The values at a path of a record: none or one."""
    def get(fields):
        for name in path:
            fields = fields[name]
        return [] if fields is None or isinstance(fields, Typed) else [fields]
    return get


def transition(status):
    return lambda fields: [e["timestamp"] for e in fields["status_history"].values if e["status"] == status]


def disputes(fields):
    return [d["received_date"] for d in fields["disputes"].values]


CRITERIA = {  # of a kind: name, sort, the values of a record, and which values there are
    "transactions": {
        "id": ("text", field("id")), "ids": ("values", field("id")), "order_id": ("text", field("order_id")),
        "customer_id": ("text", field("customer", "id")), "customer_email": ("text", field("customer", "email")),
        "status": ("values", field("status"), STATUSES), "type": ("values", field("type"), {"sale", "credit"}),
        "merchant_account_id": ("values", field("merchant_account_id")), "amount": ("number", field("amount")),
        "created_at": ("time", field("created_at")), "dispute_date": ("date", disputes),
        "disbursement_date": ("date", field("disbursement_details", "disbursement_date")),
        **{name: ("time", transition(status)) for status, name in TRANSITIONS.items()},
    },
    "customers": {
        "id": ("text", field("id")), "ids": ("values", field("id")), "created_at": ("time", field("created_at")),
        "email": ("text", field("email")), "company": ("text", field("company")), "first_name": ("text", field("first_name")),
        "last_name": ("text", field("last_name")), "phone": ("text", field("phone")), "website": ("text", field("website")),
    },
    "subscriptions": {
        "id": ("text", field("id")), "ids": ("values", field("id")), "created_at": ("time", field("created_at")),
        "plan_id": ("text or values", field("plan_id")), "status": ("values", field("status"), SUBSCRIPTION_STATUSES),
        "merchant_account_id": ("values", field("merchant_account_id")), "price": ("number", field("price")),
        "days_past_due": ("number", field("days_past_due")), "next_billing_date": ("date", field("next_billing_date")),
    },
}


def compiled(root, kind):
    """A function of a record's fields: whether it is what <search> asks for."""
    if name_of(root) != "search":
        raise NotAllowed(f"{root.tag} is not search")
    known, tests, asked = CRITERIA[kind], [], set()
    for node in root:
        name = name_of(node)
        if name not in known:
            raise NotAllowed(f"{kind} are not searched by {node.tag}")
        if name in asked:
            raise NotAllowed(f"{node.tag} is given twice")
        asked.add(name)
        tests.append(criterion(node, name, *known[name]))
    return lambda fields: all(test(fields) for test in tests)


def name_of(node):
    return node.tag.replace("-", "_")


def criterion(node, name, sort, values, allowed=None):
    if "values" in sort and node.get("type") == "array":
        return among(node, values, allowed)
    if "text" in sort:
        return text(node, name, values)
    if sort == "values":
        raise NotAllowed(f"{node.tag} takes an array")
    return in_range(node, values, sort)


def among(node, values, allowed):
    if any(name_of(item) != "item" or len(item) for item in node):
        raise NotAllowed(f"{node.tag} is an array of item")
    wanted = {item.text or "" for item in node}
    if allowed is not None and not wanted <= allowed:
        raise Invalid(f"{node.tag} has no value {sorted(wanted - allowed)[0]}")
    return lambda fields: any(v in wanted for v in values(fields))


TEXT = {"is": lambda value, sought: value == sought, "is_not": lambda value, sought: value != sought,
        "starts_with": lambda value, sought: value.startswith(sought), "ends_with": lambda value, sought: value.endswith(sought),
        "contains": lambda value, sought: sought in value}


def text(node, name, values):
    operators = [(name_of(child), child.text or "") for child in node]
    if not operators:
        raise NotAllowed(f"{name} has no operator")
    for operator, sought in operators:
        if operator not in TEXT:
            raise NotAllowed(f"{node.tag} has no operator {operator}")
        if len(sought) > 255:
            raise Invalid(f"{node.tag} is longer than 255 characters")

    def holds(fields):
        value = str((values(fields) or [""])[0]).lower()
        return all(TEXT[operator](value, sought.lower()) for operator, sought in operators)
    return holds


def in_range(node, values, sort):
    bounds = {}
    for child in node:
        operator = name_of(child)
        if operator not in ("is", "min", "max") or operator in bounds:
            raise NotAllowed(f"{node.tag} has no operator {child.tag}, or has it twice")
        bounds[operator] = bound(node, child, sort)
    if not bounds or "is" in bounds and len(bounds) > 1:
        raise NotAllowed(f"{node.tag} takes is, or min and max")
    low, high = bounds.get("is", bounds.get("min")), bounds.get("is", bounds.get("max"))
    if sort == "time":
        end = high and high.replace(second=0) + MINUTE
        return lambda fields: any((low is None or v >= low) and (end is None or v < end) for v in values(fields))
    as_compared = decimal.Decimal if sort == "number" else lambda v: v
    return lambda fields: any((low is None or as_compared(v) >= low) and (high is None or as_compared(v) <= high) for v in values(fields))


def bound(node, child, sort):
    try:
        if sort == "number":
            return decimal.Decimal(child.text or "")
        if child.get("type") not in (("datetime",) if sort == "time" else ("datetime", "date")):
            raise ValueError
        at = moment(child.text or "") if child.get("type") == "datetime" else datetime.date.fromisoformat(child.text or "")
    except (ValueError, decimal.InvalidOperation):
        raise Invalid(f"{child.tag} of {node.tag} is not a {sort} as it is written here") from None
    return at.date() if sort == "date" and isinstance(at, datetime.datetime) else at
