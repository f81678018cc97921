"""A key whose token has no value cannot be had; dates by tokens are for clients of 3.0."""

import asyncio
from collections.abc import Mapping
from datetime import date
from typing import Any

import orjson

from cds_hooks.call.prefetch.fetch import FilledPrefetch, PrefetchFetcher
from cds_hooks.call.prefetch.state import Templates, inspect_prefetch
from cds_hooks.call.prefetch.template import Template
from cds_hooks.call.protocol.hooks import LIBRARY
from cds_hooks.call.protocol.request import CDSRequest, read_request
from cds_hooks.call.security.trust import ANONYMOUS, DevelopmentTrust, TrustedClient
from tests.cds_hooks.call.prefetch.fetch_calls import TOKEN, at_server
from tests.fhir_charts import chart_of, lab, serving_fhir

LABS = "Observation?patient={{context.patientId}}&code=http://loinc.org|2160-0"
TODAY = date(2026, 11, 20)


def _request(
    base: str, hook: str = "patient-view", prefetch: Mapping[str, Any] | None = None, token: str = TOKEN, **context: Any
) -> CDSRequest:
    body = {
        "hook": hook,
        "hookInstance": "8a1f0ba6-7f0c-4d0a-9c1c-0f7c6d3a0b11",
        "context": {"userId": "Practitioner/7", "patientId": "p1"} | context,
        "prefetch": prefetch or {},
    }
    return read_request(orjson.dumps(at_server(body, base, token)), {hook: LIBRARY[hook]})


def _fill(
    request: CDSRequest, templates: Templates, client: TrustedClient = ANONYMOUS, protocol: str = "2.0"
) -> FilledPrefetch:
    async def run() -> FilledPrefetch:
        trust = DevelopmentTrust()
        state = inspect_prefetch(request.prefetch, templates, 1795165200.0)
        try:
            return await PrefetchFetcher(trust, 10_000).fill(request, state, client, TODAY, protocol)
        finally:
            await trust.aclose()

    return asyncio.run(run())


def _states(filled: FilledPrefetch) -> dict[str, str]:
    return {each.template.key: each.state for each in filled.state.states}


def test_a_token_without_value_leaves_its_key_unobtainable() -> None:
    templates = Templates(
        [
            Template("me", "Practitioner/{{userPractitionerId}}", "Practitioner", "the user"),
            Template("patient_user", "Patient/{{userPatientId}}", "Patient", "the user as patient"),
            Template("stay", "Encounter/{{context.encounterId}}", "Encounter", "the stay"),
        ]
    )
    me = {"resourceType": "Practitioner", "id": "7"}
    with serving_fhir([chart_of(me)]) as running:
        filled = _fill(_request(running.base, encounterId=".."), templates)
    assert running.queries == ["/Practitioner/7"]
    assert _states(filled) == {"me": "fetched", "patient_user": "unobtainable", "stay": "unobtainable"}
    assert [each.reason for each in filled.state.states] == ["", "no-value", "not-a-query"]


def test_dates_by_tokens_are_asked_for_with_clients_of_3_0_only() -> None:
    templates = Templates([Template("labs", LABS, "Observation", "labs", since=("date", 30))])
    for protocol, asked in (("2.0", ""), ("3.0", "&date=ge2026-10-21")):
        with serving_fhir([chart_of(lab(1))]) as running:
            _fill(_request(running.base), templates, protocol=protocol)
        assert running.queries == [f"/Observation?patient=p1&code=http://loinc.org%7C2160-0{asked}"]
