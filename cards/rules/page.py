"""A family's table as a page that a pharmacist can read: docs/rules/*.md are made from it."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cards.rules.engine import families
from cards.rules.figures import show
from cards.rules.rule import Band, Evidence, MissingData, Rule, SuggestionTemplate, Table, Trigger, read_table

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_NUMBERS = {
    "age_years": "age",
    "weight_kg": "weight in kg",
    "daily_dose_mg": "mg a day",
    "times_per_day": "doses a day",
    "duration_days": "days",
    "gestation_weeks": "week of pregnancy",
}


def family_page(table: Table) -> str:
    """The page in Markdown."""
    lines = [
        f"# {table.title}",
        "",
        f"Made from `cards/rules/{table.family}.json` by `cards/rules/page.py`; do not edit it here.",
        f"Reviewed {table.reviewed}. Status: {table.status}.",
        f"Source: {table.source}.",
        "",
    ]
    for rule in sorted(table.rules, key=lambda one: -one.priority):
        lines += _rule(rule)
    return "\n".join(lines).rstrip() + "\n"


def _rule(rule: Rule) -> Iterator[str]:
    yield f"## {rule.title} (`{rule.id}`, priority {rule.priority})"
    yield ""
    yield f"Woken by a draft of {_trigger(rule.trigger)}; never by a local form."
    yield ""
    yield f"Checked: {rule.audit.verified} ({rule.audit.source}), {rule.audit.date}."
    if rule.audit.differs:
        yield f"Differs from its source: {rule.audit.differs}"
    yield ""
    yield from (f"- {_evidence(one)}" for one in rule.evidence)
    yield ""
    yield "| Band | Indicator | When | Says | Offers |"
    yield "|---|---|---|---|---|"
    yield from (_band(band) for band in rule.bands)
    yield from (_missing(entry) for entry in rule.missing_data)
    yield ""
    yield from (f"- Silent: {one.text}" for one in rule.silent_when)
    yield from (f"- Asks: {one.text}" for one in rule.questions)
    yield ""


def _trigger(trigger: Trigger) -> str:
    names = [drug.name for drug in trigger.ingredients] + [f"class {name}" for name in trigger.classes]
    return ", ".join(names)


def _evidence(evidence: Evidence) -> str:
    name = f"[{evidence.document}]({evidence.url})" if evidence.url else evidence.document
    graded = f"{evidence.grade} ({evidence.grade_scheme})"
    return f"{name}, {evidence.organisation}, {evidence.year}: {evidence.section}. Grade: {graded}."


def _band(band: Band) -> str:
    says = f"**{band.summary}** {band.detail}"
    cells = (f"`{band.id}`", band.indicator, condition(band.when), says, _offers(band.suggestions))
    return f"| {' | '.join(cells)} |"


def _missing(entry: MissingData) -> str:
    when = f"{condition(entry.when)}, and {' or '.join(entry.bands)} cannot be decided"
    cells = (f"`missing` ({entry.id})", "info", when, f"**{entry.summary}** {entry.detail}", _offers(entry.suggestions))
    return f"| {' | '.join(cells)} |"


def _offers(suggestions: Iterable[SuggestionTemplate]) -> str:
    return "; ".join(map(_offer, suggestions)) or "nothing"


def _offer(suggestion: SuggestionTemplate) -> str:
    said = suggestion.label
    if suggestion.recommended is True:
        said += " (recommended)"
    elif suggestion.recommended:
        said += f" (recommended if {condition(suggestion.recommended)})"
    return f"{said}, if {condition(suggestion.only_if)}" if suggestion.only_if is not None else said


def condition(spec: Mapping[str, Any]) -> str:
    """A condition of the table in words.

    >>> condition({"all": [{"derived": "egfr_best", "ge": 30, "lt": 45}, {"new_start": True}]})
    'eGFR ≥ 30 and < 45, and a new start'
    """
    for word, wording in _WORDINGS.items():
        if word in spec:
            return wording(spec)
    raise ValueError(f"{dict(spec)!r} has no wording")


def _compared(name: str, limits: Mapping[str, Any]) -> str:
    return f"{name} {' and '.join(f'{_SIGNS[word]} {show(limits[word])}' for word in _SIGNS if word in limits)}"


def _inner(specs: Iterable[Mapping[str, Any]], joint: str) -> str:
    said = [condition(spec) for spec in specs]
    return joint.join(f"({one})" if " or " in one and joint != " or " else one for one in said)


def _selected(selector: Mapping[str, Any]) -> str:
    names = [drug["name"] for drug in selector.get("ingredients", ())]
    names += [f"class {name}" for name in selector.get("classes", ())]
    return f"{' or '.join(names)}{' (systemic)' if selector.get('systemic') else ''}"


def _estimate(spec: Mapping[str, Any], word: str) -> str:
    return "eGFR" if spec[word] == "egfr_best" else f"CrCl ({spec['weight']} weight)"


def _allergy(spec: Mapping[str, Any]) -> str:
    allergy = spec["allergy"]
    return f"allergy to {allergy['ingredient']['name'] if 'ingredient' in allergy else allergy['class']}"


def _counted(spec: Mapping[str, Any], word: str, said: str) -> str:
    return f"{said} {spec[word]['n']} of ({_inner(spec[word]['of'], '; ')})"


def _number(word: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda spec: _compared(_NUMBERS[word], spec[word])


_WORDINGS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "all": lambda spec: _inner(spec["all"], ", and "),
    "any": lambda spec: _inner(spec["any"], " or "),
    "not": lambda spec: f"not ({condition(spec['not'])})",
    "always": lambda _spec: "always",
    "never": lambda _spec: "never",
    "count_at_least": lambda spec: _counted(spec, "count_at_least", "at least"),
    "count_less_than": lambda spec: _counted(spec, "count_less_than", "fewer than"),
    "draft": lambda spec: f"the draft is {_selected(spec['draft'])}",
    "active": lambda spec: f"{_selected(spec['active'])} is taken",
    "new_start": lambda spec: "a new start" if spec["new_start"] else "no new start",
    "condition_any": lambda spec: " or ".join(spec["condition_any"]),
    "allergy": _allergy,
    "sex": lambda spec: str(spec["sex"]),
    "single_dose": lambda _spec: "a single dose",
    "lab": lambda spec: _compared(spec["lab"], spec),
    "lab_missing": lambda spec: f"no {spec['lab_missing']} in {spec.get('max_age_days', 'any number of')} days",
    "derived": lambda spec: _compared(_estimate(spec, "derived"), spec),
    "derived_missing": lambda spec: f"no {_estimate(spec, 'derived_missing')}",
    "kidney_value_wanted": lambda _spec: "a new value would help",
    "unknown": lambda spec: f"{_NUMBERS[spec['unknown']]} not known",
    **{word: _number(word) for word in _NUMBERS},
}


def write_pages(folder: Path) -> None:
    """Write the page of every family into the folder."""
    for family in families():
        (folder / f"{family.name}.md").write_text(family_page(read_table(family.name)), encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
