"""Reads the rules file of a site; what is wrong with it is said in sentences (docs/rules/governance.md)."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta, Struct

from cards.compose.high_alert import NOT_COVERED
from cards.rules.engine.governance import Budget, Named, RuleVersion, SiteRules, Switch, all_rule_versions
from fhir.record.site_file import read_toml_as
from fhir.terminology.toml_file import TomlFault

_MOST_BYTES: Final = 256 * 1024


class RulesFileError(Exception):
    """The file cannot be used; the message is one sentence for each mistake."""

    what_cannot_be_used: ClassVar[str] = "The rules file"

    def __init__(self, path: Path, *problems: str) -> None:
        super().__init__(f"{path}: " + "; ".join(problems))
        self.problems = problems


class _QuietDays(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    info: Annotated[int, Meta(ge=0, le=365)] | None = None
    warning: Annotated[int, Meta(ge=0, le=90)] | None = None
    critical: Annotated[int, Meta(ge=0, le=7)] | None = None


class _Role(Struct, forbid_unknown_fields=True):
    name: Literal["nurse", "pharmacist", "trainee", "allied-health"]
    orders: frozenset[Literal["medications", "vaccines", "services"]]
    note: Named


class _RulesFile(Struct, forbid_unknown_fields=True):
    version: Literal[1]
    quiet_days: _QuietDays = _QuietDays()
    switch: tuple[Switch, ...] = ()
    budget: tuple[Budget, ...] = ()
    role: tuple[_Role, ...] = ()


def read_rules_file(path: Path) -> SiteRules:
    """Return what the file says; RulesFileError with the mistakes that were found."""
    try:
        file = read_toml_as(path, _RulesFile, _MOST_BYTES)
    except TomlFault as error:
        raise RulesFileError(path, f"the file {error}") from error
    problems = [problem for switch in file.switch for problem in _switch_problems(switch)]
    problems += [problem for budget in file.budget for problem in _budget_problems(budget)]
    if problems:
        raise RulesFileError(path, *problems)
    switches: defaultdict[str, tuple[Switch, ...]] = defaultdict(tuple)
    for switch in file.switch:
        for rule in _switched(switch):
            switches[rule] += (switch,)
    return SiteRules(
        switches=switches,
        quiet_days=msgspec.to_builtins(file.quiet_days),
        budgets=file.budget,
        orders={role.name: role.orders for role in file.role},
    )


def _switch_problems(switch: Switch) -> Iterator[str]:
    if bool(switch.rule) == bool(switch.family):
        yield "a switch names either a rule or a family"
    elif not _switched(switch):
        yield no_rule(switch.rule) if switch.rule else _no_family(switch.family)
    if [switch.off, switch.speak_from is not None, bool(switch.bands_off)].count(True) != 1:
        yield f"the switch of {switch.rule or switch.family} has one of off = true, speak_from and bands_off"
    if switch.family and switch.bands_off:
        yield f"the family {switch.family} has no bands; name a rule"
    if (version := all_rule_versions().get(switch.rule)) is not None:
        yield from _band_problems(switch, version)


def _band_problems(switch: Switch, version: RuleVersion) -> Iterator[str]:
    bands = {band.id: band.indicator for band in version.rule.bands} | {"missing": "info"}
    for band in sorted(switch.bands_off):
        if band not in bands:
            yield f"{switch.rule} has no band {band}; it has {', '.join(bands)}"
        elif bands[band] == "critical":
            yield f"{switch.rule}: the band {band} is critical and cannot be switched off alone, only the whole rule"


def _budget_problems(budget: Budget) -> Iterator[str]:
    if budget.cards_per_day is None and budget.cards_per_call is None:
        yield f"the budget of the {budget.of} has cards_per_day or cards_per_call"
    if budget.of == "unit" and not budget.names:
        yield "a budget of a unit says in names which unit, by its ids and names in the chart"
    if budget.of == "user" and budget.names:
        yield "a budget of users is for each user: leave out names, which would put users into this file"


def _switched(switch: Switch) -> list[str]:
    """Return the rules that a switch is about: one, or every rule of a family; none without such a rule or family."""
    if switch.family:
        return [rule for rule, version in all_rule_versions().items() if version.table.family == switch.family]
    return [switch.rule] if switch.rule in all_rule_versions() or switch.rule == NOT_COVERED else []


def _no_family(name: str) -> str:
    families = sorted({version.table.family for version in all_rule_versions().values()})
    return f"there is no family of rules {name}; there are {', '.join(families)}"


def no_rule(name: str) -> str:
    """Return the sentence that there is no rule of this name."""
    return f"there is no rule {name}; the page /rules lists those there are"
