"""Asks Marketo's double as a careless client would, for the tests of the double itself."""
from doubles.client import call_json, query

LEADS = "/rest/v1/leads.json"


def token_of(server, **changed):
    asked = {"grant_type": "client_credentials", "client_id": "client-id", "client_secret": "client-secret", **changed}
    return call_json(server.url(f"/identity/oauth/token?{query(**asked)}"))


def ask(server, path, method="GET", body=None, token=None, headers=None):
    head = {"Authorization": f"Bearer {token or token_of(server)[1]['access_token']}"}
    return call_json(server.url(path), method, body, {**head, **(headers or {})})


def sync(server, *records, **members):
    status, answer = ask(server, LEADS, "POST", {"input": list(records), **members})
    assert status == 200
    return answer


def outcome(result):
    return result["reasons"][0]["code"] if "reasons" in result else result["status"]


def outcomes(answer):
    assert answer["success"], answer
    return [outcome(r) for r in answer["result"]]


def error(answer):
    assert answer["success"] is False and "result" not in answer
    return answer["errors"][0]["code"]


def lead(email, **values):
    return {"email": email, **values}
