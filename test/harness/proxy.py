"""What stands between a client and its server: the connections. What it does with them is its kinds' affair."""
import socket
import threading

from harness.processes import free_port


class Proxy:
    """Takes connections on `port` and has each served, in a thread of its own."""

    def __init__(self, server_port):
        self.server_port, self.port = server_port, free_port()
        self.connections = 0
        self.sockets, self.lock = [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", self.port))

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.cut()

    def cut(self):
        """Hangs up at both ends, and takes no more connections."""
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
            server = self.connect(self.server_port)
            self.connections += 1
            self.sockets.append(client)
            threading.Thread(target=self.serve, args=(client, server), daemon=True).start()

    def connect(self, port):
        server = socket.create_connection(("127.0.0.1", port))
        self.sockets.append(server)
        return server

    def serve(self, client, server):
        raise NotImplementedError

    @staticmethod
    def pass_on(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
