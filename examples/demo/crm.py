"""The demo's CRM: somebody else's web service, which keeps the newest state of each customer and is out of order for a while.

It takes PUT and DELETE on /customers/ID, as the endpoint `crm` of muskrat.yaml sends them.
"""
import json

from harness.http_server import HttpServer

# The CRM has names for plans; the mapping in muskrat.yaml holds the same table, but for the newest one.
PLANS = {"200": "small", "500": "medium", "1000": "large", "5000": "unlimited", "50": "trial"}
NEW_PLAN = ("50", "3", "0.0")


class Crm:
    def __init__(self):
        self.customers = {}  # id → (email, plan)
        self._server = HttpServer(self._answer, journal=False)
        self.port = self._server.port

    @property
    def up(self):
        return self._server.running

    def _answer(self, request, nth):
        number = int(request["path"].rsplit("/", 1)[1])
        if request["method"] == "DELETE":
            self.customers.pop(number, None)
            return 204, {}, b""
        customer = json.loads(request["body"])
        self.customers[number] = (customer["email"], customer["plan"])
        return 200, {}, b"{}"

    def go(self):
        self._server.stop()

    def come_back(self):
        self._server = HttpServer(self._answer, port=self.port, journal=False)

    def leave(self):
        if self.up:
            self._server.stop()

    def equals(self, rows):
        """Whether it has what the source's rows() say."""
        return self.customers == {row[0]: (row[1], PLANS[str(int(row[6]))]) for row in rows}
