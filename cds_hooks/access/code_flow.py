"""The authorization code flow with PKCE (RFC 6749, 7636, 9207; OpenID Connect Core 1.0), for OpenID and for SMART.

The signature of an ID token is checked by PyJWT, its claims by Authlib, which takes 0.3 s to import: the pages of the
login are imported in a thread, at the first request for one. What is fetched is the caller's business (`Fetch`).
"""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from time import time
from typing import Any, Final
from urllib.parse import quote_plus

import jwt
import msgspec
import orjson
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError
from msgspec import Struct
from sqlalchemy import delete, insert, select

from cds_hooks.access.store import AccessStore, pending
from cds_hooks.security.keys import VerificationKey, read_key_set
from cds_hooks.settings.checks import address_fault, plain_http_fault

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures of ID tokens that are accepted: none with a shared secret, and never `none`."""

_LEEWAY_SECONDS: Final = 60

Fetch = Callable[[str, Mapping[str, str] | None, Mapping[str, str]], Awaitable[dict[str, Any]]]
"""Address, form (None: GET) and headers; gives the JSON object of an answer 200 or raises FlowFailed."""


class FlowFailed(Exception):
    """The login cannot be completed; the message is a sentence without anything of a token."""


class Provider(Struct, frozen=True):
    """An authorization server as it describes itself, and what we are called there."""

    issuer: str
    authorize: str
    token: str
    keys: str
    client_id: str
    secret: str | None = None
    names_itself: bool = False
    """Whether it said that its answers name it (`iss`, RFC 9207)."""
    userinfo: str = ""


def provider_of(document: Mapping[str, Any], client_id: str, secret: str | None, *, issuer: str = "") -> Provider:
    """Return the provider of a discovery document.

    Raises:
        FlowFailed: It lacks an address, has one that is not https, or offers no PKCE.
    """
    addresses = {}
    for member in ("authorization_endpoint", "token_endpoint"):
        addresses[member] = _address(document, member)
    keys = _address(document, "jwks_uri") if "jwks_uri" in document else ""
    methods = document.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise FlowFailed("The authorization server says that it does not support PKCE with S256.")
    return Provider(
        issuer or str(document.get("issuer", "")),
        addresses["authorization_endpoint"],
        addresses["token_endpoint"],
        keys,
        client_id,
        secret,
        document.get("authorization_response_iss_parameter_supported") is True,
        _address(document, "userinfo_endpoint") if "userinfo_endpoint" in document else "",
    )


def _address(document: Mapping[str, Any], member: str) -> str:
    text = document.get(member)
    # an endpoint may have a query (RFC 6749, section 3.1)
    plain = text.partition("?")[0] if isinstance(text, str) else ""
    if not isinstance(text, str) or address_fault(plain) or plain_http_fault(plain):
        raise FlowFailed(f"The authorization server's {member} is missing or is no https address.")
    return text


def authorization_address(
    provider: Provider, redirect: str, scope: str, state: str, verifier: str, nonce: str, **more: str
) -> str:
    """Return where the browser is sent to."""
    challenge = {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
    address: str = prepare_grant_uri(
        provider.authorize, provider.client_id, "code", redirect, scope, state, nonce=nonce, **challenge, **more
    )
    return address


def code_of(query: Mapping[str, str], provider: Provider) -> str:
    """Return the code of the answer that the browser brought back.

    Raises:
        FlowFailed: It is an error, or the answer of another server (RFC 9207, section 2.4).
    """
    issuer = query.get("iss")
    if (issuer is not None and issuer != provider.issuer) or (issuer is None and provider.names_itself):
        raise FlowFailed("The answer came from another authorization server than the one that was asked.")
    if "error" in query:
        raise FlowFailed("The authorization server did not let this person in.")
    if not query.get("code"):
        raise FlowFailed("The authorization server sent no code.")
    return query["code"]


async def redeem(fetch: Fetch, provider: Provider, code: str, redirect: str, verifier: str) -> dict[str, Any]:
    """Return the token answer for a code."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
    headers = {"accept": "application/json"}
    if provider.secret is None:
        form["client_id"] = provider.client_id
    else:
        # RFC 6749, section 2.3.1: both are form-encoded first
        pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.secret)}"
        headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return await fetch(provider.token, form, headers)


