"""Calls about our sample patients, with a card for each way of helping, and what a client of a dialect gets for them.

The server that answers keeps no record.
"""

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from cds_hooks.call.services import find_services
from cds_hooks.samples import load_draft, load_patient
from cds_hooks.server.app import create_app
from cds_hooks.settings import Settings
from cds_hooks.tools.kit.simulator.chart import Chart, resources_of
from cds_hooks.tools.kit.simulator.request import build_request, drafts_for


@dataclass(frozen=True, slots=True)
class SampleCall:
    """One sample patient at one hook."""

    service: str
    hook: str
    patient: str
    draft: str | None
    story: str
    visit: bool = False
    """The chart is opened within an ambulatory visit: only then is a missing test offered."""


SAMPLE_CALLS: Final = (
    SampleCall("planning-conversation", "patient-view", "planning-talk", None, "among the highest estimates"),
    SampleCall("order-safety", "order-select", "ckd4-metformin", "metformin-ckd4-coded", "metformin, eGFR under 30"),
    SampleCall(
        "order-safety", "order-sign", "ckd3b-metformin", "metformin-renewal-2000", "metformin 2,000 mg, eGFR 37"
    ),
    SampleCall("order-safety", "order-sign", "nsaid-egfr-25", "naproxen-egfr-25", "naproxen, eGFR 25"),
    SampleCall(
        "order-safety-dispatch", "order-dispatch", "nsaid-egfr-25", "ct-contrast-egfr-25", "CT with contrast, eGFR 25"
    ),
    SampleCall("discharge-medications", "encounter-discharge", "ckd3b-metformin", None, "going home on metformin"),
    SampleCall("statin-discussion", "patient-view", "diabetes-no-statin", None, "high risk, no statin"),
    SampleCall("nephrology-referral", "patient-view", "ckd-uacr", None, "risk of kidney failure over the threshold"),
    SampleCall(
        "nephrology-referral", "patient-view", "ckd3b-metformin", None, "the albumin/creatinine ratio is missing", True
    ),
    SampleCall(
        "anticoagulation-discussion", "patient-view", "af-no-anticoagulant", None, "CHA2DS2-VASc 7, none active"
    ),
    SampleCall("liver-assessment", "patient-view", "fatty-liver", None, "FIB-4 high"),
    SampleCall("discharge-follow-up", "encounter-discharge", "going-home", None, "HOSPITAL and LACE high"),
)
"""One card at least for each service, with each way of helping: a new order, a change, a removal, a test."""


def sample_cards(
    configured: Settings, dialect: str, as_of: datetime, version: str | None = None
) -> list[list[dict[str, Any]]]:
    """Return the cards of each of SAMPLE_CALLS, in their order, as a client of this dialect and version gets them."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {
            "database_url": f"sqlite:///{Path(folder) / 'record.sqlite3'}",
            "dialect": dialect,
            "protocol_version": version,
            "as_of": as_of,
            "trust_file": None,
        }
        return asyncio.run(_answers(configured.model_copy(update=changes), as_of))


def request_of(specimen: SampleCall, as_of: datetime, model_keys: Path | None = None) -> dict[str, Any]:
    """Return the hook request of one specimen, built from the service's own templates."""
    entries = find_services(model_keys=model_keys, file="separate")[specimen.service].discovery()
    entry = next(entry for entry in entries if entry["hook"] == specimen.hook)
    resources = resources_of(load_patient(specimen.patient, as_of))
    chart = Chart([*resources, _visit(specimen.patient, as_of)] if specimen.visit else resources)
    drafts = drafts_for(chart, resources_of(load_draft(specimen.draft, as_of))) if specimen.draft else []
    return build_request(entry, chart, drafts)


def _visit(patient: str, as_of: datetime) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": f"{patient}-visit",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "subject": {"reference": f"Patient/{patient}"},
        "period": {"start": as_of.isoformat()},
    }


async def _answers(configured: Settings, as_of: datetime) -> list[list[dict[str, Any]]]:
    transport = httpx.ASGITransport(app=create_app(configured))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return [await _cards_of_answer(client, specimen, as_of, configured.model_keys) for specimen in SAMPLE_CALLS]


async def _cards_of_answer(
    client: httpx.AsyncClient, specimen: SampleCall, as_of: datetime, model_keys: Path | None
) -> list[dict[str, Any]]:
    answer = await client.post(f"/cds-services/{specimen.service}", json=request_of(specimen, as_of, model_keys))
    cards: list[dict[str, Any]] = answer.raise_for_status().json()["cards"]
    return cards
