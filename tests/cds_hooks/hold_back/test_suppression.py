"""A card that was shown or answered rests for the period of its answer, and speaks again when something is worse."""

import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cards.extension import CardExtension, Factor, ObservedRate
from cds_hooks.cli import app
from cds_hooks.hold_back.sent_cards import PatientFinding, patient_finding
from tests.cds_hooks.calls import client, request_for
from tests.cds_hooks.prefetch.fetch_calls import silences
from tests.cds_hooks.services.equation_calls import NOW
from tests.fhir import builders
from tests.live import record_in

SERVICE, SAMPLE = "planning-conversation", "planning-talk"
ALBUMIN = "1751-7"


def _finding(risk: float, rate: float = 0.2, model: str = "mortality_5y", **contributions: float) -> PatientFinding:
    said = CardExtension(
        model={"id": model, "version": "1", "sha256": "0"},
        probability=risk,
        observed=ObservedRate(rate, rate - 0.05, rate + 0.05, 100),
        contributions=tuple(Factor(name, 1.0, "1", "2026-01-01", "", each) for name, each in contributions.items()),
    )
    found = patient_finding(said, "patient-view")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("before", "now", "speaks"),
    [
        (_finding(0.30, age=1.0), _finding(0.30, age=1.0), False),
        (_finding(0.30, age=1.0), _finding(0.349, age=1.0), False),
        (_finding(0.30, age=1.0), _finding(0.35, age=1.0), True),
        (_finding(0.10, age=1.0), _finding(0.13, age=1.0), False),  # a third more, and still 3 points
        (_finding(0.30, 0.2, age=1.0), _finding(0.31, 0.4, age=1.0), True),
        (_finding(0.30, 0.4, age=1.0), _finding(0.29, 0.2, age=1.0), False),
        (_finding(0.30, age=1.0, bun=0.01), _finding(0.30, age=1.0, bun=0.4), True),
        (_finding(0.30, age=1.0, bun=0.1), _finding(0.30, age=1.0, bun=0.4), False),
        (_finding(0.30, age=1.0, bun=0.01), _finding(0.30, age=1.0, bun=0.1), False),
        (_finding(0.30, age=1.0, bun=0.01), _finding(0.30, age=1.0, bun=-0.4), False),
        (_finding(0.30, 0.2, age=1.0), _finding(0.31, 0.4, "mortality_5y_small", age=1.0, bun=0.9), False),
    ],
    ids=[
        "the same",
        "under 5 points",
        "5 points",
        "a third more but 3 points",
        "a higher band",
        "a lower band",
        "a new driver",
        "a driver that was visible before",
        "an input that is no driver yet",
        "a new input that lowers it",
        "the model for fewer values has other bands and drivers",
    ],
)
def test_an_estimate_speaks_again_by_five_points_a_band_or_a_driver(
    before: PatientFinding, now: PatientFinding, *, speaks: bool
) -> None:
    assert now.is_worse_than(before) is speaks


# Over HTTP, each day a new server that knows only the record


async def _call(calls: httpx.AsyncClient, change: Any = None, days: float = 0) -> httpx.Response:
    request = copy.deepcopy(request_for(SERVICE, "patient-view", SAMPLE, NOW + timedelta(days=days)))
    if change is not None:
        change(request)
    answered = await calls.post(f"/cds-services/{SERVICE}", json=request)
    assert answered.status_code == 200, answered.text
    return answered


async def _answer(calls: httpx.AsyncClient, card: dict[str, Any], code: str) -> None:
    item = {"card": card["uuid"], "outcomeTimestamp": NOW.isoformat()}
    if code == "accepted":
        item |= {"outcome": "accepted", "acceptedSuggestions": [{"id": card["suggestions"][0]["uuid"]}]}
    else:
        reason = {"code": code, "system": "https://cds-hooks-onnx.org/override-reasons", "display": "A reason"}
        item |= {"outcome": "overridden", "overrideReason": {"reason": reason}}
    sent = await calls.post(f"/cds-services/{SERVICE}/feedback", json={"feedback": [item]})
    assert sent.status_code == 200, sent.text


def _albumin_missing(request: dict[str, Any]) -> None:
    for bundle in request["prefetch"].values():
        if bundle and bundle.get("entry"):
            bundle["entry"] = [each for each in bundle["entry"] if not _is(each["resource"], ALBUMIN)]


