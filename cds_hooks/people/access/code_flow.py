"""The authorization code flow with PKCE (RFC 6749, 7636, 9207; OpenID Connect Core 1.0), for OpenID and for SMART.

The signature of an ID token is checked by PyJWT, its claims by Authlib, which takes 0.3 s to import: the pages of the
login are imported in a thread, at the first request for one. What is fetched is the caller's business (`Fetch`).
Authlib's client for Starlette is not used: it keeps a login under way in a session cookie, where the store here lets
the answer come back once, to the same browser, in whichever process.

Login by the site's OpenID provider: the provider is asked once and kept for ten minutes, its groups become roles.

SMART App Launch 2.2, EHR launch, as a public client with PKCE: who opened which patient's chart in which EHR.

Only a FHIR server that the trust file registers for a client with `smart_client_id` can launch, and only addresses at
its origin, or at an origin that the file names for it, are asked. The access token is thrown away: nothing is read with
it. The session that follows is bound to the one patient whose chart is open.
"""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import time
from typing import Any, Final
from urllib.parse import quote_plus

import httpx
import jwt
import msgspec
import orjson
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError
from msgspec import Struct
from sqlalchemy import delete, insert, select

from cds_hooks.call.security.addresses import BadUrl, Budgets, FhirBase, OutboundRefused, parse_url
from cds_hooks.call.security.keys import VerificationKey, read_key_set
from cds_hooks.call.security.trust import Trust, TrustedClient
from cds_hooks.people.access.roles import Role
from cds_hooks.people.access.sessions import Person
from cds_hooks.people.access.store import AccessStore, pending
from cds_hooks.people.web.visitor import PatientBound
from cds_hooks.settings.checks import address_fault, plain_http_fault
from cds_hooks.settings.fields import read_provider

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


def provider_of(document: Mapping[str, Any], client_id: str, secret: str | None) -> Provider:
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
        str(document.get("issuer", "")),
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
        raise FlowFailed(f"The authorization server's {member} is missing or is not an https address.")
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
        raise ValueError("none of the keys signed it")
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


_KEPT_SECONDS: Final = 600.0
_MOST_BYTES: Final = 256 * 1024
_TIMEOUT: Final = httpx.Timeout(5.0)


