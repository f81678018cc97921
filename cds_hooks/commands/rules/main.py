"""`cds-hooks rules`: lists and shows the medication rules, and checks them.

`cds-hooks rules new`: a folder for the rules that a hospital writes itself, with a first rule and its cases.
"""

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import to_builtins
from rich.console import Console

from cards.rules.engine.governance import NEEDS_NOTE, RuleVersion, SiteRules, all_rule_versions
from cards.rules.engine.page import rule_page
from cds_hooks.commands.options import AsJson, failure, print_json, said_in_a_sentence
from cds_hooks.commands.record import site_rules
from cds_hooks.commands.rules.check import check, simulate_folder
from cds_hooks.hold_back.governance import RulesFileError
from cds_hooks.hold_back.standing import rule_standing
from cds_hooks.settings import settings
from cds_hooks.storage.decision import RecordUnavailable

app = typer.Typer(no_args_is_help=True, help="Read, check and try out the medication rules.")
app.command("check")(check)
app.command("simulate")(simulate_folder)

RulesFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Rules file of the site; else CDS_RULES_FILE.")
]


@app.command()
def show(
    rule: Annotated[str | None, typer.Argument(metavar="RULE", help="Its id; without it all rules are listed.")] = None,
    family: Annotated[str | None, typer.Option(help="Of this family only.")] = None,
    to_review: Annotated[
        bool, typer.Option("--to-review", help="Print those not approved here, as a list with their versions.")
    ] = False,
    file: RulesFile = None,
    as_json: AsJson = False,
) -> None:
    """List the rules (sources, review, whether they show cards here), or show one as a pharmacist reads it.

    One rule is shown with its bands, conditions, texts, suggestions, sources and approval.

    The list of --to-review has one line for each rule: id, version, and behind `|` the note, which a rule that still
    needs a label check must have. Take out what you do not approve.

    Example: cds-hooks rules show --family renal
    """
    with _said_in_a_sentence():
        site = site_rules(file)
    if rule is not None:
        _show(_version(rule), site, as_json)
    elif to_review:
        _print_review(site, family)
    else:
        _list(site, family, as_json)


def _list(site: SiteRules, family: str | None, as_json: bool) -> None:
    versions = [version for version in all_rule_versions().values() if family in (None, version.table.family)]
    if not versions:
        families = sorted({version.table.family for version in all_rule_versions().values()})
        raise failure(f"There is no family {family}; there are {', '.join(families)}.")
    if as_json:
        print_json([_summary(version, site) for version in versions])
        return
    console = Console(highlight=False, soft_wrap=True)
    for version in versions:
        _draw(console, _summary(version, site))
    console.print("Bands from top to bottom: c critical, w warning, i info, s silent on purpose.")


def _print_review(site: SiteRules, family: str | None) -> None:
    of_family = {
        rule: version for rule, version in all_rule_versions().items() if family in (None, version.table.family)
    }
    for version in site.not_approved(of_family):
        needs_note = " |" if version.rule.audit.verified == NEEDS_NOTE else ""
        typer.echo(f"# {version.rule.title}\n{version.rule.id} {version.digest}{needs_note}")


def _draw(console: Console, summary: dict[str, Any]) -> None:
    bands = " ".join(band["indicator"][0] for band in summary["bands"])
    console.print(f"[bold]{summary['id']}[/bold] ({bands}), version {summary['version']}: {summary['title']}")
    console.print(
        f"  Checked: {summary['verified']} ({summary['verified_on']}). "
        f"Family compared with its sources on {summary['reviewed']}."
    )
    console.print(f"  Here: {summary['here']}.")
    console.print(f"  Sources: {'; '.join(source['label'] for source in summary['evidence'])}.")


def _show(version: RuleVersion, site: SiteRules, as_json: bool) -> None:
    if as_json:
        print_json(_summary(version, site) | {"declared": to_builtins(version.rule)})
        return
    typer.echo(rule_page(version.rule, version.table))
    typer.echo(f"Version {version.digest}. Here: {_summary(version, site)['here']}.")


def _summary(version: RuleVersion, site: SiteRules) -> dict[str, Any]:
    rule = version.rule
    return {
        "id": rule.id,
        "family": version.table.family,
        "title": rule.title,
        "version": version.digest,
        "verified": rule.audit.verified,
        "verified_by": rule.audit.source,
        "verified_on": rule.audit.date,
        "reviewed": version.table.reviewed,
        "status": version.table.status,
        "here": rule_standing(version, site, needs_approval=settings().trust_file is not None).words,
        "bands": [{"id": band.id, "indicator": band.indicator} for band in rule.bands],
        "evidence": [
            {
                "label": evidence.label,
                "document": evidence.document,
                "organisation": evidence.organisation,
                "year": evidence.year,
            }
            for evidence in rule.evidence
        ],
    }


def _version(rule: str) -> RuleVersion:
    rule_version = all_rule_versions().get(rule)
    if rule_version is None:
        raise failure(f"There is no rule {rule}; cds-hooks rules show lists those there are.")
    return rule_version


_said_in_a_sentence = partial(said_in_a_sentence, RulesFileError, RecordUnavailable)


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


@app.command()
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
