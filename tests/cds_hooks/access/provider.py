# ruff: noqa: ARG002 - the methods are those that Authlib calls
"""A real OpenID provider and SMART launcher on a port of this machine, made of Authlib's provider side.

It logs everybody in at once as its `person`. `spoil` changes what it says, for tests of a provider or of somebody
between it and the browser that cannot be trusted.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

Answer = tuple[int, str, list[tuple[str, str]]]


@dataclass
class Registered(ClientMixin):  # type: ignore[misc] # Authlib has no types
    """Our server as the provider knows it."""

    client_id: str
    secret: str | None
    redirect: str

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == ("none" if self.secret is None else "client_secret_basic")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code:
    """One code, for one use."""

    code: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str
    launch: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


@cache
def _first_key() -> RSAKey:
    """The key of every provider until it changes: to make one takes 0.1 s."""
    return RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})


@dataclass
class Provider:
    """What a test sets and sees."""

    client: Registered
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "p-1", "name": "Pat Site", "groups": ["cds-ops"]})
    launches: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What a token answer says beyond the tokens, by the `launch` of an EHR launch."""
    spoil: Callable[[dict[str, Any]], dict[str, Any]] = field(default=lambda claims: claims)
    """Changes the claims of the next ID tokens."""
    signer: RSAKey = field(default_factory=_first_key)
    published: RSAKey | None = None
    userinfo: dict[str, Any] = field(default_factory=dict)
    """What it says of the person to who has an access token."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the discovery document says differently."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    codes: dict[str, Code] = field(default_factory=dict)
    address: str = ""
    challenge: CodeChallenge = field(default_factory=lambda: CodeChallenge(required=True))

    def discovery(self) -> dict[str, Any]:
        said = {
            "issuer": self.address, "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token", "jwks_uri": f"{self.address}/keys",
            "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": True,
            "capabilities": ["launch-ehr", "client-public", "context-ehr-patient", "sso-openid-connect"],
        }  # fmt: skip
        return said | self.metadata

    def keys(self) -> dict[str, Any]:
        return {"keys": [(self.published or self.signer).as_dict(private=False)]}


class _Request(OAuth2Request):  # type: ignore[misc] # Authlib has no types
    fields: dict[str, str]

    @property
    def args(self) -> dict[str, str]:
        return self.fields

    @property
    def form(self) -> dict[str, str]:
        return self.fields


class _Server(AuthorizationServer):  # type: ignore[misc] # Authlib has no types
    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider
        self.register_token_generator("default", self._token)
        self.register_grant(_grant_of(provider), [_IdToken(provider), provider.challenge])

    def _token(self, scope: str = "", **_: Any) -> dict[str, Any]:
        return {"token_type": "Bearer", "access_token": secrets.token_urlsafe(24), "expires_in": 300, "scope": scope}

    def query_client(self, client_id: str) -> Registered | None:
        return self.provider.client if client_id == self.provider.client.client_id else None

    def save_token(self, token: Any, request: Any) -> None:
        """Nobody uses the access token."""

    def create_oauth2_request(self, request: Any) -> OAuth2Request:
        method, address, fields, headers = request
        made = _Request(method, address, headers=headers)
        made.fields = fields
        made.payload = BasicOAuth2Payload(fields)
        return made

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answer:
        return status, body if isinstance(body, str) else json.dumps(body), headers

    def send_signal(self, name: str, *_: Any, **__: Any) -> None:
        """Signals are for frameworks."""


class _IdToken(OpenIDCode):  # type: ignore[misc] # Authlib has no types
    def __init__(self, provider: Provider) -> None:
        super().__init__(require_nonce=True)
        self.provider = provider

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return any(code.nonce == nonce for code in self.provider.codes.values())

    def resolve_client_private_key(self, client: Any) -> KeySet:
        return KeySet([self.provider.signer])

    def get_client_claims(self, client: Any) -> dict[str, Any]:
        now = int(time.time())
        return {"iss": self.provider.address, "aud": client.client_id, "iat": now, "exp": now + 300}

    def get_encode_header(self, client: Any) -> dict[str, str]:
        return {"alg": "RS256", "kid": str(self.provider.signer.kid)}

    def generate_user_info(self, user: Any, scope: str) -> dict[str, Any]:
        return dict(user)

    def encode_id_token(self, token: Any, request: Any) -> Any:
        claims = self.get_client_claims(request.client) | self.get_authorization_code_claims(request.authorization_code)
        claims |= self.generate_user_info(request.user, "")
        header = self.get_encode_header(request.client)
        return jwt.encode(header, self.provider.spoil(claims), self.provider.signer, ["RS256"])


def _grant_of(provider: Provider) -> type[AuthorizationCodeGrant]:
    class Grant(AuthorizationCodeGrant):  # type: ignore[misc] # Authlib has no types
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "none")

        def save_authorization_code(self, code: str, request: Any) -> None:
            said = request.payload.data
            provider.codes[code] = Code(
                code, said["redirect_uri"], said.get("scope", ""), said.get("nonce", ""),
                said.get("code_challenge", ""), said.get("code_challenge_method", ""), said.get("launch", ""),
            )  # fmt: skip

        def query_authorization_code(self, code: str, client: Any) -> Code | None:
            return provider.codes.get(code)

        def delete_authorization_code(self, authorization_code: Code) -> None:
            del provider.codes[authorization_code.code]

        def authenticate_user(self, authorization_code: Code) -> dict[str, Any]:
            return provider.person

    return Grant


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True
    provider: Provider
    server_side: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        fields = dict(parse_qsl(parts.query))
        self.provider.asked.append((parts.path, fields))
        if parts.path.endswith(("/.well-known/openid-configuration", "/.well-known/smart-configuration")):
            self._say(200, json.dumps(self.provider.discovery()), [])
        elif parts.path == "/keys":
            self._say(200, json.dumps(self.provider.keys()), [])
        elif parts.path == "/userinfo" and self.headers.get("authorization", "").startswith("Bearer "):
            self._say(200, json.dumps(self.provider.userinfo), [])
        elif parts.path == "/authorize":
            self._say(*self._authorize(fields))
        else:
            self._say(404, "{}", [])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        fields = dict(parse_qsl(body))
        self.provider.asked.append((self.path, fields))
        launch = getattr(self.provider.codes.get(fields.get("code", "")), "launch", "")
        request = (
            "POST",
            f"{self.provider.address}/token",
            fields,
            {name.title(): value for name, value in self.headers.items()},
        )
        status, text, headers = self.server_side.create_token_response(request)
        if status == 200 and launch in self.provider.launches:
            text = json.dumps(json.loads(text) | self.provider.launches[launch])
        self._say(status, text, headers)

    def _authorize(self, fields: dict[str, str]) -> Answer:
        request: Any = ("GET", f"{self.provider.address}/authorize?{urlencode(fields)}", fields, {})
        try:
            grant = self.server_side.get_consent_grant(request, end_user=self.provider.person)
        except OAuth2Error as error:
            return 400, json.dumps({"error": error.error}), []
        status, text, headers = self.server_side.create_authorization_response(
            grant.request, grant_user=self.provider.person, grant=grant
        )
        named = urlencode({"iss": self.provider.address})
        return status, text, [(name, f"{v}&{named}" if name == "Location" else v) for name, v in headers]

    def _say(self, status: int, text: str, headers: list[tuple[str, str]]) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in headers or [("Content-Type", "application/json")]:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Not on the console of the tests."""


@contextmanager
def providing(redirect: str, secret: str | None = None, client_id: str = "cds-hooks-1") -> Iterator[Provider]:
    """A provider that knows our server under this id; it answers until the block ends."""
    provider = Provider(Registered(client_id, secret, redirect))
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        handler = type("Handler", (_Handler,), {"provider": provider, "server_side": _Server(provider)})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            provider.address = f"http://127.0.0.1:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            yield provider
            server.shutdown()
            thread.join()


def described(folder: Path, provider: Provider, roles: dict[str, str], **more: str) -> Path:
    """Write the file that describes the provider to a server (CDS_OIDC_FILE), with `more` in place of its members."""
    members = {"issuer": provider.address, "client_id": provider.client.client_id, **more}
    if provider.client.secret is not None:
        members["client_secret"] = provider.client.secret
    file = folder / "oidc.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in members.items()]
    file.write_text("\n".join([*lines, "[roles]", *(f"{group} = {json.dumps(role)}" for group, role in roles.items())]))
    return file
