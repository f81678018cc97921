"""A large order-sign call: 30 active medications, 10 drafts and 300 laboratory results."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from cards.casebook.patients import bundle_of, draft_of

Json = dict[str, Any]

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
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


def chart_and_drafts(as_of: datetime, *, trouble: bool = False) -> tuple[Json, list[Json]]:
    """The Bundle of the chart and the orders; `trouble`: every drug is one of the rules."""
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
            for n in range(30)
        ],
        "labs": [[_ANALYTES[n % len(_ANALYTES)], _USUAL[_ANALYTES[n % len(_ANALYTES)]], n % 80] for n in range(300)]
        + [["body_weight", 81, 20], ["body_height", 178, 20], ["qtc", 440, 20]],
    }
    return bundle_of(patient, as_of), [
        draft_of({"drug": drafted[n % len(drafted)], "dose": "1 tablet", "times": 2, "days": 10}, f"draft-{n}")
        for n in range(10)
    ]


def build_call(*, trouble: bool = False) -> Call:
    """The call in bytes."""
    bundle, drawn = chart_and_drafts(AS_OF, trouble=trouble)
    entries = [{"resource": draft} for draft in drawn]
    return Call(orjson.dumps(bundle), orjson.dumps({"resourceType": "Bundle", "entry": entries}))
