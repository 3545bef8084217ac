"""Golden files: what the program said when somebody last read it. `make golden` writes them anew; the diff is read.

Used by the end-to-end tests.
"""
import os
import re

from . import build as where

# What differs from run to run in any request.
OF_A_REQUEST = [(r"127\.0\.0\.1:\d+", "<host>"), (r"content-length: \d+", "content-length: <n>"), (r"muskrat/[\d.]+", "muskrat/<version>"),
                (r"accept-encoding: .*", "accept-encoding: <libcurl's>")]


def golden(path, text):
    """`path` is from the top of the checkout."""
    path = os.path.join(where.TOP, path)
    if os.environ.get("MUSKRAT_BLESS"):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    with open(path, encoding="utf-8") as f:
        assert text == f.read(), f"{path} differs from what the program says; if it should, run `make golden`"


def requests_text(requests, *patterns):
    """Requests as text: {"method", "path", "headers", "body"} each. `patterns`: (what differs from run to run, what stands for it)."""
    texts = []
    for request in requests:
        headers = "".join(f"{k.lower()}: {v}\n" for k, v in sorted(request["headers"].items()))
        texts.append(f"{request['method']} {request['path']}\n{headers}\n{request['body']}\n")
    text = "\n".join(texts)
    for pattern, word in [*patterns, *OF_A_REQUEST]:
        text = re.sub(pattern, word, text)
    return text