def _is(resource: dict[str, Any], code: str) -> bool:
    return any(coding.get("code") == code for coding in resource.get("code", {}).get("coding", []))


async def test_who_wants_to_know_more_sees_the_card_when_the_missing_result_arrives(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        first = await _call(calls, _albumin_missing)
        (card,) = first.json()["cards"]
        assert "albumin_g_dl" in card["extension"]["org.cds-hooks-onnx"]["missing"]
        await _answer(calls, card, "need-more-info")
        assert (await _call(calls, _albumin_missing)).json()["cards"] == []
        assert len((await _call(calls)).json()["cards"]) == 1


@pytest.mark.parametrize(
    ("label", "is_silent"),
    [
        ({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}, True),
        ({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}, False),
        ({"code": "OPTOUT"}, False),
    ],
)
async def test_who_opted_out_gets_no_estimate(tmp_path: Path, label: dict[str, str], *, is_silent: bool) -> None:
    def labelled(request: dict[str, Any]) -> None:
        request["prefetch"]["patient"]["meta"] = {"security": [label]}

    async with client(tmp_path, as_of=NOW) as calls:
        answered = await _call(calls, labelled)
        assert (answered.json()["cards"] == []) is is_silent
        assert (silences(answered).get("mortality_5y") == "opted-out") is is_silent


async def test_who_opted_out_is_warned_of_dangerous_orders_all_the_same(tmp_path: Path) -> None:
    request = request_for("order-safety", "order-sign", "ckd4-metformin", NOW, "metformin-ckd4-coded")
    optout = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}
    request["prefetch"]["patient"]["meta"] = {"security": [optout]}
    async with client(tmp_path, as_of=NOW) as calls:
        answered = await calls.post("/cds-services/order-safety-sign", json=request)
        assert answered.json()["cards"] != []


DENIED = {
    "resourceType": "Consent", "id": "no-cds", "status": "active", "scope": {"coding": [{"code": "patient-privacy"}]},
    "category": [{"text": "Use of the record"}], "patient": {"reference": f"Patient/{SAMPLE}"},
    "provision": {"type": "deny",
                  "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREATDS"}]},
}  # fmt: skip


async def test_a_consent_under_a_key_of_the_client_silences_the_estimate_and_is_named_in_the_record(
    tmp_path: Path,
) -> None:
    def denied(request: dict[str, Any]) -> None:
        request["prefetch"]["consents"] = builders.bundle(DENIED)

    async with client(tmp_path, as_of=NOW) as calls:
        assert len((await _call(calls)).json()["cards"]) == 1
        answered = await _call(calls, denied)
        assert answered.json()["cards"] == []
        assert silences(answered)["mortality_5y"] == "opted-out"
    command = ["decisions", "list", "--silent", "--json", "--database", record_in(tmp_path)]
    listed = CliRunner().invoke(app, command)
    assert listed.exit_code == 0, listed.output
    (decision,) = json.loads(listed.stdout)
    assert decision["silence"][0] == {
        "subject": "mortality_5y",
        "reason": "opted-out",
        "text": "The patient has opted out of estimates and reminders (Consent/no-cds denies decision support).",
    }


async def test_a_flag_that_the_site_names_silences_and_the_same_flag_elsewhere_does_not(tmp_path: Path) -> None:
    flag = {
        "resourceType": "Flag",
        "id": "f",
        "status": "active",
        "code": {"coding": [{"system": "https://example.org/flags", "code": "no-cds"}]},
        "subject": {"reference": f"Patient/{SAMPLE}"},
    }

    def flagged(request: dict[str, Any]) -> None:
        request["prefetch"]["flags"] = flag

    async with client(tmp_path, as_of=NOW, opt_out_flags="https://example.org/flags|no-cds") as calls:
        assert silences(await _call(calls, flagged))["mortality_5y"] == "opted-out"
    async with client(tmp_path, as_of=NOW) as calls:
        assert len((await _call(calls, flagged)).json()["cards"]) == 1


async def test_a_dangerous_order_is_warned_of_in_spite_of_the_consent(tmp_path: Path) -> None:
    request = request_for("order-safety", "order-sign", "ckd4-metformin", NOW, "metformin-ckd4-coded")
    request["prefetch"]["consents"] = DENIED | {"patient": {"reference": f"Patient/{request['context']['patientId']}"}}
    async with client(tmp_path, as_of=NOW) as calls:
        answered = await calls.post("/cds-services/order-safety-sign", json=request)
        assert answered.json()["cards"] != []
