"""What tests ask of the servers: SQL, queues, and an observer that sees every event without any of Muskrat's code.

Used by the end-to-end and torture tests and by the demo.
"""
import json
import threading
import time
from dataclasses import dataclass

import pika
import psycopg2
import psycopg2.extras

from .processes import wait_until


def connect(dsn, autocommit=True):
    # A test that waits for a lock for ever fails, rather than hang where no signal reaches Python.
    connection = psycopg2.connect(dsn, connect_timeout=60, options="-c statement_timeout=600s")
    connection.autocommit = autocommit
    return connection


def query(dsn, sql, args=None):
    """All rows of one statement in a connection of its own; [] when it returns none."""
    connection = connect(dsn)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, args)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def value(dsn, sql, args=None):
    rows = query(dsn, sql, args)
    return rows[0][0] if rows else None


def execute(dsn, *statements):
    connection = connect(dsn)
    try:
        with connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
    finally:
        connection.close()


@dataclass
class Delivery:
    routing_key: str
    message_id: str
    body: str
    headers: dict
    properties: object
    redelivered: bool = False

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def op(self):
        return self.headers.get("x-muskrat-op")

    @property
    def key(self):
        return self.headers.get("x-muskrat-key")

    @property
    def seq(self):
        return self.headers.get("x-muskrat-seq")

    @property
    def epoch(self):
        return self.headers.get("x-muskrat-epoch")


def _delivery(method, properties, body):
    return Delivery(method.routing_key, properties.message_id, body.decode(), properties.headers or {}, properties,
                    method.redelivered)


class Broker:
    """Queues of one vhost, through short connections."""

    def __init__(self, rabbitmq, vhost):
        self.rabbitmq, self.vhost = rabbitmq, vhost
        self.url = rabbitmq.url(vhost)

    def call(self, action):
        """action(channel) on a channel of its own."""
        connection = self.rabbitmq.connect(self.vhost)
        try:
            return action(connection.channel())
        finally:
            if connection.is_open:
                connection.close()

    def depth(self, queue):
        """Messages that are ready; None when there is no such queue."""
        try:
            return self.call(lambda c: c.queue_declare(queue, passive=True).method.message_count)
        except pika.exceptions.ChannelClosedByBroker as e:
            if e.reply_code == 404:
                return None
            raise

    def close_connections(self):
        """Ends the connections of all clients of the vhost, as an operator may."""
        self.rabbitmq.eval(f'[rabbit_networking:close_connection(P, "closed by a test") || P <- rabbit_networking:connections(), '
                           f'rabbit_networking:connection_info(P, [vhost]) == [{{vhost, <<"{self.vhost}">>}}]]')

    def unsettled(self, *queues):
        """Messages of these quorum queues that are ready or in somebody's hands, of which depth() knows nothing."""
        names = ", ".join(f'<<"{queue}">>' for queue in queues)
        return int(self.rabbitmq.eval(f"""lists:sum([begin
            {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{self.vhost}">>, queue, Name)),
            {{ok, {{_, Count}}, _}} = ra:leader_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_total/1),
            Count end || Name <- [{names}]])"""))

    def wait_settled(self, *queues, timeout=60):
        wait_until(lambda: not self.depth(queues[0]) and not self.unsettled(*queues), timeout,
                   lambda: f"all to be settled: {', '.join(queues)}")

    def get_all(self, queue, limit=100000):
        """Takes and acknowledges what is in the queue."""
        def take(channel):
            found = []
            while len(found) < limit:
                method, properties, body = channel.basic_get(queue)
                if method is None:
                    break
                found.append(_delivery(method, properties, body))
                channel.basic_ack(method.delivery_tag)
            return found
        return self.call(take)

    def peek(self, queue, count=1000):
        """What is in the queue; everything goes back."""
        def look(channel):
            found = []
            while len(found) < count:
                method, properties, body = channel.basic_get(queue)
                if method is None:
                    break
                found.append(_delivery(method, properties, body))
            # The broker takes a moment to put everything back, in which the queue seems shorter than it is.
            channel.close()
            again = channel.connection.channel()
            wait_until(lambda: again.queue_declare(queue, passive=True).method.message_count >= len(found), 60, "what was looked at")
            return found
        return self.call(look)

    def queue(self, name, exchange="muskrat", patterns=("#",), **arguments):
        """A quorum queue of the test's own, bound to the exchange."""
        arguments = {a.replace("_", "-"): v for a, v in arguments.items()}

        def declare(channel):
            channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum", **arguments})
            for pattern in patterns:
                channel.queue_bind(name, exchange, pattern)
        self.call(declare)
        return name

    def bind(self, queue, pattern, exchange="muskrat"):
        self.call(lambda c: c.queue_bind(queue, exchange, pattern))

    def unbind(self, queue, pattern, exchange="muskrat"):
        self.call(lambda c: c.queue_unbind(queue, exchange, pattern))

    def wait_temporary_bindings(self, count, exchange="muskrat"):
        """Until the queues whose names the broker made, as `muskrat tail` has one, have so many bindings to the exchange."""
        def made():
            rows = self.rabbitmq.ctl("list_bindings", "-p", self.vhost, "--no-table-headers", "source_name", "destination_name")
            return sum(row.startswith(f"{exchange}\tamq.gen") for row in rows.splitlines())
        wait_until(lambda: made() == count, 60, f"{count} bindings")

    def delete_queue(self, queue):
        self.call(lambda c: c.queue_delete(queue))

    def publish(self, routing_key, body, exchange="muskrat", headers=None, **properties):
        def confirmed(channel):
            channel.confirm_delivery()
            channel.basic_publish(exchange, routing_key, body, pika.BasicProperties(headers=headers, delivery_mode=2, **properties))
        self.call(confirmed)

    def fill(self, queue, messages):
        """Puts many messages, pairs of body and properties, into a queue that nobody consumes; they are there when it returns."""
        def put(channel):
            count = channel.queue_declare(queue, passive=True).method.message_count + len(messages)
            for body, properties in messages:
                channel.basic_publish("", queue, body, properties)
            # A quorum queue takes what a channel has sent bit by bit; what it did not yet have is lost with the channel.
            wait_until(lambda: channel.queue_declare(queue, passive=True).method.message_count == count, 60,
                       f"{count} messages in {queue}")
        self.call(put)

    def wait_depth(self, queue, count, timeout=60):
        wait_until(lambda: self.depth(queue) == count, timeout, lambda: f"{count} messages in {queue} (has {self.depth(queue)})", 0.1)


