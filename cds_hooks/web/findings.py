"""Cards as they were sent, laid out for reading: what was said, what it rests on, what could be done."""

from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup
from msgspec import Struct

from cds_hooks.web.markdown import render_markdown
from cds_hooks.web.numbers import date_of
from cds_hooks.web.recorded import Card, Link, Source, Suggestion

EXTENSION = "org.cds-hooks-onnx"
"""The same key as in protocol/response.py, which stands above this floor."""


class Fact(Struct, frozen=True):
    """One thing a finding rests on, with where it stands in the chart."""

    text: str
    name: str = ""
    effective: str | None = None
    source: str | None = None

    @property
    def date(self) -> str:
        """The day it is from; "" where the fact has none."""
        return date_of(self.effective or "")


class Evidence(Struct, frozen=True):
    """A document that a rule rests on."""

    document: str
    organisation: str = ""
    year: str = ""
    section: str = ""
    grade: str = ""
    grade_scheme: str = ""
    url: str | None = None


class Finding(Struct, frozen=True):
    """One rule that spoke."""

    rule: str
    band: str = ""
    facts: list[Fact] = []
    evidence: list[Evidence] = []


class _Extension(Struct, frozen=True):
    findings: list[Finding] = []
    model: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SentCard:
    """One card; `by_model` where it is a model's and the page explains the estimate above it."""

    indicator: str
    summary: str
    detail: Markup
    source: Source
    suggestions: tuple[Suggestion, ...]
    reasons: tuple[str, ...]
    links: tuple[Link, ...]
    findings: tuple[Finding, ...]
    by_model: bool


def sent_card(card: Card) -> SentCard:
    """The card for reading; only http(s) addresses stay links. msgspec.ValidationError for an extension not ours."""
    ours = msgspec.convert(card.extension.get(EXTENSION, {}), _Extension)
    indicator = card.indicator if card.indicator in ("info", "warning", "critical") else "info"
    source = card.source if is_web_address(card.source.url) else Source(card.source.label)
    return SentCard(
        indicator=indicator,
        summary=card.summary,
        detail=render_markdown(card.detail),
        source=source,
        suggestions=tuple(card.suggestions),
        reasons=tuple(reason.display for reason in card.override_reasons if reason.display),
        links=tuple(link for link in card.links if is_web_address(link.url) and link.type == "absolute"),
        findings=tuple(ours.findings),
        by_model=ours.model is not None,
    )


def is_web_address(url: str | None) -> bool:
    """Whether a browser may be sent there: http or https, nothing else.

    >>> is_web_address("https://example.org/label"), is_web_address("javascript:alert(1)"), is_web_address(None)
    (True, False, False)
    """
    return url is not None and url.lower().startswith(("https://", "http://"))
