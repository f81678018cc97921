"""Reads a recorded decision for its page: its basis, its scores, and its cards laid out.

Every input of a model as the decision used it: value, unit, date, source, or why there is none.
"""

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from cards.card import Source, is_web_address
from cards.compose.model import WHY
from cards.extension import Fact, FindingReference
from cards.rules.language.rule import Evidence
from cds_hooks.evidence.storage.decision import Decision, DecisionBasis, each_scores
from cds_hooks.evidence.storage.sent import SentCard
from cds_hooks.people.web.markdown import render_markdown
from cds_hooks.people.web.numbers import date_of, format_age, format_quantity, format_unit, format_value, words_of
from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.manifest import Manifest, ModelInput


class Scores(Struct, frozen=True):
    """What a model said: margin = base + sum of contributions = logit(probability)."""

    id: str
    version: str
    sha256: str
    probability: float
    margin: float
    base: float
    contributions: dict[str, float]
    percentile: float
    observed_rate: float
    observed_low: float
    observed_high: float
    observed_count: int


class ModelFile(Struct, frozen=True):
    """A model that was asked: which file exactly."""

    id: str
    version: str
    sha256: str


class ConditionValue(Struct, frozen=True):
    """A definition of published knowledge as it was evaluated: its value and the resources that made it."""

    name: str
    value: Any
    resources: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Return the value as a clinician reads it."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return "no value" if self.value is None else str(self.value)


class KnowledgeOutcome(Struct, frozen=True):
    """What came of one action of a plan, and of its conditions."""

    action: str
    state: str
    reason: str = ""
    conditions: tuple[ConditionValue, ...] = ()
    withheld: tuple[str, ...] = ()


class PublishedKnowledge(Struct, frozen=True):
    """A published artifact as it was evaluated: its id, version and hash, and the outcome of each action."""

    knowledge: dict[str, str]
    outcomes: tuple[KnowledgeOutcome, ...]


class RecordedBasis(DecisionBasis, frozen=True, kw_only=True):
    """What a decision was based on, with what its page alone says."""

    as_of: datetime
    timings: dict[str, float] = field(default_factory=dict)
    config: str = ""
    trace: dict[str, str] = field(default_factory=dict)

    def of_estimate(self, name: str) -> "RecordedBasis":
        """Return the same with the scores of the model or equation of this id, where several advisors computed."""
        estimate = next((scores for scores in each_scores(self.scores) if scores.get("id") == name), None)
        return self if estimate is None else replace(self, scores=estimate)

    @property
    def knowledge(self) -> PublishedKnowledge | None:
        """The published artifact that was evaluated; None where the service is not one."""
        evaluated = next((scores for scores in each_scores(self.scores) if "knowledge" in scores), None)
        return msgspec.convert(evaluated, PublishedKnowledge) if evaluated is not None else None

    @property
    def model_scores(self) -> Scores | None:
        """The scores of a model that explains itself; None where the service asked none."""
        if self.scores is None or "contributions" not in self.scores:
            return None
        return msgspec.convert(self.scores, Scores)


_basis = msgspec.json.Decoder(RecordedBasis)


def read_basis(decision: Decision) -> RecordedBasis:
    """Return its basis; msgspec.DecodeError for a record of another form."""
    return _basis.decode(decision.basis)


EvidenceOf = Callable[[str], tuple[Evidence, ...]]
"""The documents that a rule of this id rests on; none for a rule that is not here any more."""


class FactRow(Struct, frozen=True):
    """One fact in the table of a card: what a clinician reads, the day it is from, where it stands in the record."""

    words: str
    date: str
    source: str | None
    name: str = ""


