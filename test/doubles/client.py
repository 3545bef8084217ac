"""A plain HTTP client, for the tests of the doubles themselves."""
import collections
import http.client
import json
import urllib.parse

Reply = collections.namedtuple("Reply", "status headers text")


def call(url, method="GET", body=None, headers=None):
    """A Reply (headers in lower case). A connection that ends early raises http.client.HTTPException or OSError."""
    split = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(split.hostname, split.port, timeout=10)
    try:
        connection.request(method, split.path + (f"?{split.query}" if split.query else ""), body, headers or {})
        response = connection.getresponse()
        text = response.read().decode()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, text)
    finally:
        connection.close()


def call_json(url, method="GET", body=None, headers=None):
    """(status, the answer as JSON or None when it has no body)."""
    sent = None if body is None else json.dumps(body).encode()
    reply = call(url, method, sent, {**({"Content-Type": "application/json"} if sent else {}), **(headers or {})})
    return reply.status, json.loads(reply.text) if reply.text else None


def query(**parameters):
    return urllib.parse.urlencode(parameters)
