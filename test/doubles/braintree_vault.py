"""What a merchant has at Braintree's double: transactions with their history, customers, subscriptions.

Every change makes a version of a record, seen at once, at a time of the double's clock (`visible_at`), or not until `reveal`
(`hidden`): a search sees the newest version that is visible, so that a row, or a transition of it, comes late with its old stamp.

What a test calls takes the double's lock; the gateway holds it around what it asks.
"""
import datetime
import math

from doubles.braintree_xml import Many, Typed, moment

# Status of a transaction: the criterion that searches for the time it came. The others cannot be searched for by their time.
TRANSITIONS = {"authorized": "authorized_at", "submitted_for_settlement": "submitted_for_settlement_at", "settled": "settled_at",
               "voided": "voided_at", "failed": "failed_at", "gateway_rejected": "gateway_rejected_at",
               "processor_declined": "processor_declined_at", "authorization_expired": "authorization_expired_at"}
STATUSES = {*TRANSITIONS, "authorizing", "settling", "settlement_pending", "settlement_confirmed", "settlement_declined", "unrecognized"}
SUBSCRIPTION_STATUSES = {"Active", "Canceled", "Expired", "Past Due", "Pending"}


class Record:
    def __init__(self, number):
        self.number, self.versions = number, []  # of (visible at, fields), oldest first

    def newest(self):
        return self.versions[-1][1]

    def at(self, now):
        """Its fields as a search sees them, or None."""
        for visible_at, fields in reversed(self.versions):
            if visible_at <= now:
                return fields
        return None


class Vault:
    def __init__(self, clock, lock):
        self.clock, self.lock = clock, lock
        self.kinds = {"transactions": {}, "customers": {}, "subscriptions": {}}
        self._made = 0

    # ---- what a test does ----

    def sale(self, key, at, amount="10.00", status="submitted_for_settlement", customer=None, subscription=None, order=None, **late):
        """A transaction. One that is submitted for settlement at once was authorized at that time too."""
        at = instant(at)
        checked(status, STATUSES)
        steps = ["authorized", status] if status == "submitted_for_settlement" else [status]
        with self.lock:
            buyer = self.kinds["customers"].get(customer)
            if customer is not None and not buyer:
                raise ValueError(f"there is no customer {customer}")
            self._insert("transactions", key, transaction(key, at, amount, steps, order, subscription, buyer and buyer.newest()), late)

    def transition(self, key, status, at, **late):
        at = instant(at)
        checked(status, STATUSES)

        def step(fields):
            history = fields["status_history"].values
            history = [*history, event(at, status, fields["amount"])]
            return {"status": status, "updated_at": at, "status_history": Many("status-event", history)}
        self._change("transactions", key, step, late)

    def disburse(self, key, day, at, **late):
        """The money has been paid out on a day."""
        details = {"disbursement_date": datetime.date.fromisoformat(day), "settlement_amount": "10.00",
                   "settlement_currency_iso_code": "USD", "funds_held": False, "success": True}
        self._change("transactions", key, lambda fields: {"disbursement_details": details, "updated_at": instant(at)}, late)

    def dispute(self, key, dispute, day, at, status="open", **late):
        """A dispute of a transaction, opened on a day; the same key again changes it."""
        def step(fields):
            made = {"id": dispute, "amount": fields["amount"], "currency_iso_code": "USD", "status": status, "kind": "chargeback",
                    "reason": "fraud", "received_date": datetime.date.fromisoformat(day), "reply_by_date": Typed("date"),
                    "created_at": instant(at), "updated_at": instant(at)}
            others = [d for d in fields["disputes"].values if d["id"] != dispute]
            return {"disputes": Many("dispute", [*others, made]), "updated_at": instant(at)}
        self._change("transactions", key, step, late)

    def customer(self, key, at, late=None, **fields):
        with self.lock:
            self._insert("customers", key, customer(key, instant(at), fields), late or {})

    def subscription(self, key, at, plan="plan", price="10.00", status="Active", late=None, **fields):
        checked(status, SUBSCRIPTION_STATUSES)
        with self.lock:
            self._insert("subscriptions", key, subscription(key, instant(at), plan, price, status, fields), late or {})

    def change(self, kind, key, at, late=None, **fields):
        """A change that no search can find by its time: of a customer, a subscription, a transaction's details."""
        self._change(kind, key, lambda _: {**fields, "updated_at": instant(at)}, late or {})

    def remove(self, kind, key):
        with self.lock:
            del self.kinds[kind][key]

    def reveal(self):
        """What was hidden is seen from now on."""
        with self.lock:
            for records in self.kinds.values():
                for record in records.values():
                    record.versions = [(0 if at == math.inf else at, fields) for at, fields in record.versions]

    def newest(self, kind, key):
        """A record's last state, seen by searches or not."""
        with self.lock:
            return self.kinds[kind][key].newest()

    # ---- what the gateway asks ----

    def seen(self, kind):
        """(number, fields) of all that a search sees, oldest first."""
        now = self.clock.now()
        for record in self.kinds[kind].values():
            fields = record.at(now)
            if fields is not None:
                yield record.number, fields

    def one(self, kind, key):
        record = self.kinds[kind].get(key)
        return record and record.at(self.clock.now())

    def _insert(self, kind, key, fields, late):
        if key in self.kinds[kind]:
            raise ValueError(f"there is a record {key} among {kind}")
        self._made += 1
        record = self.kinds[kind][key] = Record(self._made)
        record.versions.append((visible(late), fields))

    def _change(self, kind, key, step, late):
        with self.lock:
            record = self.kinds[kind][key]
            fields = record.newest()
            record.versions.append((visible(late), {**fields, **step(fields)}))


