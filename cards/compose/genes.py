"""One card about drugs that a patient takes already and genetic results: at most three lines."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from cards.card import OVERRIDE_REASONS, SEVERITY, TOPICS, Card, Link, Source
from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference
from cards.rules.engine.finding import Finding
from cards.text import escape, plain

GENES_AND_MEDICATIONS: Final = "genes-and-medications"
"""The output of such a card, by which it is remembered."""
_MOST_LINES: Final = 3
_NAMED: Final = 2


class TakenDrug(Struct, frozen=True):
    """A finding about a drug that is taken: its name and the finding."""

    name: str
    finding: Finding


def genes_card(found: Sequence[TakenDrug], uuid: str, explain_url: str, *, is_new: bool = True) -> Card:
    """The card of the findings, the worst first; of more than three drugs the others are named in the last line.

    `is_new`: a result of the last weeks is among them.
    """
    ordered = sorted(found, key=_rank)
    worst = ordered[0].finding
    evidence = worst.evidence[0]
    return Card(
        uuid=uuid,
        summary=_summary(ordered, is_new=is_new),
        detail="\n".join(_lines(ordered)),
        indicator=worst.indicator,
        source=Source(label=evidence.label, url=evidence.url, topic=TOPICS["genes"]),
        override_reasons=OVERRIDE_REASONS,
        links=(Link(label="Why this card", url=explain_url, type="absolute"),),
        extension={EXTENSION_KEY: _extension(ordered)},
    )


def _rank(one: TakenDrug) -> tuple[int, int, str]:
    return -SEVERITY[one.finding.indicator], -one.finding.priority, one.name


def _summary(ordered: Sequence[TakenDrug], *, is_new: bool) -> str:
    if len(ordered) == 1:
        return plain(f"{'New genetic' if is_new else 'Genetic'} result: {ordered[0].finding.summary}", 139)
    names = ", ".join(one.name for one in ordered[:_NAMED])
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    subject = "A new genetic result matters" if is_new else "Genetic results matter"
    return plain(f"{subject} to {len(ordered)} drugs that are taken: {names}{more}.", 139)


def _lines(ordered: Sequence[TakenDrug]) -> Iterable[str]:
    whole = ordered if len(ordered) <= _MOST_LINES else ordered[: _MOST_LINES - 1]
    yield from (f"- **{escape(one.name, 60)}**: {_facts(one.finding)}{one.finding.detail}" for one in whole)
    rest = ordered[len(whole) :]
    if rest:
        yield f"- Also: {'; '.join(escape(one.finding.summary, 140) for one in rest)}"


def _facts(finding: Finding) -> str:
    told = [one for one in finding.facts if one.name == "gene"]
    said = "; ".join(f"{escape(one.text, 120)} ({(one.effective or 'undated')[:10]})" for one in told)
    return f"{said}. " if said else ""


def _extension(ordered: Sequence[TakenDrug]) -> CardExtension:
    facts: dict[Fact, None] = dict.fromkeys(fact for one in ordered for fact in one.finding.facts)
    references = tuple(FindingReference(one.finding.rule, one.finding.band) for one in ordered)
    return CardExtension(findings=references, facts=tuple(facts), output=GENES_AND_MEDICATIONS)
