"""What a large order-sign call costs, from its bytes to the bytes of the answer, with the decision committed.

The call of the goal has 30 active medications, 10 drafts and 300 laboratory results. Run alone with
`python -m benchmarks.order_sign`; `make bench` prints its table too. Each call has ids and times of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median, quantiles
from time import process_time
from typing import Any, NamedTuple

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.bodies import with_marked_ids
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import discover
from cards.casebook.patients import bundle_of, draft_of
from cds_hooks.kit.simulator.chart import Chart, resources_of
from cds_hooks.kit.simulator.request import build_request, drafts_for
from cds_hooks.memory import settle_memory

Json = dict[str, Any]

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ACTIVE, DRAFTS, LABS = 30, 10, 300
_CALLS = 300
# What a man of 74 with heart failure, diabetes and atrial fibrillation is on and is ordered on a ward.
_TAKEN = (
    "1364445", "314076", "furosemide 40 MG Oral Tablet", "metoprolol succinate 50 MG Extended Release Oral Tablet",
    "617311", "314200", "861007", "1100702", "310431", "197319", "tamsulosin 0.4 MG Oral Capsule",
    "levothyroxine 0.05 MG Oral Tablet", "docusate sodium 100 MG Oral Capsule", "sennosides 8.6 MG Oral Tablet",
    "198440", "311372", "cholecalciferol 1000 UNT Oral Tablet", "ferrous sulfate 325 MG Oral Tablet",
    "amlodipine 5 MG Oral Tablet", "313096", "312938", "albuterol 0.09 MG/ACTUAT Inhalation Solution",
    "fluticasone 0.05 MG/ACTUAT Nasal Spray", "latanoprost 0.05 MG/ML Ophthalmic Solution", "896758",
    "insulin glargine 100 UNT/ML Injectable Solution", "acetylcysteine 200 MG/ML Inhalation Solution",
    "melatonin 3 MG Oral Tablet", "polyethylene glycol 3350 17 GM Powder", "folic acid 1 MG Oral Tablet",
)  # fmt: skip
_DRAFTED = (
    "309112", "ondansetron 4 MG Oral Tablet", "314077", "198440", "furosemide 80 MG Oral Tablet", "861007",
    "617311", "308191", "197806", "heparin sodium 5000 UNT/ML Injectable Solution",
)  # fmt: skip
# The worst case: a transplant patient whose drugs are those of the rules, and only such drugs are ordered.
_TROUBLE_TAKEN = (
    "855332", "197604", "314076", "313096", "312961", "314200", "310431", "197319", "833528", "200371", "197552",
    "197388", "105585", "198440", "furosemide 40 MG Oral Tablet", "amlodipine 5 MG Oral Tablet", "312615",
    "metoprolol succinate 50 MG Extended Release Oral Tablet", "896758", "docusate sodium 100 MG Oral Capsule",
    "sennosides 8.6 MG Oral Tablet", "aspirin 81 MG Oral Tablet", "clopidogrel 75 MG Oral Tablet", "311372",
    "tamsulosin 0.4 MG Oral Capsule", "levothyroxine 0.05 MG Oral Tablet", "854873", "835603",
    "potassium chloride 20 MEQ Extended Release Oral Tablet", "cholecalciferol 1000 UNT Oral Tablet",
)  # fmt: skip
_TROUBLE_DRAFTED = (
    "197806", "197517", "198334", "861007", "1364445", "314229", "198051", "1049221", "312938", "309112",
)  # fmt: skip
_ANALYTES = (
    "creatinine", "potassium", "sodium", "inr", "magnesium", "calcium", "hemoglobin", "platelets", "alt", "albumin",
)  # fmt: skip
_USUAL = {"creatinine": 1.3, "potassium": 4.4, "sodium": 139, "inr": 2.4, "magnesium": 2.0, "calcium": 9.4,
          "hemoglobin": 12.1, "platelets": 210, "alt": 24, "albumin": 3.9}  # fmt: skip


class Call(NamedTuple):
    """The bytes of one call's prefetch, by key, and of its drafts."""

    prefetch: bytes
    drafts: bytes

    def body(self, service: Json) -> bytes:
        """The request for the service's discovery entry."""
        chart = Chart(resources_of(orjson.loads(self.prefetch)))
        request = build_request(service, chart, drafts_for(chart, resources_of(orjson.loads(self.drafts))))
        return orjson.dumps(with_marked_ids(request))


def build_call(active: int = ACTIVE, drafts: int = DRAFTS, labs: int = LABS, *, trouble: bool = False) -> Call:
    """A call of that size; more than there are drugs repeats them. `trouble`: every drug is one of the rules."""
    active_drugs, drafted = (_TROUBLE_TAKEN, _TROUBLE_DRAFTED) if trouble else (_TAKEN, _DRAFTED)
    patient: Json = {
        "age": 74,
        "conditions": ["afib", "hf", "hypertension", "dm2"],
        "allergies": ["penicillin", "sulfa"],
        "active": [
            {
                "drug": active_drugs[n % len(active_drugs)],
                "dose": "1 tablet",
                "times": 1 + n % 3,
                "days_ago": 20 + 7 * n,
            }
            for n in range(active)
        ],
        "labs": [[_ANALYTES[n % len(_ANALYTES)], _USUAL[_ANALYTES[n % len(_ANALYTES)]], n % 80] for n in range(labs)]
        + [["body_weight", 81, 20], ["body_height", 178, 20], ["qtc", 440, 20]],
    }
    bundle = bundle_of(patient, AS_OF)
    drawn = [
        draft_of({"drug": drafted[n % len(drafted)], "dose": "1 tablet", "times": 2, "days": 10}, f"draft-{n}")
        for n in range(drafts)
    ]
    entries = [{"resource": draft} for draft in drawn]
    return Call(orjson.dumps(bundle), orjson.dumps({"resourceType": "Bundle", "entry": entries}))


def whole_call_ms(call: Call, calls: int = _CALLS) -> list[float]:
    """Processor milliseconds of so many order-sign calls in process, each with its own ids and times."""
    with service_in_process() as service:
        entry = next(entry for entry in discover(service.call_json) if entry["hook"] == "order-sign")
        path = f"/cds-services/{entry['id']}"
        request = ChangingRequest(call.body(entry))
        for _ in range(30):
            service.call("POST", path, request.next())
        settle_memory()
        return [_processor_ms(service, path, request.next()) for _ in range(calls)]


def _processor_ms(service: InProcess, path: str, body: bytes) -> float:
    started = process_time()
    service.call("POST", path, body)
    return 1000 * (process_time() - started)


_SIZES = ((30, 10, False), (30, 5, False), (30, 20, False), (60, 10, False), (30, 10, True))


def figures() -> list[dict[str, float]]:
    """Milliseconds of each size: of the goal, with half and twice the drafts, with more medications, and the worst."""
    rows = []
    for active, drafts, trouble in _SIZES:
        milliseconds = whole_call_ms(build_call(active, drafts, trouble=trouble))
        rows.append(
            {
                "active": active,
                "drafts": drafts,
                "results": LABS,
                "call_ms": median(milliseconds),
                "call_p95_ms": quantiles(milliseconds, n=20)[-1],
            }
        )
    return rows


def table(rows: list[dict[str, float]]) -> Table:
    """The figures as a table."""
    sizes = Table(title="order-sign, processor ms of a call (the last row: nothing but drugs of the rules)")
    for heading in ("active", "drafts", "results", "call, p50", "call, p95"):
        sizes.add_column(heading, justify="right")
    for row in rows:
        sizes.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    return sizes


if __name__ == "__main__":
    Console(width=120).print(table(figures()))
