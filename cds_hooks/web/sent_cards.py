"""Cards as they were sent, laid out for reading: what was said, which facts and documents it rests on."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from markupsafe import Markup

from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference
from cards.rules.language.rule import Evidence
from cds_hooks.web.markdown import render_markdown
from cds_hooks.web.numbers import date_of, format_quantity
from cds_hooks.web.recorded_decision import Card, Link, Source, Suggestion

EvidenceOf = Callable[[str], tuple[Evidence, ...]]
"""The documents that a rule of this id rests on; none for a rule that is not here any more."""


@dataclass(frozen=True, slots=True)
class FactRow:
    """One fact in the table of a card: what a clinician reads, the day it is from, where it stands in the record."""

    words: str
    date: str
    source: str | None


@dataclass(frozen=True, slots=True)
class SentCard:
    """One card; `by_model` where it is a model's and the rest of the page explains the estimate behind it."""

    indicator: str
    summary: str
    detail: Markup
    source: Source
    suggestions: tuple[Suggestion, ...]
    reasons: tuple[str, ...]
    links: tuple[Link, ...]
    findings: tuple[FindingReference, ...]
    facts: tuple[FactRow, ...]
    evidence: tuple[Evidence, ...]
    by_model: bool


def sent_card(card: Card, evidence_of: EvidenceOf) -> SentCard:
    """The card for reading; only http(s) addresses stay links. msgspec.ValidationError for an extension not ours."""
    ours = msgspec.convert(card.extension.get(EXTENSION_KEY, {}), CardExtension)
    documents = (document for finding in ours.findings for document in evidence_of(finding.rule))
    return SentCard(
        indicator=card.indicator if card.indicator in ("info", "warning", "critical") else "info",
        summary=card.summary,
        detail=render_markdown(card.detail),
        source=card.source if is_web_address(card.source.url) else Source(card.source.label),
        suggestions=tuple(card.suggestions),
        reasons=tuple(reason.display for reason in card.override_reasons if reason.display),
        links=tuple(link for link in card.links if is_web_address(link.url) and link.type == "absolute"),
        findings=ours.findings,
        facts=tuple(_fact_row(fact) for fact in ours.facts),
        evidence=tuple(dict.fromkeys(documents)),
        by_model=ours.model is not None,
    )


def _fact_row(fact: Fact) -> FactRow:
    """A fact that another one says already has only its name and value."""
    quantity = format_quantity(fact.value, fact.unit or "") if isinstance(fact.value, float) else fact.value or ""
    words = fact.text or f"{fact.name.replace('_', ' ')} {quantity}".rstrip()
    return FactRow(words, date_of(fact.effective or ""), fact.source)


def is_web_address(url: str | None) -> bool:
    """Whether a browser may be sent there: http or https, nothing else.

    >>> is_web_address("https://example.org/label"), is_web_address("javascript:alert(1)"), is_web_address(None)
    (True, False, False)
    """
    return url is not None and url.lower().startswith(("https://", "http://"))