class ReadableCard(SentCard, frozen=True):
    """One card to read, with what it rests on.

    `detail` and `reasons` are markup; `reasons` is what the detail says from "Why:" on, "" where it does not say it.
    `model` is the id of the model or equation behind it, "" where there is none.
    """

    findings: tuple[FindingReference, ...] = ()
    facts: tuple[FactRow, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    model: str = ""
    reasons: str = ""


def readable_card(card: SentCard, evidence_of: EvidenceOf) -> ReadableCard:
    """Return the card to read; only http(s) addresses stay links."""
    ours = card.own_extension
    documents = (document for finding in ours.findings for document in evidence_of(finding.rule))
    opening, why, reasons = card.detail.partition(f"\n\n{WHY}")
    return ReadableCard(
        uuid=card.uuid,
        indicator=card.indicator,
        summary=card.summary,
        detail=render_markdown(opening),
        source=card.source if is_web_address(card.source.url) else Source(label=card.source.label),
        suggestions=card.suggestions,
        override_reasons=tuple(reason for reason in card.override_reasons if reason.display),
        links=tuple(link for link in card.links if is_web_address(link.url) and link.type == "absolute"),
        findings=ours.findings,
        facts=tuple(_fact_row(fact) for fact in ours.facts),
        evidence=tuple(dict.fromkeys(documents)),
        model=(ours.model or {}).get("id", ""),
        reasons=render_markdown(why + reasons),
    )


def _fact_row(fact: Fact) -> FactRow:
    """Return the row of a fact; one that another fact repeats has only its name and value."""
    quantity = format_quantity(fact.value, fact.unit or "") if isinstance(fact.value, float) else fact.value or ""
    words = fact.text or f"{fact.name.replace('_', ' ')} {quantity}".rstrip()
    return FactRow(words, date_of(fact.effective or ""), fact.source, fact.name)


AGE, SEX = "age_years", "sex_male"
_SEXES = {1.0: "male", 0.0: "female"}

_REASONS = {
    "absent": "not recorded",
    "stale": "too old to be used",
    "refused": "recorded, but not usable",
    "unknown": "not known",
}


class Input(Struct, frozen=True):
    """One input: `value` is its `figure` with the unit, or "" and `gap` says why.

    `used` is what the model counted where that differs, `compared` sets the value beside the group's average.
    """

    name: str
    words: str
    value: str
    figure: str
    unit: str
    date: str
    age: str
    source: str
    gap: str
    used: str
    compared: str
    average: str
    contribution: float

    @property
    def has_value(self) -> bool:
        """Whether there was a usable value."""
        return not self.gap


def read_inputs(basis: RecordedBasis, scores: Scores | None, manifest: Manifest | None) -> list[Input]:
    """Return the inputs in the model's order; without its manifest, with the words and units of our own features."""
    contributions = scores.contributions if scores is not None else {}
    if manifest is not None:
        described: Iterable[ModelInput] = manifest.features
    else:
        described = map(_undescribed, contributions or [*basis.features, *basis.missing])
    return [_input(feature, basis, contributions.get(feature.name, 0.0)) for feature in described]


def _input(feature: ModelInput, basis: RecordedBasis, contribution: float) -> Input:
    words, unit, average = words_of(feature), format_unit(feature.unit), average_of(feature)
    if feature.name not in basis.features:
        gap = _REASONS.get(basis.missing.get(feature.name, ""), "not recorded")
        return Input(feature.name, words, "", "", unit, "", "", "", gap, "", "", average, contribution)
    value, *where = basis.features[feature.name]
    effective, source = (text or "" for text in where)
    is_sex, top = feature.name == SEX, feature.clip_high
    answer = _SEXES.get(value, "") if is_sex else _answer(feature, value, source)
    figure = answer or format_value(value)
    return Input(
        name=feature.name,
        words=words,
        value=answer or format_quantity(value, feature.unit),
        figure=figure,
        unit=unit,
        date=date_of(effective),
        age="at this call" if feature.name in (AGE, SEX) else format_age(effective, basis.as_of),
        source=source,
        gap="",
        used=f"{top:g} or over" if top is not None and value >= top else "",
        compared=_compared(value, feature),
        average=average,
        contribution=contribution,
    )


def _answer(feature: ModelInput, value: float, source: str) -> str:
    """Give the words of a code or of a yes or no, else ""; what was not found has the patient as its source."""
    if feature.choices:
        position = int(value)
        return feature.choices[position] if 0 <= position < len(feature.choices) else ""
    if not _is_yes_no(feature):
        return ""
    return "yes" if value else "not found in the chart" if source.startswith("Patient/") else "no"


def _is_yes_no(feature: ModelInput) -> bool:
    return feature.name in FEATURES and FEATURES[feature.name].is_yes_no


def average_of(feature: ModelInput) -> str:
    """Return the mean of the reference cohort in words; "" where the model's own dictionary is not available."""
    mean = feature.reference_value
    if math.isnan(mean) or feature.choices:
        return ""
    if _is_yes_no(feature):
        return f"{100 * mean:.0f} in 100: yes"
    return f"{100 * mean:.0f} in 100 are male" if feature.name == SEX else format_quantity(mean, feature.unit)


def _undescribed(name: str) -> ModelInput:
    feature = FEATURES.get(name)
    words, unit = (feature.words, feature.unit) if feature is not None else (name, "")
    return ModelInput(name, words, unit, (), "", math.nan, math.nan, None, math.nan, None)


def _compared(value: float, feature: ModelInput) -> str:
    mean = feature.reference_value
    if math.isnan(mean) or feature.name == SEX or feature.choices or _is_yes_no(feature):
        return ""
    average = format_value(mean)
    if format_value(value) == average:
        return f"average ({average})"
    return f"{'above' if value > mean else 'below'} average ({average})"
