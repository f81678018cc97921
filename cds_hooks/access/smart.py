"""SMART App Launch 2.2, EHR launch, as a public client with PKCE: who opened which patient's chart in which EHR.

Only a FHIR server that the trust file registers for a client with `smart_client_id` can launch, and only addresses at
its origin, or at an origin that the file names for it, are asked. The access token is thrown away: nothing is read with
it. The session that follows is bound to the one patient whose chart is open.
"""

from collections.abc import Mapping
from typing import Any, Final

import httpx
from msgspec import Struct

from cds_hooks.access.code_flow import (
    Fetch,
    FlowFailed,
    Provider,
    UnderWay,
    authorization_address,
    code_of,
    provider_of,
    redeem,
    verified_claims,
)
from cds_hooks.access.oidc import json_object
from cds_hooks.access.roles import Role
from cds_hooks.access.sessions import Person
from cds_hooks.security import TrustedClient
from cds_hooks.security.addresses import BadUrl, Budgets, FhirBase, OutboundRefused, parse_url
from cds_hooks.security.trust import Trust
from cds_hooks.web.visitor import PatientBound

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
            raise FlowFailed("The EHR's SMART configuration has no issuer and jwks_uri, so nobody can be recognised.")
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
