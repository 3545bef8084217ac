"""The demo's application: customers sign up, change their plans, and cancel. It knows nothing of Muskrat."""
import contextlib
import itertools
import random
import threading

NAMES = "ada alan barbara claude donald edsger frances grace hedy john ken leslie margaret niklaus radia tim".split()
COMPANIES = ["Loggly", "Brook & Co", "Löwenzahn GmbH", "東京商店", "O'Hara \"Logs\" Ltd", "Pond\\Water", None]
PLANS = [("200", "7", "0.0"), ("500", "15", "49.0"), ("1000", "30", "109.5"), ("5000", "90", "349.0")]
WRITERS = 3
PAUSE_SECONDS = 0.008


class Customers:
    def __init__(self, source):
        self.source = source
        self.kinds = {"Signup": 0, "Update": 0, "Cancel": 0}
        self.error = None
        self._number = itertools.count()  # no two have one address
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(WRITERS)]

    @property
    def written(self):
        return sum(self.kinds.values())

    def start(self):
        for t in self._threads:
            t.start()

    def stop(self):
        self._stop.set()
        for t in self._threads:
            t.join(10)
        if self.error:
            raise RuntimeError(f"the application's writes failed: {self.error}")

    def sign_up(self, plan):
        """One more customer, who stays as he is; returns his id."""
        with contextlib.closing(self.source.connect()) as connection, connection.cursor() as cursor:
            number = self.source.insert(cursor, ("early.bird@example.com", None, "earlybird", "Early Bird & Co", "early", *plan))
        with self._lock:
            self.kinds["Signup"] += 1
        return number

    def _work(self, number):
        rng = random.Random(number)
        mine = []
        try:
            connection = self.source.connect()
            with connection.cursor() as cursor:
                while not self._stop.is_set():
                    self._one(cursor, rng, mine)
                    self._stop.wait(PAUSE_SECONDS * rng.random())
            connection.close()
        except Exception as e:
            self.error = e

    def _one(self, cursor, rng, mine):
        what = rng.random()
        if what < 0.5 or len(mine) < 5:
            name = f"{rng.choice(NAMES)}{next(self._number)}"
            mine.append(self.source.insert(
                cursor, (f"{name}@example.com", f"(555)555-{rng.randrange(10000):04}", f"{name}test", rng.choice(COMPANIES), name,
                         *rng.choice(PLANS))))
            kind = "Signup"
        elif what < 0.85:
            cursor.execute("UPDATE customers SET volume = %s, retention = %s, rate = %s, phone = %s WHERE id = %s",
                           (*rng.choice(PLANS), f"(555)555-{rng.randrange(10000):04}", rng.choice(mine)))
            kind = "Update"
        elif what < 0.95:
            cursor.execute("DELETE FROM customers WHERE id = %s", (mine.pop(rng.randrange(len(mine))),))
            kind = "Cancel"
        else:
            cursor.execute("UPDATE customers SET last_login = now() WHERE id = %s", (rng.choice(mine),))
            return  # nothing captured changed: no event
        with self._lock:
            self.kinds[kind] += 1
