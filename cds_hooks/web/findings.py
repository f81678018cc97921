"""Cards as they were sent, laid out for reading: what was said, which facts and documents it rests on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup
from msgspec import Struct

from cards.rules.rule import Evidence
from cds_hooks.web.markdown import render_markdown
from cds_hooks.web.numbers import date_of, spoken_quantity
from cds_hooks.web.recorded import Card, Link, Source, Suggestion

EXTENSION = "org.cds-hooks-onnx"
"""The same key as in protocol/response.py, which stands above this floor."""

EvidenceOf = Callable[[str], tuple[Evidence, ...]]
"""The documents that a rule of this id rests on; none for a rule that is not here any more."""


class Finding(Struct, frozen=True):
    """One rule that spoke."""

    rule: str
    band: str = ""


class Fact(Struct, frozen=True):
    """One thing the findings rest on, with where it stands in the chart."""

    name: str
    text: str = ""
    value: float | str | None = None
    unit: str | None = None
    effective: str | None = None
    source: str | None = None

    @property
    def words(self) -> str:
        """What a clinician reads; a fact that another one says already has only its name and value."""
        return self.text or f"{self.name.replace('_', ' ')} {self._quantity}".rstrip()

    @property
    def date(self) -> str:
        """The day it is from; "" where the fact has none."""
        return date_of(self.effective or "")

    @property
    def _quantity(self) -> str:
        return spoken_quantity(self.value, self.unit or "") if isinstance(self.value, float) else self.value or ""


class _Extension(Struct, frozen=True):
    findings: list[Finding] = []
    facts: list[Fact] = []
    model: dict[str, Any] | None = None


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
    findings: tuple[Finding, ...]
    facts: tuple[Fact, ...]
    evidence: tuple[Evidence, ...]
    by_model: bool


def sent_card(card: Card, evidence_of: EvidenceOf) -> SentCard:
    """The card for reading; only http(s) addresses stay links. msgspec.ValidationError for an extension not ours."""
    ours = msgspec.convert(card.extension.get(EXTENSION, {}), _Extension)
    documents = (document for finding in ours.findings for document in evidence_of(finding.rule))
    return SentCard(
        indicator=card.indicator if card.indicator in ("info", "warning", "critical") else "info",
        summary=card.summary,
        detail=render_markdown(card.detail),
        source=card.source if is_web_address(card.source.url) else Source(card.source.label),
        suggestions=tuple(card.suggestions),
        reasons=tuple(reason.display for reason in card.override_reasons if reason.display),
        links=tuple(link for link in card.links if is_web_address(link.url) and link.type == "absolute"),
        findings=tuple(ours.findings),
        facts=tuple(ours.facts),
        evidence=tuple(dict.fromkeys(documents)),
        by_model=ours.model is not None,
    )


def is_web_address(url: str | None) -> bool:
    """Whether a browser may be sent there: http or https, nothing else.

    >>> is_web_address("https://example.org/label"), is_web_address("javascript:alert(1)"), is_web_address(None)
    (True, False, False)
    """
    return url is not None and url.lower().startswith(("https://", "http://"))
