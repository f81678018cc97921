"""Reads the rules file of a site; what is wrong with it is said in sentences (docs/rules/governance.md)."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cards.compose.high_alert import NOT_COVERED
from cards.rules.engine.governance import Budget, RuleVersion, SiteRules, Switch, all_rule_versions
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
        switches={rule: tuple(switch) for rule, switch in switches.items()},
        quiet_days=document.get("quiet_days", {}),
        budgets=tuple(_budget(budget) for budget in document.get("budget", ())),
        orders={row["name"]: frozenset(row["orders"]) for row in document.get("role", ())},
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except TomlFault as error:
        raise RulesFileError(path, str(error)) from error


def _validator() -> "Draft202012Validator":
    # imported here: a server without a rules file starts without it
    from jsonschema import Draft202012Validator

    schema = json.loads((files("cds_hooks.call.hold_back") / "rules.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _error_sentence(error: Any) -> str:
    where = "/".join(str(part) for part in error.absolute_path)
    return f"{where}: {error.message}" if where else str(error.message)


def _problems(document: Mapping[str, Any], rule_versions: Mapping[str, RuleVersion]) -> Iterator[str]:
    for switch in document.get("switch", ()):
        if not _switched(switch, rule_versions):
            yield no_rule(switch["rule"]) if "rule" in switch else _no_family(switch["family"], rule_versions)
    for budget in document.get("budget", ()):
        if budget["of"] == "unit" and "names" not in budget:
            yield "a budget of a unit says in names which unit, by its ids and names in the chart"
        if budget["of"] == "user" and "names" in budget:
            yield "a budget of users is for each user: leave out names, which would put users into this file"
    for switch in document.get("switch", ()):
        if switch.get("rule") in rule_versions:
            yield from _band_problems(switch, rule_versions[switch["rule"]])


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


def no_rule(name: str) -> str:
    """Return the sentence that there is no rule of this name."""
    return f"there is no rule {name}; the page /rules lists those there are"


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
