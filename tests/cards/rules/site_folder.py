"""A folder of a hospital's own rules: its head and one rule with its cases."""

import json
from pathlib import Path

_HEAD = {
    "family": "site",
    "hospital": "",
    "title": "Rules of the hospital",
    "reviewed": "",
    "status": "written by the hospital; shown after approval",
    "source": "each rule names its document",
    "replaces": [],
    "override_reasons": [{"code": "benefit", "display": "Benefit outweighs risk for this patient"}],
    "shared": {"suggestions": {"cancel": {"label": "Cancel this order", "cancel": True}}},
}
_RULE = {
    "id": "site-example",
    "title": "Example: nitrofurantoin at 90 and over",
    "priority": 50,
    "trigger": {"draft": [{"ingredients": [{"rxcui": "7454", "name": "nitrofurantoin"}]}]},
    "evidence": [
        {
            "document": "Our antibiotic guideline",
            "organisation": "",
            "year": "2026",
            "section": "urinary infections",
            "label": "Our antibiotic guideline, urinary infections",
            "grade": "local",
            "grade_scheme": "local",
            "basis": "guideline",
        }
    ],
    "audit": {"verified": "source read", "source": "our antibiotic guideline", "date": "2026-11-22"},
    "bands": [
        {
            "id": "old",
            "when": {"age_years": {"ge": 90}},
            "indicator": "info",
            "summary": "Nitrofurantoin at {age}: our guideline prefers another drug.",
            "detail": "Replace this example by your own rule.",
            "suggestions": [{"use": "cancel"}],
        }
    ],
    "silent_when": [{"code": "younger", "text": "under 90 years."}],
    "missing_data": [],
}
_DRAFT = {"drug": "nitrofurantoin 100 MG Oral Capsule", "dose": "1 capsule", "times": 2}
_CASES = [
    {
        "id": "at 90",
        "about": "old",
        "kind": "fires",
        "patient": {"age": 90},
        "draft": _DRAFT,
        "band": "old",
        "indicator": "info",
        "says": ["Nitrofurantoin at 90"],
        "offers": ["Cancel this order"],
    },
    {
        "id": "at 89",
        "about": "old",
        "kind": "silent",
        "patient": {"age": 89},
        "draft": _DRAFT,
        "silent": "within-limits",
        "quiet": "younger",
    },
    {
        "id": "no birth date",
        "about": "old",
        "kind": "missing",
        "patient": {"age": None},
        "draft": _DRAFT,
        "silent": "age-missing",
    },
]


def write_site_rules(folder: Path, hospital: str) -> None:
    """Write the folder of a hospital with the example rule and its cases."""
    (folder / "cases").mkdir(parents=True, exist_ok=True)
    evidence = [entry | {"organisation": hospital} for entry in _RULE["evidence"]]  # type: ignore[attr-defined]
    documents = {
        "family.json": _HEAD | {"hospital": hospital, "title": f"Rules of {hospital}", "reviewed": "2026-11-22"},
        "site-example.json": _RULE | {"evidence": evidence},
        "cases/site-example.json": _CASES,
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