class Observer:
    """Sees every event of the exchange through a durable queue of its own, in order, across restarts of the broker.

    Records in memory before it acknowledges. What the broker delivers again after a lost connection carries its
    `redelivered` mark and is kept apart from what the relay published twice. Runs in a thread (it starts no processes).
    """

    def __init__(self, broker, queue="observer", patterns=("#",), exchange="muskrat"):
        self.broker, self.queue_name = broker, queue
        # One active consumer, as endpoints' queues have it. Without that a broker that was killed hands newer messages to us
        # before it takes back what our lost connection held, and then delivers the older ones (all marked redelivered).
        broker.queue(queue, exchange, patterns, x_single_active_consumer=True)
        self.deliveries = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            connection = None
            try:
                connection = self.broker.rabbitmq.connect(self.broker.vhost, heartbeat=10)
                channel = connection.channel()
                channel.basic_qos(prefetch_count=200)
                for method, properties, body in channel.consume(self.queue_name, inactivity_timeout=0.2):
                    if self._stop.is_set():
                        break
                    if method is not None:
                        self.deliveries.append(_delivery(method, properties, body))
                        channel.basic_ack(method.delivery_tag)
            except (pika.exceptions.AMQPError, OSError):
                self._stop.wait(0.3)
            finally:
                try:
                    if connection and connection.is_open:
                        connection.close()
                except (pika.exceptions.AMQPError, OSError):
                    pass

    def wait(self, count, timeout=60):
        wait_until(lambda: len(self.deliveries) >= count, timeout, lambda: f"{count} events (seen: {len(self.deliveries)})")
        return self.deliveries

    def wait_for(self, condition, timeout=60, what="an event"):
        """The first delivery for which condition(delivery) holds."""
        return wait_until(lambda: next((d for d in list(self.deliveries) if condition(d)), None), timeout, what)

    def quiet(self, seconds=1.0, timeout=60):
        """Waits until nothing has come for `seconds`; returns what came."""
        deadline = time.monotonic() + timeout
        count, since = -1, time.monotonic()
        while time.monotonic() < deadline:
            if len(self.deliveries) != count:
                count, since = len(self.deliveries), time.monotonic()
            elif time.monotonic() - since >= seconds:
                return self.deliveries
            time.sleep(0.05)
        raise TimeoutError(f"events still arrive after {timeout} s ({count} so far)")

    def stop(self):
        self._stop.set()
        self._thread.join(10)
        return self.deliveries