def visible(late):
    unknown = set(late) - {"visible_at", "hidden"}
    if unknown:
        raise ValueError(f"late is visible_at or hidden, not {sorted(unknown)[0]}")
    return math.inf if late.get("hidden") else late.get("visible_at", 0)


def checked(value, known):
    if value not in known:
        raise ValueError(f"no status {value}; there are {', '.join(sorted(known))}")


def instant(at):
    return moment(at) if isinstance(at, str) else at


def event(at, status, amount):
    return {"timestamp": at, "status": status, "amount": amount, "user": "api_user", "transaction_source": "api"}


def transaction(key, at, amount, steps, order, subscription_id, buyer):
    buyer = buyer or {}
    return {
        "id": key, "status": steps[-1], "type": "sale", "currency_iso_code": "USD", "amount": amount,
        "merchant_account_id": "main", "sub_merchant_account_id": None, "master_merchant_account_id": None, "order_id": order,
        "created_at": at, "updated_at": at,
        "customer": {"id": buyer.get("id"), "first_name": buyer.get("first_name"), "last_name": buyer.get("last_name"),
                     "company": buyer.get("company"), "email": buyer.get("email")},
        "refund_id": None, "refund_ids": Many("item", []), "refunded_transaction_id": None, "settlement_batch_id": None,
        "shipping": {"first_name": None, "last_name": None}, "custom_fields": {}, "processor_response_code": "1000",
        "processor_response_text": "Approved", "gateway_rejection_reason": None, "voice_referral_number": None,
        "credit_card": {"token": None, "bin": "411111", "last_4": "1111", "card_type": "Visa", "expiration_month": "12",
                        "expiration_year": "2030", "prepaid": "Unknown"},
        "status_history": Many("status-event", [event(at, step, amount) for step in steps]), "plan_id": None,
        "subscription_id": subscription_id, "recurring": subscription_id is not None, "payment_instrument_type": "credit_card",
        "disbursement_details": {"disbursement_date": Typed("date"), "settlement_amount": None, "settlement_currency_iso_code": None,
                                 "funds_held": Typed("boolean"), "success": Typed("boolean")},
        "disputes": Many("dispute", []),
    }


def customer(key, at, fields):
    return {"id": key, "merchant_id": "merchant", "first_name": None, "last_name": None, "company": None, "email": None, "phone": None,
            "fax": None, "website": None, "created_at": at, "updated_at": at, "custom_fields": {},
            "credit_cards": Many("credit-card", []), "addresses": Many("address", []), **fields}


def subscription(key, at, plan, price, status, fields):
    return {"id": key, "merchant_account_id": "main", "plan_id": plan, "price": price, "status": status, "created_at": at, "updated_at": at,
            "billing_day_of_month": at.day, "billing_period_start_date": at.date(), "billing_period_end_date": Typed("date"),
            "next_billing_date": Typed("date"), "current_billing_cycle": 1, "days_past_due": Typed("integer"), "failure_count": 0,
            "never_expires": True, "trial_period": False, "balance": "0.00", "payment_method_token": "token",
            "add_ons": Many("add-on", []), "discounts": Many("discount", []), "transactions": Many("transaction", []),
            "status_history": Many("status-event", [{"timestamp": at, "status": status, "user": "api_user", "price": price}]), **fields}
