"""A scripted HTTP server: what it answers is a function, and every request is journalled."""
import http.server
import json
import socket
import socketserver
import threading

from .processes import free_port


class HttpServer:
    """`answer(request, nth)` returns (status, headers, body); a request is a dict with method, path, headers (lower case), body.

    An answer of None closes the connection without one. A body that is not bytes is an iterator of pieces, each sent as it comes;
    it closes the connection at its end, and Content-Length is whatever the headers say. Without `journal` the server counts the
    requests and keeps none.
    """

    def __init__(self, answer=None, port=0, journal=True):
        self.answer = answer or (lambda request, nth: (200, {}, b"{}"))
        self.journal, self.lock, self.connections, self.count = [], threading.Lock(), set(), 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                outer.connections.add(self.connection)

            def finish(self):
                outer.connections.discard(self.connection)
                super().finish()

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = {"method": self.command, "path": self.path, "body": body.decode(errors="surrogateescape"),
                           "headers": {k.lower(): v for k, v in self.headers.items()}}
                with outer.lock:
                    outer.count += 1
                    nth = outer.count
                    if journal:
                        outer.journal.append(request)
                answer = outer.answer(request, nth)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, text = answer
                if "Date" in headers:  # the answer's own clock
                    self.send_response_only(status)
                else:
                    self.send_response(status)
                whole = isinstance(text, bytes)
                length = {"Content-Length": str(len(text))} if whole and status not in (204, 304) else {}
                for name, value in {"Content-Type": "application/json", **headers, **length}.items():
                    self.send_header(name, value)
                if not whole:
                    self.send_header("Connection", "close")
                self.end_headers()
                for piece in [text] if whole else text:
                    self.wfile.write(piece)
                    self.wfile.flush()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # a client that was killed

        self.server = Server(("127.0.0.1", port or free_port()), Handler)  # not one that a connection may get meanwhile
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        self.running = True

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def requests(self):
        with self.lock:
            return list(self.journal)

    def bodies(self):
        return [json.loads(r["body"]) for r in self.requests()]

    def stop(self):
        self.running = False
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.connections):  # also those that are kept alive
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has gone by itself
        self.thread.join()
