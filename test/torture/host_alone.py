"""A host with one endpoint and no source: events are published straight into the exchange, as a relay would.

Used by the tests of endpoint kinds whose receiver is a server of the test's own (http, marketo).
"""
import contextlib
import json
import os
import shutil
import time
import uuid

import pika

from harness import clients
from harness.program import Program
from rig import BUILD, SETTLE_SECONDS


class HostAlone:
    """A vhost and a folder of its own; `endpoint` is the one endpoint's section of the configuration, its name the queue's."""

    def __init__(self, rabbitmq, test, name, endpoint):
        self.rabbitmq, self.name = rabbitmq, name
        self.queue = f"muskrat.{name}"
        folder = os.path.join(BUILD, "check", "torture", test.replace("[", "-").replace("]", ""))
        shutil.rmtree(folder, ignore_errors=True)
        self.vhost = rabbitmq.create_vhost(os.path.basename(folder))
        self.broker = clients.Broker(rabbitmq, self.vhost)
        self.program = Program(folder, BUILD)
        self.program.configure(self.broker.url, consumer={"state": f"{folder}/state.sqlite"}, endpoints={name: endpoint})
        self.program.setup()
        time.sleep(SETTLE_SECONDS)

    def publish(self, count, body):
        """Events 1 … count, each of the row that `body(v)` names with its member id. Returns {message_id: body}."""
        events = {}

        def all_of_them(channel):
            for v in range(1, count + 1):
                if v == count:  # for the last alone: ten times as fast, and those before it are in the queue then too
                    channel.confirm_delivery()
                made, message_id = body(v), str(uuid.uuid4())
                events[message_id] = made
                headers = {"x-muskrat-key": f"Load.Account:[{made['id']}]", "x-muskrat-epoch": 1, "x-muskrat-seq": v,
                           "x-muskrat-source": "load", "x-muskrat-op": "update"}
                channel.basic_publish("muskrat", "Load.Account.Update", json.dumps(made),
                                      pika.BasicProperties(message_id=message_id, headers=headers, delivery_mode=2))
        self.broker.call(all_of_them)
        return events

    def waiting(self):
        return self.broker.depth(self.queue)

    def letters(self):
        """Takes the dead letters."""
        return self.broker.get_all(f"{self.queue}.dead")

    def stop_with_nothing_in_hand(self, host):
        """The receiver may have taken an event whose answer the host never saw: a host that stops gives it back, the next one asks
        again."""
        for _ in range(20):
            assert host.stop() == 0
            if not self.broker.unsettled(self.queue):  # what it gave back may not be ready yet
                return
            host = self.program.consume()
            time.sleep(1)

    def leave(self):
        self.program.stop()
        self.rabbitmq.delete_vhost(self.vhost)


@contextlib.contextmanager
def host_alone(rabbitmq, test, name, endpoint):
    stand = HostAlone(rabbitmq, test, name, endpoint)
    try:
        yield stand
    finally:
        stand.leave()
