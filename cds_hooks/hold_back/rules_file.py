"""Reads a site's rules file, or says in sentences what is wrong with it, and lists of reviewed rules."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cards.compose.high_alert import NOT_COVERED
from cards.rules.engine.governance import (
    NEEDS_NOTE,
    Approval,
    Budget,
    RuleVersion,
    SiteRules,
    Switch,
    all_rule_versions,
)
from fhir.terminology.toml_file import TomlFault, read_toml

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


class RulesFileError(Exception):
    """The file cannot be used; the message is one sentence for each mistake."""

    what_cannot_be_used: ClassVar[str] = "The rules file"

    def __init__(self, path: Path, *problems: str) -> None:
        super().__init__(f"{path}: " + "; ".join(problems))
        self.problems = problems


def read_rules_file(path: Path, versions: Mapping[str, RuleVersion] | None = None) -> SiteRules:
    """Return what the file says; RulesFileError with every mistake that was found."""
    rule_versions = all_rule_versions() if versions is None else versions
    document = _document(path)
    problems = [_error_sentence(error) for error in _validator().iter_errors(document)]
    problems = problems or list(_problems(document, rule_versions))
    if problems:
        raise RulesFileError(path, *problems)
    switches: defaultdict[str, list[Switch]] = defaultdict(list)
    for row in document.get("switch", ()):
        for rule in _switched(row, rule_versions):
            switches[rule].append(_switch(rule, row))
    return SiteRules(
        {approval["rule"]: _approval(approval) for approval in document.get("approval", ())},
        {rule: tuple(switch) for rule, switch in switches.items()},
        document.get("quiet_days", {}),
        tuple(_budget(budget) for budget in document.get("budget", ())),
        {row["name"]: frozenset(row["orders"]) for row in document.get("role", ())},
    )


class ReviewedRule(NamedTuple):
    """A version of a rule that somebody has read, and what was checked."""

    rule: str
    digest: str
    note: str = ""


def refuse_unfit(reviewed: Iterable[ReviewedRule]) -> None:
    """Nothing where all of them can be approved.

    Raises:
        RulesFileError: A rule is not there or in another version, or needs a note.
    """
    if faults := [fault for reviewed_rule in reviewed if (fault := _fault(reviewed_rule))]:
        raise RulesFileError(Path("approval"), *faults)


def read_review(text: str) -> list[ReviewedRule]:
    """Return the rules of a list that `cds-hooks rules show --to-review` printed; RulesFileError where it is none."""
    reviewed, faults = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words, _, note = line.partition("|")
        match words.split():
            case [rule, digest]:
                reviewed.append(ReviewedRule(rule, digest, note.strip()))
            case _:
                faults.append(f"line {number} is not: RULE VERSION, or RULE VERSION | note")
    if faults or not reviewed:
        raise RulesFileError(Path("list"), *(faults or ["the list names no rule"]))
    return reviewed


def _fault(reviewed: ReviewedRule) -> str | None:
    rule, digest, note = reviewed
    version = all_rule_versions().get(rule)
    if version is None:
        return _no_rule(rule)
    if digest != version.digest:
        return f"{rule} is in version {version.digest}, not {digest}: read it again, then approve it"
    if version.rule.audit.verified == NEEDS_NOTE and not note.strip():
        return f"{rule} still needs a label check: say in the note how and by whom the label was checked"
    return None


def _document(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except TomlFault as error:
        raise RulesFileError(path, str(error)) from error


def _validator() -> "Draft202012Validator":
    # imported here: a server without a rules file starts without it
    from jsonschema import Draft202012Validator

    schema = json.loads((files("cds_hooks.hold_back") / "rules.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _error_sentence(error: Any) -> str:
    where = "/".join(str(part) for part in error.absolute_path)
    return f"{where}: {error.message}" if where else str(error.message)


def _problems(document: Mapping[str, Any], rule_versions: Mapping[str, RuleVersion]) -> Iterator[str]:
    for budget in document.get("approval", ()):
        if budget["rule"] not in rule_versions:
            yield _no_rule(budget["rule"])
    for budget in document.get("switch", ()):
        if not _switched(budget, rule_versions):
            yield _no_rule(budget["rule"]) if "rule" in budget else _no_family(budget["family"], rule_versions)
    for budget in document.get("approval", ()):
        try:
            date.fromisoformat(budget["on"])
        except ValueError:
            yield f"approval of {budget['rule']}: {budget['on']} is not a date"
    for budget in document.get("budget", ()):
        if budget["of"] == "unit" and "names" not in budget:
            yield "a budget of a unit says in names which unit, by its ids and names in the chart"
        if budget["of"] == "user" and "names" in budget:
            yield "a budget of users is for each user: leave out names, which would put users into this file"
    for budget in document.get("switch", ()):
        if budget.get("rule") in rule_versions:
            yield from _band_problems(budget, rule_versions[budget["rule"]])


def _band_problems(switch: Mapping[str, Any], version: RuleVersion) -> Iterator[str]:
    bands = {band.id: band.indicator for band in version.rule.bands}
    for band in switch.get("bands_off", ()):
        if band not in bands and band != "missing":
            yield f"{switch['rule']} has no band {band}; it has {', '.join(bands)}"
        elif bands.get(band) == "critical":
            yield f"{switch['rule']}: the band {band} is critical and cannot be switched off alone, only the whole rule"


def _switched(switch: Mapping[str, Any], rule_versions: Mapping[str, RuleVersion]) -> list[str]:
    """Return the rules that a switch is about: one, or every rule of a family; none without such a rule or family."""
    if "family" in switch:
        return [rule for rule, version in rule_versions.items() if version.table.family == switch["family"]]
    return [switch["rule"]] if switch["rule"] in rule_versions or switch["rule"] == NOT_COVERED else []


def _no_family(name: str, rule_versions: Mapping[str, RuleVersion]) -> str:
    families = sorted({version.table.family for version in rule_versions.values()})
    return f"there is no family of rules {name}; there are {', '.join(families)}"


def _no_rule(name: str) -> str:
    return f"there is no rule {name}; cds-hooks rules show lists those there are"


def _approval(row: Mapping[str, Any]) -> Approval:
    on = date.fromisoformat(row["on"])
    return Approval(row["rule"], row["digest"], row["by"], row["role"], on, row.get("note", ""))


def _budget(row: Mapping[str, Any]) -> Budget:
    names = frozenset(row.get("names", ()))
    return Budget(row["of"], row["note"], row.get("cards_per_day"), row.get("cards_per_call"), names)


def _switch(rule: str, row: Mapping[str, Any]) -> Switch:
    return Switch(
        rule,
        row["note"],
        row.get("off", False),
        row.get("speak_from"),
        frozenset(row.get("bands_off", ())),
        frozenset(row.get("clients", ())),
        frozenset(row.get("units", ())),
    )