def verified_claims(
    token: Mapping[str, Any], keys: Mapping[str, Any], provider: Provider, nonce: str
) -> dict[str, Any]:
    """Return the claims of the ID token of a token answer, checked: signature, iss, aud, azp, exp, iat, nonce, at_hash.

    Raises:
        FlowFailed: It is missing, or one of these is wrong.
    """
    text = token.get("id_token")
    if not isinstance(text, str):
        raise FlowFailed("The authorization server sent no ID token; the scope openid may not be allowed.")
    try:
        header = jwt.get_unverified_header(text)
        payload = jwt.PyJWS().decode(text, _signing_key(header, keys).key, algorithms=[header["alg"]])
        wanted = {"iss": provider.issuer, "aud": provider.client_id}
        claims = CodeIDToken(
            orjson.loads(payload),
            header,
            {name: {"essential": True, "value": value} for name, value in wanted.items()},
            {"nonce": nonce, "client_id": provider.client_id, "access_token": token.get("access_token")},
        )
        claims.validate(leeway=_LEEWAY_SECONDS)
    except (jwt.PyJWTError, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FlowFailed(f"The ID token cannot be accepted ({type(error).__name__}).") from error
    return dict(claims)


def _signing_key(header: Mapping[str, Any], keys: Mapping[str, Any]) -> VerificationKey:
    """Return the key that the header names; without a name the only one of the set (OpenID Connect Core, section 10.1).

    Raises:
        ValueError: There is no such key, it is not for this algorithm, or the header demands an extension.
    """
    if "crit" in header:
        raise ValueError("no extension is supported")
    usable = [{"kid": "without a name", **jwk} for jwk in keys["keys"]]
    by_kid = read_key_set({"keys": usable})[0].by_kid
    candidates = [by_kid[header["kid"]]] if "kid" in header else list(by_kid.values())
    if len(candidates) != 1 or header["alg"] not in ALGORITHMS or header["alg"] not in candidates[0].algorithms:
        raise ValueError("no key is the one that signed")
    return candidates[0]


# Logins that went to another server: what was sent along, until the browser comes back with the same state, once


LIFETIME_SECONDS: Final = 600.0


class UnderWay(Struct, frozen=True):
    """One login under way. `kind` is "oidc" or "smart"; `where` is what it came from: the issuer or the FHIR base.

    `page` is where the person goes afterwards.
    """

    kind: str
    where: str
    verifier: str
    nonce: str
    page: str = ""


def new_secret() -> str:
    """Return a value that nobody can guess, for a state, a nonce, a verifier (RFC 7636: 43 characters) or a cookie."""
    return secrets.token_urlsafe(32)


def send_away(store: AccessStore, login: UnderWay, browser: str, now: Callable[[], float] = time) -> str:
    """Remembers a login for the browser with this cookie; returns its state."""
    state, moment = new_secret(), now()
    row = {"state": _digest(state), "browser": _digest(browser), "ends_at": moment + LIFETIME_SECONDS}
    with store.transaction() as connection:
        connection.execute(delete(pending).where(pending.c.ends_at <= moment))
        connection.execute(insert(pending).values(**row, detail=msgspec.json.encode(login).decode()))
    return state


def come_back(
    store: AccessStore, kind: str, state: str, browser: str, now: Callable[[], float] = time
) -> UnderWay | None:
    """Return what this browser was sent away with under this state; None for another browser, an old or used state."""
    with store.transaction() as connection:
        first = connection.execute(select(pending).where(pending.c.state == _digest(state))).first()
        connection.execute(delete(pending).where(pending.c.state == _digest(state)))
    if first is None or first.ends_at <= now() or bytes(first.browser) != _digest(browser):
        return None
    login = msgspec.json.decode(first.detail, type=UnderWay)
    return login if login.kind == kind else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
