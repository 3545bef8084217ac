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

from harness.proxy import Proxy

METHOD_FRAME, BASIC_ACK = 1, struct.pack("!HH", 60, 80)


class ForgetfulBroker(Proxy):
    def __init__(self, broker_port):
        super().__init__(broker_port)
        self.forget = self.forgotten = 0

    def serve(self, client, broker):
        threading.Thread(target=self.pass_on, args=(client, broker), daemon=True).start()
        self.pass_frames(broker, client)

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


class SlowBroker(Proxy):
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
