"""The demo's Marketo, Salesforce and Braintree: doubles from test/doubles, which refuse what the real ones refuse.

The endpoints `marketo` and `salesforce` of muskrat.yaml bring each customer there, each with a mapping of its own. Braintree sends a
webhook to the source `payments`.
"""
import os

from doubles.braintree_webhooks import Webhooks
from doubles.marketo import Marketo
from doubles.salesforce import Salesforce
from harness.processes import free_port


class Apis:
    def __init__(self, folder):
        self.marketo, self.salesforce = Marketo(), Salesforce()
        self.webhooks_port = free_port()
        self.braintree = Webhooks(f"http://127.0.0.1:{self.webhooks_port}/braintree", {"demo": "private-key"})
        self.secrets = os.path.join(folder, "secrets")
        os.makedirs(self.secrets, exist_ok=True)
        for name, secret in (("marketo", "client-secret"), ("salesforce", "consumer-secret"), ("braintree", "private-key")):
            with open(os.path.join(self.secrets, name), "w", encoding="utf-8") as f:
                f.write(secret)

    def leads(self):
        """email → (firstName, leadScore)"""
        with self.marketo.lock:
            return {row["email"]: (row["firstName"], row["leadScore"]) for row in self.marketo.store.leads.rows.values()}

    def contacts(self):
        """external id → (LastName, Email)"""
        with self.salesforce.lock:
            return {row["Ext_Id__c"]: (row["LastName"], row["Email"]) for row in self.salesforce.org.seen("Contact")}

    def different(self, rows):
        """Those that have not what the source's rows() say, by name."""
        leads = {row[1]: (row[5], int(row[6])) for row in rows}
        contacts = {str(row[0]): (row[5], row[1]) for row in rows}
        return [name for name, same in (("Marketo", self.leads() == leads), ("Salesforce", self.contacts() == contacts)) if not same]

    def past_due(self):
        """A webhook of Braintree's; what it was answered with."""
        subject = {"id": "subscription-7", "status": "Past Due", "price": "49.00", "days_past_due": 1}
        return self.braintree.send("subscription_went_past_due", "subscription", subject).statuses[0]

    def stop(self):
        self.marketo.stop()
        self.salesforce.stop()
