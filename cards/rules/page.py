"""A family's table as a page that a pharmacist can read: docs/rules/*.md are made from it."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import to_builtins

from cards.rules.engine import families
from cards.rules.predicates import Own
from cards.rules.rule import Band, Evidence, MissingData, Rule, Selected, SuggestionTemplate, Table, Trigger, read_table
from cards.rules.wording import condition, selected

_INSTEAD = {"silence": "Silent", "info": "Only info", "warning": "Only a warning"}


def family_page(table: Table, own: Own) -> str:
    """The page in Markdown; `own` are the family's own words of conditions."""
    lines = [
        f"# {table.title}",
        "",
        f"Made from `cards/rules/{table.family}.json` by `cards/rules/page.py`; do not edit it here.",
        f"Reviewed {table.reviewed}. Status: {table.status}.",
        f"Source: {table.source}.",
        "",
    ]
    for rule in sorted(table.rules, key=lambda one: -one.priority):
        lines += _rule(rule, own)
    return "\n".join(lines).rstrip() + "\n"


def rule_page(rule: Rule, table: Table) -> str:
    """One rule of a family in Markdown."""
    own = next(family.conditions for family in families() if family.name == table.family)
    head = [f"Family {table.family}. Reviewed {table.reviewed}. Status: {table.status}.", ""]
    return "\n".join([*head, *_rule(rule, own)]).rstrip()


def _rule(rule: Rule, own: Own) -> Iterator[str]:
    yield f"## {rule.title} (`{rule.id}`, priority {rule.priority})"
    yield ""
    yield f"Woken by {_trigger(rule.trigger)}."
    yield ""
    yield f"Checked: {rule.audit.verified} ({rule.audit.source}), {rule.audit.date}."
    if rule.audit.differs:
        yield f"Differs from its source: {rule.audit.differs}"
    yield ""
    yield from (f"- {_evidence(one)}" for one in rule.evidence)
    yield ""
    yield "| Band | Indicator | When | Says | Offers |"
    yield "|---|---|---|---|---|"
    yield from (_band(band, own) for band in rule.bands)
    yield from (_missing(entry, own) for entry in rule.missing_data)
    yield ""
    yield from (f"- {_INSTEAD[one.instead]}: {one.text}" for one in rule.silent_when)
    yield from (f"- Asks: {one.text}" for one in rule.questions)
    yield ""


def _trigger(trigger: Trigger) -> str:
    ways = [f"a draft of {_side(trigger.draft)}"] if trigger.draft else []
    if trigger.pair:
        first, second = map(_side, trigger.pair)
        ways.append(f"a draft of {first} with {second} taken or drafted, or the other way round")
    if trigger.same_ingredient:
        ways.append("beside each other order that holds the same ingredient")
    if trigger.same_class:
        ways = [f"{way}, beside another order of the same class" for way in ways]
    local = "a local form too" if trigger.local_forms else "never a local form"
    return f"{'; by '.join(ways)}; {local}"


def _side(side: Iterable[Selected]) -> str:
    return ", ".join(selected(to_builtins(one)) for one in side)


def _evidence(evidence: Evidence) -> str:
    name = f"[{evidence.document}]({evidence.url})" if evidence.url else evidence.document
    graded = f"{evidence.grade} ({evidence.grade_scheme})"
    return f"{name}, {evidence.organisation}, {evidence.year}: {evidence.section}. Grade: {graded}."


def _band(band: Band, own: Own) -> str:
    says = f"**{band.summary}** {band.detail}"
    cells = (f"`{band.id}`", band.indicator, condition(band.when, own), says, _offers(band.suggestions, own))
    return f"| {' | '.join(cells)} |"


def _missing(entry: MissingData, own: Own) -> str:
    when = f"{condition(entry.when, own)}, and {' or '.join(entry.bands)} cannot be decided"
    cells = (
        f"`missing` ({entry.id})",
        entry.indicator,
        when,
        f"**{entry.summary}** {entry.detail}",
        _offers(entry.suggestions, own),
    )
    return f"| {' | '.join(cells)} |"


def _offers(suggestions: Iterable[SuggestionTemplate], own: Own) -> str:
    return "; ".join(_offer(one, own) for one in suggestions) or "nothing"


def _offer(suggestion: SuggestionTemplate, own: Own) -> str:
    said = suggestion.label
    if suggestion.recommended is True:
        said += " (recommended)"
    elif suggestion.recommended:
        said += f" (recommended if {condition(suggestion.recommended, own)})"
    return f"{said}, if {condition(suggestion.only_if, own)}" if suggestion.only_if is not None else said


def write_pages(folder: Path) -> None:
    """Write the page of every family into the folder."""
    for family in families():
        (folder / f"{family.name}.md").write_text(
            family_page(read_table(family.name), family.conditions), encoding="utf-8"
        )


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
