"""One medication rule laid out for reading: what it says when, and what it rests on."""

from collections.abc import Iterable

from msgspec import Struct

from cards.rules.engine.family import family_named
from cards.rules.engine.governance import RuleVersion
from cards.rules.language.rule import Evidence, SuggestionTemplate


class BandRow(Struct, frozen=True):
    """One band: when, how severe, what it says and offers, in words."""

    id: str
    indicator: str
    when: str
    says: str
    offers: tuple[str, ...]


class RulePage(Struct, frozen=True):
    """Everything the page of a rule shows."""

    id: str
    title: str
    family: str
    version: str
    checked: str
    reviewed: str
    status: str
    differs: str | None
    bands: tuple[BandRow, ...]
    silences: tuple[str, ...]
    evidence: tuple[Evidence, ...]


def describe_rule(version: RuleVersion) -> RulePage:
    """Return the facts of a rule."""
    rule, table = version.rule, version.table
    vocabulary = family_named(table.family).vocabulary
    bands = tuple(
        BandRow(band.id, band.indicator, vocabulary.say(band.when), band.summary, _offers(band.suggestions))
        for band in rule.bands
    )
    return RulePage(
        id=rule.id,
        title=rule.title,
        family=table.title,
        version=version.digest,
        checked=f"{rule.audit.verified}: {rule.audit.source}, {rule.audit.date}",
        reviewed=table.reviewed,
        status=table.status,
        differs=rule.audit.differs,
        bands=bands,
        silences=tuple(silence.text for silence in rule.silent_when),
        evidence=rule.evidence,
    )


def _offers(suggestions: Iterable[SuggestionTemplate]) -> tuple[str, ...]:
    return tuple(suggestion.label for suggestion in suggestions)
