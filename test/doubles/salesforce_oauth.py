"""The token endpoint of Salesforce's double: JWT bearer, client credentials, refresh with rotation.

A JWT's signature is checked by the openssl program against the certificate or public key of the connected app. Its `exp` is compared
with real time, not with the double's clock, since its maker cannot see that one.
"""
import base64
import json
import os
import secrets
import ssl
import subprocess
import tempfile
import time

from doubles.service import Answer, Refusal

ORGANIZATION = "00D5f000000abcdEAA"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def refuse(code, description):
    return Refusal(Answer(400, {"error": code, "error_description": description}), description)


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def ended(certificate, now):
    """Whether the certificate's time is over; a public key has none."""
    done = subprocess.run(["openssl", "x509", "-enddate", "-noout", "-in", certificate], capture_output=True, check=False, text=True,
                          timeout=10)
    return done.returncode == 0 and ssl.cert_time_to_seconds(done.stdout.strip().removeprefix("notAfter=")) <= now


def signed_by(certificate, text, signature):
    """Whether an RS256 signature over `text` is that of the certificate's (or public key's) owner."""
    with open(certificate, encoding="ascii") as f:
        pem = f.read()
    with tempfile.TemporaryDirectory() as folder:
        key, sealed = os.path.join(folder, "key.pem"), os.path.join(folder, "signature")
        if "BEGIN CERTIFICATE" in pem:
            pem = subprocess.run(["openssl", "x509", "-pubkey", "-noout", "-in", certificate], capture_output=True, check=True,
                                 text=True, timeout=10).stdout
        with open(key, "w", encoding="ascii") as f:
            f.write(pem)
        with open(sealed, "wb") as f:
            f.write(signature)
        return subprocess.run(["openssl", "dgst", "-sha256", "-verify", key, "-signature", sealed], input=text.encode(),
                              capture_output=True, check=False, timeout=10).returncode == 0


class OAuth:
    """Sessions live `session_life` seconds of the double's clock; answers do not say so, as Salesforce's do not."""

    def __init__(self, service, consumer_key, consumer_secret, username, certificate, audience, session_life):
        self.service, self.key, self.secret = service, consumer_key, consumer_secret
        self.username, self.certificate, self.audience, self.life = username, certificate, audience, session_life
        self.sessions, self.refresh_tokens = {}, {f"5Aep{secrets.token_hex(16)}"}

    def refresh_token(self):
        """The one that is good now."""
        return next(iter(self.refresh_tokens))

    def token(self, request):
        if request.method != "POST":
            raise refuse("invalid_request", "must use HTTP POST")
        if request.content_type() != "application/x-www-form-urlencoded":
            raise refuse("unsupported_grant_type", "grant type not supported")
        form = request.form()
        ways = {JWT_BEARER: self._jwt, "client_credentials": self._client_credentials, "refresh_token": self._refresh}
        way = ways.get(form.get("grant_type"))
        if not way:
            raise refuse("unsupported_grant_type", "grant type not supported")
        extra = way(request, form)
        return Answer(200, {**self._session(request), **extra}, {"Cache-Control": "no-cache,must-revalidate,max-age=0,no-store,private"})

    def _session(self, request):
        token = f"00D5f000000abcd!{secrets.token_urlsafe(24)}"
        now = self.service.clock.now()
        with self.service.lock:
            self.sessions[token] = now + self.life
        made = {"access_token": token, "instance_url": self.service.origin, "token_type": "Bearer", "issued_at": str(int(now * 1000)),
                "id": f"https://login.salesforce.com/id/{ORGANIZATION}/{self.service.org.user}", "signature": secrets.token_hex(16)}
        if self.service.traps.take("no_token", request):
            del made["access_token"]
        return made

    def _jwt(self, _request, form):
        parts = form.get("assertion", "").split(".")
        try:
            header, claims = json.loads(decoded(parts[0])), json.loads(decoded(parts[1]))
            signature = decoded(parts[2])
            expires = float(claims["exp"])
        except (ValueError, IndexError, KeyError, TypeError):
            raise refuse("invalid_grant", "invalid assertion") from None
        if claims.get("iss") != self.key:
            raise refuse("invalid_client_id", "client identifier invalid")
        if header.get("alg") != "RS256" or not self.certificate or not signed_by(self.certificate, ".".join(parts[:2]), signature):
            raise refuse("invalid_grant", "invalid assertion")
        if claims.get("aud") != self.audience:
            raise refuse("invalid_grant", "audience is invalid")
        if expires <= time.time() or ended(self.certificate, self.service.clock.now()):
            raise refuse("invalid_grant", "expired authorization code")
        if expires > time.time() + 185:  # three minutes are the most, and a little for clocks that differ
            raise refuse("invalid_grant", "invalid assertion")
        if claims.get("sub") != self.username or self.service.traps.get("not_approved"):
            raise refuse("invalid_grant", "user hasn't approved this consumer")
        return {"scope": "api"}

    def _client(self, request, form):
        scheme, _, basic = request.headers.get("authorization", "").partition(" ")
        key, secret = form.get("client_id"), form.get("client_secret")
        if scheme.lower() == "basic":
            try:
                key, _, secret = base64.b64decode(basic).decode().partition(":")
            except ValueError:
                raise refuse("invalid_client", "invalid client credentials") from None
        if key != self.key:
            raise refuse("invalid_client_id", "client identifier invalid")
        if secret != self.secret:
            raise refuse("invalid_client", "invalid client credentials")

    def _client_credentials(self, request, form):
        self._client(request, form)
        if self.service.traps.get("no_run_as_user"):
            raise refuse("invalid_grant", "no client credentials user enabled")
        return {"scope": "api"}

    def _refresh(self, request, form):
        self._client(request, form)
        with self.service.lock:
            if form.get("refresh_token") not in self.refresh_tokens:
                raise refuse("invalid_grant", "expired access/refresh token")
            if not self.service.traps.get("rotate"):
                return {"scope": "api refresh_token"}
            self.refresh_tokens = {f"5Aep{secrets.token_hex(16)}"}
            return {"scope": "api refresh_token", "refresh_token": self.refresh_token()}

    def userinfo(self, request):
        self.check(request)
        return Answer(200, {"user_id": self.service.org.user, "organization_id": ORGANIZATION, "preferred_username": self.username})

    def check(self, request):
        """Refuses a call whose session is not good."""
        if self.service.traps.take("not_for_rest", request):
            raise self._unauthorized("This session is not valid for use with the REST API")
        token = request.bearer()
        if token is None:
            raise self._unauthorized("INVALID_HEADER_TYPE", "INVALID_AUTH_HEADER")
        with self.service.lock:
            if token in self.sessions and self.service.traps.take("expire_session", request):
                del self.sessions[token]
            if self.sessions.get(token, 0) <= self.service.clock.now():
                raise self._unauthorized("Session expired or invalid")

    @staticmethod
    def _unauthorized(message, code="INVALID_SESSION_ID"):
        return Refusal(Answer(401, [{"message": message, "errorCode": code}], {"WWW-Authenticate": "Token"}), code)
