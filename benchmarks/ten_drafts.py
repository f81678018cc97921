"""Ten drafts for a patient with 30 medications and 300 results: signed at once, and signed after ten selections."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median
from typing import Any

from rich.table import Column, Table

from benchmarks.in_process import service_in_process
from benchmarks.subject import discover
from benchmarks.visits import MARK, bodies_of, take_times
from cards.casebook.patients import bundle_of, draft_of
from cds_hooks.kit.simulator.chart import Chart, resources_of

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
_ORDERED = (
    "309112", "ondansetron 4 MG Oral Tablet", "314077", "198440", "furosemide 80 MG Oral Tablet", "861007",
    "617311", "308191", "197806", "heparin sodium 5000 UNT/ML Injectable Solution",
)  # fmt: skip
_RESULTS = {"creatinine": 1.3, "potassium": 4.4, "sodium": 139, "inr": 2.4, "magnesium": 2.0, "calcium": 9.4,
            "hemoglobin": 12.1, "platelets": 210, "alt": 24, "albumin": 3.9}  # fmt: skip
_DAILY = {"dose": "1 tablet", "times": 2}


def ten_drafts_times(rounds: int) -> Table:
    """Milliseconds of processor time, the decision committed: median and least of so many rounds."""
    chart, drafts = _chart(datetime.now(UTC))
    milliseconds: dict[str, list[float]] = {"first": [], "ten selections": [], "after the selects": []}
    with service_in_process() as service:
        entries = [entry for entry in discover(service.call_json) if "order-safety" in entry["id"]]
        (sign,) = bodies_of(entries, "order-sign", chart, drafts)
        counts = range(1, len(drafts) + 1)
        selections = [next(bodies_of(entries, "order-select", chart, drafts[:count])) for count in counts]
        for number in range(0, 2 * rounds, 2):
            for name, calls in zip(milliseconds, ([sign], selections, [sign]), strict=True):
                patient = b"--%07d" % (number + (name != "first"))
                bodies = [(path, body.replace(MARK, patient)) for path, body in calls]
                milliseconds[name].append(sum(take_times(service, bodies)))
    rows = Table("ten drafts", *(Column(name, justify="right") for name in ("median ms", "least ms")))
    for name, times in milliseconds.items():
        rows.add_row(name, f"{median(times):.2f}", f"{min(times):.2f}")
    return rows


def _chart(now: datetime) -> tuple[Chart, list[dict[str, Any]]]:
    results = list(_RESULTS.items())
    labs = [[*results[n % len(results)], n % 80] for n in range(300)]
    patient = {
        "age": 74,
        "conditions": ["afib", "hf", "hypertension", "dm2"],
        "allergies": ["penicillin", "sulfa"],
        "active": [{**_DAILY, "drug": drug, "days_ago": 20 + 7 * n} for n, drug in enumerate(_TAKEN)],
        "labs": [*labs, ["body_weight", 81, 20], ["body_height", 178, 20], ["qtc", 440, 20]],
    }
    drafts = [draft_of({**_DAILY, "drug": drug, "days": 10}, f"draft-{n}") for n, drug in enumerate(_ORDERED)]
    return Chart(resources_of(bundle_of(patient, now))), drafts
