"""Stands between a client and its broker, and keeps back what the broker confirms.

RabbitMQ does that by itself at times, when a quorum queue's leader is not there yet; here it happens when a test says so.

    with ForgetfulBroker(rabbitmq.port) as proxy:      # proxy.port is for the client
        proxy.forget = 1                                # so many confirms do not arrive
"""
import socket
import struct
import threading

from harness.processes import free_port

METHOD_FRAME, BASIC_ACK = 1, struct.pack("!HH", 60, 80)


class ForgetfulBroker:
    def __init__(self, broker_port):
        self.broker_port, self.port = broker_port, free_port()
        self.forget = self.forgotten = self.connections = 0
        self.sockets, self.lock = [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", self.port))

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for each in [self.listener, *self.sockets]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self.broker_port))
            self.connections += 1
            self.sockets += [client, broker]
            threading.Thread(target=self.pass_on, args=(client, broker), daemon=True).start()
            threading.Thread(target=self.pass_frames, args=(broker, client), daemon=True).start()

    @staticmethod
    def pass_on(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def pass_frames(self, source, target):
        """Type, channel, size, payload, end: each frame whole, or not at all."""
        reader = source.makefile("rb")
        try:
            while len(head := reader.read(7)) == 7:
                kind, _, size = struct.unpack("!BHI", head)
                rest = reader.read(size + 1)
                if not (kind == METHOD_FRAME and rest.startswith(BASIC_ACK) and self.kept_back()):
                    target.sendall(head + rest)
            target.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass

    def kept_back(self):
        with self.lock:
            if self.forget == 0:
                return False
            self.forget -= 1
            self.forgotten += 1
            return True
