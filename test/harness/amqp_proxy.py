"""Stand between a client and its broker.

One keeps back what the broker confirms. RabbitMQ does that by itself at times, when a quorum queue's leader is not there yet;
here it happens when a test says so.

    with ForgetfulBroker(rabbitmq.port) as proxy:      # proxy.port is for the client
        proxy.forget = 1                                # so many confirms do not arrive

One is a slow way to the broker, and ends the clients' TLS where it is given certificates.

    with SlowBroker(rabbitmq.port, 1_000_000, Certificates(folder)) as proxy:      # so many bytes a second
"""
import select
import socket
import ssl
import struct
import threading
import time

from harness.processes import free_port

METHOD_FRAME, BASIC_ACK = 1, struct.pack("!HH", 60, 80)


class _Proxy:
    """Takes connections on `port` and has each served, in a thread of its own."""

    def __init__(self, broker_port):
        self.broker_port, self.port = broker_port, free_port()
        self.connections = 0
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
            threading.Thread(target=self.serve, args=(client, broker), daemon=True).start()


class ForgetfulBroker(_Proxy):
    def __init__(self, broker_port):
        super().__init__(broker_port)
        self.forget = self.forgotten = 0

    def serve(self, client, broker):
        threading.Thread(target=self.pass_on, args=(client, broker), daemon=True).start()
        self.pass_frames(broker, client)

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


class SlowBroker(_Proxy):
    """`greets_after`: so many seconds before it says the first word."""

    def __init__(self, broker_port, bytes_per_second, certificates=None, greets_after=0):
        super().__init__(broker_port)
        self.bytes_per_second, self.greets_after = bytes_per_second, greets_after
        # So that what is sent waits at its sender and not here.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.tls = None
        if certificates:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificates.certificate, certificates.key)

    def serve(self, client, broker):
        try:
            time.sleep(self.greets_after)
            if self.tls:
                client = self.tls.wrap_socket(client, server_side=True)
                self.sockets.append(client)
            self.pass_both_ways(client, broker)
        except (OSError, ValueError):
            pass
        finally:
            client.close()
            broker.close()

    def pass_both_ways(self, client, broker):
        """One thread for both: a session of TLS is not to be read and written at once."""
        next_read = 0.0
        while True:
            pause = next_read - time.monotonic()
            if pause <= 0 and self.tls and client.pending():
                readable = [client]
            else:
                readable = select.select([broker] if pause > 0 else [broker, client], [], [], pause if pause > 0 else None)[0]
            for source in readable:
                data = source.recv(16384)
                if not data:
                    return
                (broker if source is client else client).sendall(data)
                if source is client:
                    next_read = time.monotonic() + len(data) / self.bytes_per_second
