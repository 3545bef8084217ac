"""A way to a server that can swallow all that is sent, in both directions, as a firewall does that has forgotten its connections.

    with SwallowingProxy(server.port) as way:      # way.port is for the client
        way.swallows = True                   # until it is False again; connections of meanwhile stay dead
"""
import socket
import threading

from harness.proxy import Proxy


class SwallowingProxy(Proxy):
    def __init__(self, server_port):
        super().__init__(server_port)
        self.swallows = False

    def serve(self, client, server):
        threading.Thread(target=self.carry, args=(client, server), daemon=True).start()
        self.carry(server, client)

    def carry(self, source, target):
        swallowed = False
        try:
            while data := source.recv(65536):
                swallowed = swallowed or self.swallows
                if not swallowed:
                    target.sendall(data)
            if not (swallowed or self.swallows):
                target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
