"""A site can have its clients asked for what says that a patient has opted out of decision support."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.services import services_for
from cds_hooks.settings import Settings
from tests.cds_hooks.calls import PLANNING, client, ours, request_for
from tests.cds_hooks.prefetch.fetch_calls import silences
from tests.cds_hooks.services.equation_calls import NOW

PATIENT = "planning-talk"
GO_ON = {"order-safety", "order-safety-dispatch", "genes-and-medications", "medication-review", "discharge-medications"}


def asked(**site: Any) -> dict[str, dict[str, str]]:
    """By service those of its prefetch templates that are about opting out."""
    return {
        name: {key: query for key, query in entry["prefetch"].items() if key in ("consents", "flags")}
        for name, service in services_for(Settings(**site)).items()
        for entry in service.discovery()
    }


def test_nobody_is_asked_unless_the_site_wants_it() -> None:
    assert set(map(str, asked().values())) == {"{}"}


def test_services_that_an_opt_out_silences_ask_and_those_that_warn_of_harm_do_not() -> None:
    consents = {"consents": "Consent?patient={{context.patientId}}&status=active&_count=50"}
    found = asked(ask_opt_outs=True)
    assert {name for name, queries in found.items() if not queries} == GO_ON
    assert [queries for name, queries in found.items() if name not in GO_ON] == [consents] * (len(found) - len(GO_ON))
    with_flags = asked(ask_opt_outs=True, opt_out_flags="https://example.org/flags|no-cds")
    assert with_flags[PLANNING] == consents | {"flags": "Flag?patient={{context.patientId}}&_count=50"}


@pytest.mark.parametrize("denies", [True, False])
def test_what_a_client_brings_of_it_is_read(tmp_path: Path, *, denies: bool) -> None:
    purpose = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREATDS"}
    consent = {
        "resourceType": "Consent", "id": "c", "status": "active", "patient": {"reference": f"Patient/{PATIENT}"},
        "provision": {"type": "deny", "purpose": [purpose]},
    }  # fmt: skip
    request = request_for(PLANNING, "patient-view", PATIENT, NOW)
    entries = [{"resource": consent}] if denies else []
    request["prefetch"]["consents"] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}

    async def story() -> None:
        async with client(tmp_path, as_of=NOW, ask_opt_outs=True) as calls:
            answered = await calls.post(f"/cds-services/{PLANNING}", json=request)
            assert answered.status_code == 200, answered.text
            assert (silences(answered).get("mortality_5y") == "opted-out") is denies
            assert (answered.json()["cards"] == []) is denies

    asyncio.run(story())


def test_where_it_cannot_be_had_the_answer_says_so(tmp_path: Path) -> None:
    request = request_for(PLANNING, "patient-view", PATIENT, NOW)

    async def story() -> None:
        async with client(tmp_path, as_of=NOW, ask_opt_outs=True) as calls:
            answered = await calls.post(f"/cds-services/{PLANNING}", json=request)
            (card,) = answered.json()["cards"]
            assert "what the patient denies" in card["detail"]
            assert "consents" in str(ours(answered))

    asyncio.run(story())
