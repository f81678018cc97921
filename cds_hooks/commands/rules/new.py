"""`cds-hooks rules new`: a folder for the rules that a hospital writes itself, with a first rule and its cases."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.options import failure

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
_TABLES = {
    "limits.csv": "drug,form,age_from,age_to,max_single_mg,max_daily_mg,max_single_mg_kg,max_daily_mg_kg,note\n",
    "absent.csv": "drug,note\n",
    "conditions.csv": "group,name,history,implies,system,code,phrase\n",
}


def new(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The new folder; CDS_SITE_RULES names it then.")],
    hospital: Annotated[str, typer.Option(help="Whose rules they are: cards show it.")],
) -> None:
    """Make a folder for a hospital's own rules: its head, an example rule with cases, and empty tables.

    What is there already is not changed.

    Example: cds-hooks rules new our-rules --hospital "St. Mary's"
    """
    if folder.exists() and any(folder.iterdir()):
        raise failure(f"{folder} is not empty; nothing was changed.")
    today = datetime.now(UTC).date().isoformat()
    (folder / "cases").mkdir(parents=True, exist_ok=True)
    evidence = [entry | {"organisation": hospital} for entry in _RULE["evidence"]]  # type: ignore[attr-defined]
    documents = {
        "family.json": _HEAD | {"hospital": hospital, "title": f"Rules of {hospital}", "reviewed": today},
        "site-example.json": _RULE | {"evidence": evidence},
        "cases/site-example.json": _CASES,
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for name, header in _TABLES.items():
        (folder / name).write_text(header, "utf-8")
    typer.echo(f"{folder}: family.json, site-example.json with its cases, limits.csv, absent.csv and conditions.csv.")
    typer.echo(f"Set CDS_SITE_RULES={folder}, then: cds-hooks rules check; cds-hooks rules check {folder}/cases")
