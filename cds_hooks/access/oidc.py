"""Login by the site's OpenID provider: the provider is asked once and kept for ten minutes, its groups become roles."""

from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any, Final

import httpx

from cds_hooks.access.code_flow import (
    FlowFailed,
    Provider,
    UnderWay,
    authorization_address,
    code_of,
    provider_of,
    redeem,
    verified_claims,
)
from cds_hooks.access.roles import Role
from cds_hooks.access.sessions import Person
from cds_hooks.settings.login import read_provider

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
    from cds_hooks.security.outbound import ssl_context_for  # read once: 20 ms, for which the loop answered nobody

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
    import orjson

    if status != httpx.codes.OK:
        raise FlowFailed(f"The authorization server refused: it answered {status}.")
    try:
        loads = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise FlowFailed("The authorization server's answer is no JSON.") from error
    if not isinstance(loads, dict):
        raise FlowFailed("The authorization server's answer is no JSON object.")
    return loads
