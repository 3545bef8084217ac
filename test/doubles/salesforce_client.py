"""Asks Salesforce's double as a careless client would, for the tests of the double itself."""
import json
import urllib.parse

from doubles.client import call, call_json

DATA = "/services/data/v65.0"
COLLECTION = DATA + "/composite/sobjects/Contact/Ext_Id__c"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENT = {"client_id": "consumer-key", "client_secret": "consumer-secret"}


def token_answer(server, **form):
    reply = call(server.url("/services/oauth2/token"), "POST", urllib.parse.urlencode(form).encode(), FORM)
    return reply.status, json.loads(reply.text)


def logged_in(server):
    status, answer = token_answer(server, grant_type="client_credentials", **CLIENT)
    assert status == 200, answer
    return {"Authorization": f"Bearer {answer['access_token']}"}


def ask(server, path, method="GET", body=None, headers=None):
    return call_json(server.url(path), method, body, {**logged_in(server), **(headers or {})})


def contact(key, **values):
    return {"attributes": {"type": "Contact"}, "Ext_Id__c": key, **({"LastName": "L"} if "LastName" not in values else {}), **values}


def upsert(server, *records, path=COLLECTION, all_or_none=False):
    return ask(server, path, "PATCH", {"allOrNone": all_or_none, "records": list(records)})


def codes(results):
    return [r["errors"][0]["statusCode"] if r["errors"] else "ok" for r in results]


def soql(server, text, deleted=False, headers=None):
    return ask(server, f"{DATA}/{'queryAll' if deleted else 'query'}?{urllib.parse.urlencode({'q': text})}", headers=headers)
