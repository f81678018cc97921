"""A site can have its clients asked for what says that a patient has opted out of decision support."""

import asyncio
from pathlib import Path
from typing import Any

from cds_hooks.services import services_for
from cds_hooks.settings import Settings
from tests.cds_hooks.calls import PLANNING, client, ours, request_for
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


def test_where_it_cannot_be_had_the_answer_says_so(tmp_path: Path) -> None:
    request = request_for(PLANNING, "patient-view", PATIENT, NOW)

    async def story() -> None:
        async with client(tmp_path, as_of=NOW, ask_opt_outs=True) as calls:
            answered = await calls.post(f"/cds-services/{PLANNING}", json=request)
            (card,) = answered.json()["cards"]
            assert "what the patient denies" in card["detail"]
            assert "consents" in str(ours(answered))

    asyncio.run(story())