class OpenIdLogin:
    """The site's provider, as CDS_OIDC_FILE describes it."""

    def __init__(self, file: Path, public_url: str) -> None:
        """Nothing is fetched before the first login."""
        provider = read_provider(file)
        self._issuer = provider.issuer or ""
        self._client_id = provider.client_id
        self._secret = provider.client_secret.get_secret_value() if provider.client_secret is not None else None
        self._claim, self._scopes, self._roles = provider.roles_claim, provider.scopes, provider.roles
        self._kept: tuple[float, Provider, dict[str, Any]] | None = None
        self.redirect = f"{public_url}/login/back"

    async def address(self, state: str, login: UnderWay) -> str:
        """Return where the browser is sent to."""
        provider, _ = await self._provider()
        return authorization_address(
            provider, self.redirect, self._scopes, state, login.verifier, login.nonce, response_mode="query"
        )

    async def person(self, query: Mapping[str, str], login: UnderWay) -> Person:
        """Return who came back.

        Raises:
            FlowFailed: Nobody whom the provider vouches for, or nobody with a role here.
        """
        provider, keys = await self._provider()
        code = code_of(query, provider)
        token = await redeem(fetch_json, provider, code, self.redirect, login.verifier)
        try:
            claims = verified_claims(token, keys, provider, login.nonce)
        except FlowFailed:
            _, keys = await self._provider(anew=True)  # the provider may sign with a new key
            claims = verified_claims(token, keys, provider, login.nonce)
        if self._claim not in claims and provider.userinfo:
            claims |= await self._userinfo(provider, token, claims["sub"])
        roles = self._roles_of(claims)
        if not roles:
            raise FlowFailed("The site's provider knows this person, but none of their groups has a role here.")
        name = claims.get("name") or claims.get("preferred_username") or claims["sub"]
        return Person(f"oidc {claims['sub']}", str(name), roles, issuer=self._issuer)

    async def _userinfo(self, provider: Provider, token: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """Return what the provider says of the person beside the ID token (OpenID Connect Core 1.0, section 5.3)."""
        headers = {"accept": "application/json", "authorization": f"Bearer {token.get('access_token', '')}"}
        claims = await fetch_json(provider.userinfo, None, headers)
        if claims.get("sub") != subject:  # section 5.3.2: else somebody else's claims could be put in
            raise FlowFailed("The provider's userinfo is about another person than the ID token.")
        return {self._claim: claims[self._claim]} if self._claim in claims else {}

    def _roles_of(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        claim = claims.get(self._claim, ())
        groups = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
        groups_with_role = (group for group in groups if isinstance(group, str) and group in self._roles)
        return frozenset(Role(self._roles[group]) for group in groups_with_role)

    async def _provider(self, *, anew: bool = False) -> tuple[Provider, dict[str, Any]]:
        moment = time()
        if self._kept is not None and not anew and moment - self._kept[0] < _KEPT_SECONDS:
            return self._kept[1], self._kept[2]
        document = await fetch_json(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration", None, {})
        if document.get("issuer") != self._issuer:  # OpenID Connect Discovery 1.0, section 4.3
            raise FlowFailed("The provider calls itself by another name than the issuer in CDS_OIDC_FILE.")
        provider = provider_of(document, self._client_id, self._secret)
        keys = await fetch_json(provider.keys, None, {})
        self._kept = (moment, provider, keys)
        return provider, keys


async def fetch_json(address: str, form: Mapping[str, str] | None, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON object at an address of the site's own provider; no redirects, no proxies of the environment.

    Raises:
        FlowFailed: It does not answer 200 with a JSON object of at most 256 KB within five seconds.
    """
    from cds_hooks.call.security.outbound import ssl_context_for  # read once: 20 ms, for which the loop answered nobody

    method = "GET" if form is None else "POST"
    try:
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, verify=ssl_context_for(None)) as client,
            client.stream(method, address, data=dict(form) if form is not None else None, headers=headers) as answer,
        ):
            body = b""
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise FlowFailed("The authorization server's answer is too large.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FlowFailed(f"The authorization server cannot be reached ({type(error).__name__}).") from error
    return json_object(answer.status_code, body)


def json_object(status: int, body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; FlowFailed for any other answer."""
    if status != httpx.codes.OK:
        raise FlowFailed(f"The authorization server refused: it answered {status}.")
    try:
        loads = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise FlowFailed("The authorization server's answer is not JSON.") from error
    if not isinstance(loads, dict):
        raise FlowFailed("The authorization server's answer is not a JSON object.")
    return loads


_SCOPE: Final = "launch openid fhirUser"
_BUDGETS: Final = Budgets(fetch_milliseconds=4000, max_response_bytes=256 * 1024)
_NOT_KNOWN: Final = "This FHIR server is registered for no client of this server that may launch it as an app."


class Launched(Struct, frozen=True):
    """Whom the EHR vouches for, and what its token answer carries for the app (`appContext` of a card's link)."""

    person: Person
    app_context: str


class SmartLaunch:
    """EHR launches from the FHIR servers of the trust file."""

    def __init__(self, trust: Trust, public_url: str) -> None:
        self._trust = trust
        self.redirect = f"{public_url}/launch/back"

    def base_of(self, issuer: str) -> tuple[TrustedClient, FhirBase]:
        """Return the client whose FHIR base this is, exactly.

        Raises:
            FlowFailed: It is none's.
        """
        for client in self._trust.clients:
            if client.smart_client_id is None:
                continue
            try:
                base = self._trust.may_fetch(client, issuer)
            except OutboundRefused:
                continue
            if str(base.url).rstrip("/") == str(base.registered).rstrip("/"):
                return client, base
        raise FlowFailed(_NOT_KNOWN)

    async def address(self, state: str, login: UnderWay, launch: str) -> str:
        """Return where the browser is sent to."""
        client, base = self.base_of(login.where)
        provider, _ = await self._provider(client, base)
        return authorization_address(
            provider, self.redirect, _SCOPE, state, login.verifier, login.nonce, launch=launch, aud=login.where
        )

    async def launched(self, query: Mapping[str, str], login: UnderWay) -> Launched:
        """Return who came back, and of which patient.

        Raises:
            FlowFailed: The EHR vouches for nobody, or names no patient.
        """
        client, base = self.base_of(login.where)
        provider, fetch = await self._provider(client, base)
        code = code_of(query, provider)
        token = await redeem(fetch, provider, code, self.redirect, login.verifier)
        claims = verified_claims(token, await fetch(provider.keys, None, {}), provider, login.nonce)
        patient = token.get("patient")
        if not isinstance(patient, str) or not patient or len(patient) > 64:
            raise FlowFailed("The EHR named no patient; open the app from a patient's chart.")
        user = str(claims.get("fhirUser") or claims["sub"])
        context = token.get("appContext")
        person = Person(
            f"smart {client.name} {_short(user)}",
            str(claims.get("name") or _short(user)),
            frozenset({Role.CLINICIAN_LINK}),
            bound=PatientBound(client.name, patient),
        )
        return Launched(person, context if isinstance(context, str) else "")

    async def _provider(self, client: TrustedClient, base: FhirBase) -> tuple[Provider, Fetch]:
        fetch = self._fetch_for(client, base)
        document = await fetch(f"{base.url}/.well-known/smart-configuration", None, {})
        if "issuer" not in document or "jwks_uri" not in document:
            raise FlowFailed("The EHR's SMART configuration has no issuer and jwks_uri, so nobody can be recognized.")
        return provider_of(document, client.smart_client_id or "", None), fetch

    def _fetch_for(self, client: TrustedClient, base: FhirBase) -> Fetch:
        allowed = {f"{base.registered.scheme}://{base.registered.authority}", *client.smart_origins}

        async def fetch(address: str, form: Mapping[str, str] | None, headers: Mapping[str, str]) -> dict[str, Any]:
            try:
                url = parse_url(address)
            except BadUrl as error:
                raise FlowFailed("The EHR's SMART configuration names an address that cannot be used.") from error
            if f"{url.scheme}://{url.authority}" not in allowed:
                raise FlowFailed("The EHR's authorization server is at an origin that the trust file does not name.")
            login_base = FhirBase(url, url, base.reach, _BUDGETS, client.name, "login")
            try:
                async with self._trust.outbound.open(
                    login_base, headers={"accept": "application/json", **headers}
                ) as http:
                    method = "GET" if form is None else "POST"
                    answer = await http.request(method, str(url), data=dict(form) if form is not None else None)
            except (httpx.HTTPError, OutboundRefused, TimeoutError) as error:
                raise FlowFailed(f"The EHR's authorization server cannot be asked ({type(error).__name__}).") from error
            return json_object(answer.status_code, answer.content)

        return fetch


def _short(user: str) -> str:
    """`Practitioner/7` of an absolute reference."""
    return "/".join(user.rstrip("/").split("/")[-2:])[:120]
