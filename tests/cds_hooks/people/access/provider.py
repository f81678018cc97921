"""An OpenID provider and SMART launcher on a port of this machine, which logs everybody in at once as its `person`.

It refuses what OpenID Connect Core and RFC 7636 say: an unknown client or redirect, no nonce, no S256 challenge, a code
for a second time, a wrong secret or verifier. `spoil` changes what it says, for tests of a provider or of somebody
between it and the browser that cannot be trusted.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.http_server import Asked, Reply, answering

Json = dict[str, Any]


@dataclass
class Registered:
    """Our server as the provider knows it."""

    client_id: str
    secret: str | None
    redirect: str


@cache
def _first_key() -> RSAKey:
    """The key of every provider until it changes: to make one takes 0.1 s."""
    return RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})


@dataclass
class Provider:
    """What a test sets and sees."""

    client: Registered
    person: Json = field(default_factory=lambda: {"sub": "p-1", "name": "Pat Site", "groups": ["cds-ops"]})
    launches: dict[str, Json] = field(default_factory=dict)
    """What a token answer says beyond the tokens, by the `launch` of an EHR launch."""
    spoil: Callable[[Json], Json] = field(default=lambda claims: claims)
    """Changes the claims of the next ID tokens."""
    published: RSAKey = field(default_factory=_first_key)
    userinfo: Json = field(default_factory=dict)
    """What it says of the person to who has an access token."""
    metadata: Json = field(default_factory=dict)
    """What the discovery document says differently."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    """The request of each code that nobody has used yet."""
    address: str = ""

    def discovery(self) -> Json:
        said = {
            "issuer": self.address, "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token", "jwks_uri": f"{self.address}/keys",
            "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": True,
            "capabilities": ["launch-ehr", "client-public", "context-ehr-patient", "sso-openid-connect"],
        }  # fmt: skip
        return said | self.metadata

    def authorize(self, fields: dict[str, str]) -> str:
        """Where the browser is sent with a code; empty where the request is refused."""
        wanted = {
            "client_id": self.client.client_id, "redirect_uri": self.client.redirect, "response_type": "code",
            "code_challenge_method": "S256",
        }  # fmt: skip
        is_refused = wanted.items() - fields.items() or not {"nonce", "state", "code_challenge"} <= fields.keys()
        if is_refused or "openid" not in fields.get("scope", "").split():
            return ""
        code = secrets.token_urlsafe(24)
        self.codes[code] = fields
        answer = {"code": code, "state": fields["state"], "iss": self.address}
        return f"{fields['redirect_uri']}?{urlencode(answer)}"

    def token(self, fields: dict[str, str], authorization: str) -> Json | None:
        """The answer of the token endpoint; None where the request is refused."""
        asked = self.codes.pop(fields.get("code", ""), None)
        if asked is None or fields.get("grant_type") != "authorization_code" or not self._is_client(authorization):
            return None
        hashed = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        is_bound = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() == asked["code_challenge"]
        if not is_bound or fields.get("redirect_uri") != asked["redirect_uri"]:
            return None
        now = int(time.time())
        claims = {"iss": self.address, "aud": self.client.client_id, "iat": now, "exp": now + 300} | self.person
        claims = self.spoil(claims | {"nonce": asked["nonce"], "auth_time": now})
        answer = {
            "token_type": "Bearer", "access_token": secrets.token_urlsafe(24), "expires_in": 300,
            "scope": asked["scope"], "id_token": jwt.encode({"alg": "RS256", "kid": "k1"}, claims, _first_key()),
        }  # fmt: skip
        return answer | self.launches.get(asked.get("launch", ""), {})

    def _is_client(self, authorization: str) -> bool:
        named = f"{self.client.client_id}:{self.client.secret}".encode()
        return authorization == (f"Basic {base64.b64encode(named).decode()}" if self.client.secret is not None else "")


def _reply(provider: Provider, asked: Asked) -> Reply:
    parts = urlsplit(asked.path)
    fields = dict(parse_qsl(parts.query or asked.body.decode()))
    provider.asked.append((parts.path, fields))
    authorization = asked.headers.get("authorization", "")
    if asked.method == "POST":
        answer = provider.token(fields, authorization)
        return _said(400, {"error": "invalid_grant"}) if answer is None else _said(200, answer)
    if parts.path == "/authorize":
        return _said(302, {}, location) if (location := provider.authorize(fields)) else _said(400, {})
    if parts.path.endswith(("/.well-known/openid-configuration", "/.well-known/smart-configuration")):
        return _said(200, provider.discovery())
    if parts.path == "/keys":
        return _said(200, {"keys": [provider.published.as_dict(private=False)]})
    if parts.path == "/userinfo" and authorization.startswith("Bearer "):
        return _said(200, provider.userinfo)
    return _said(404, {})


def _said(status: int, document: Json, location: str = "") -> Reply:
    headers = {"content-type": "application/json"} | ({"location": location} if location else {})
    return status, headers, json.dumps(document).encode()


@contextmanager
def providing(redirect: str, secret: str | None = None, client_id: str = "cds-hooks-1") -> Iterator[Provider]:
    """A provider that knows our server under this id; it answers until the block ends."""
    provider = Provider(Registered(client_id, secret, redirect))
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        with answering(partial(_reply, provider)) as provider.address:
            yield provider


def described(folder: Path, provider: Provider, roles: dict[str, str], **more: str) -> Path:
    """Write the file that describes the provider to a server (CDS_OIDC_FILE), with `more` in place of its members."""
    members = {"issuer": provider.address, "client_id": provider.client.client_id, **more}
    if provider.client.secret is not None:
        members["client_secret"] = provider.client.secret
    file = folder / "oidc.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in members.items()]
    file.write_text("\n".join([*lines, "[roles]", *(f"{group} = {json.dumps(role)}" for group, role in roles.items())]))
    return file
