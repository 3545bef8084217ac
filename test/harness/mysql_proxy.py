"""Stands between a client and a MySQL primary as read-splitting proxies do: plain queries go to a replica, all else to the primary.

    with ReadSplitter(primary.port, replica.port) as proxy:      # proxy.port is for the client
        proxy.split = r"SELECT\\b"                               # what goes to the replica; None: nothing does

Written from MySQL's documentation of its protocol: a packet is three bytes of length, a number, and so much payload; a command is the
first packet after an answer, and its first byte says which. Both servers take the login that the client sends, which holds
only for a user without a password.
"""
import re
import socket
import threading

from harness.proxy import Proxy

QUERY = 3
OK = 0
LOCKING = re.compile(r"\bFOR UPDATE\b")


class ReadSplitter(Proxy):
    def __init__(self, primary_port, replica_port):
        super().__init__(primary_port)
        self.replica_port, self.split = replica_port, None
        self.read_elsewhere = 0

    def serve(self, client, server):
        replica = self.connect(self.replica_port)
        try:
            client.sendall(self.packet(server))
            self.packet(replica)
            login = self.packet(client)
            for each in (server, replica):
                each.sendall(login)
            client.sendall(self.packet(server))
            answer = self.packet(replica)
            assert answer[4] == OK, "the replica refuses the login"
            for each in (server, replica):
                threading.Thread(target=self.pass_on, args=(each, client), daemon=True).start()
            while True:
                command = self.packet(client)
                if command[4] == QUERY and self.goes_to_replica(command[5:].decode("utf-8", "replace")):
                    self.read_elsewhere += 1
                    replica.sendall(command)
                else:
                    server.sendall(command)
        except (OSError, EOFError):
            pass
        finally:
            for each in (client, server, replica):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def goes_to_replica(self, sql):
        return self.split is not None and re.match(self.split, sql, re.S) and not LOCKING.search(sql)

    @staticmethod
    def packet(source):
        head = ReadSplitter.exactly(source, 4)
        return head + ReadSplitter.exactly(source, int.from_bytes(head[:3], "little"))

    @staticmethod
    def exactly(source, size):
        data = b""
        while len(data) < size:
            more = source.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data
