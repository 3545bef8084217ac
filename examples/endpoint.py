#!/usr/bin/python3
"""An endpoint in any language: kind exec starts this, writes an event a line, and reads a result a line.

    endpoints:
      greeter: {kind: exec, subscribe: [Frontend.Customer.Signup], command: [/usr/local/bin/endpoint.py, /var/lib/muskrat/greeted]}
"""
import json
import sys

with open(sys.argv[1], "a", encoding="utf-8") as greeted:
    for line in sys.stdin:  # ends when the host says goodbye
        event = json.loads(line)
        result = {"message_id": event["message_id"], "result": "done"}
        if "@" not in event["body"].get("email", ""):
            result.update(result="dead", reason="no email address")
        else:
            print("Hello", event["body"]["email"], file=greeted, flush=True)
        print(json.dumps(result), flush=True)
