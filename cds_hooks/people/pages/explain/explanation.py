"""From a recorded decision to everything its page says; the template only lays it out."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cards.card import SEVERITY
from cards.compose.model import in_100, is_calibrated, people_shown, strength
from cards.rules.engine.governance import all_rule_versions
from cds_hooks.call.hold_back.reasons import WITHHELD, NoCard, explain_no_card, in_words
from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.evidence.storage.sent import read_response
from cds_hooks.people.governance.origins import HeldBack, explain_held_back
from cds_hooks.people.governance.releases import Releases
from cds_hooks.people.pages.explain.recorded_decision import (
    AGE,
    SEX,
    EvidenceOf,
    Input,
    ModelFile,
    PublishedKnowledge,
    ReadableCard,
    RecordedBasis,
    Scores,
    read_basis,
    read_inputs,
    readable_card,
)
from cds_hooks.people.pages.models.views import Group, ModelEvaluation, performance
from cds_hooks.people.web.charts import Scale, round_scale, with_ticks
from cds_hooks.people.web.numbers import format_quantity, format_time, logistic, logit, signed, time_of
from fhir.record.refusals import WhyNot
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.artifact.manifest import AgeBandThreshold, Manifest
from models_onnx.equations.declaration import Equation, equation_digest, find_equations
from models_onnx.monitoring.intervals import wilson

# What each input adds to a result, as one chart: of a model on the scale of log-odds, of an equation on its own


ROWS = 6
_SMALLEST: Final = 5e-4


class Effect(Struct, frozen=True):
    """One input, or the rest together, and how it moves the result in words."""

    title: str
    move: float
    effect: str
    marks: str = ""
    value: str = ""
    note: str = ""
    date: str = ""


class EffectChart(Struct, frozen=True):
    """The chart: a scale as far below 0 as above with round ends, and a row for each input, the largest first."""

    scale: Scale
    rows: tuple[Effect, ...]


def _effects(rows: list[Effect]) -> EffectChart:
    """Return the chart of these rows."""
    end = round_scale(max((abs(row.move) for row in rows), default=0.0) or 1.0, " ").high
    return EffectChart(
        with_ticks(Scale(-end, end), {-end: signed(-end, 1), 0.0: "0", end: signed(end, 1)}), tuple(rows)
    )


def model_effects(inputs: list[Input]) -> EffectChart:
    """Return the inputs that move an estimate most, and all others as one; together they are the whole."""
    ranked = sorted(inputs, key=lambda item: -abs(item.contribution))
    sizes = sum(abs(item.contribution) for item in inputs)
    rows = [_row(item.words, item.contribution, sizes, item) for item in ranked[:ROWS]]
    if others := ranked[ROWS:]:
        title = f"{len(others)} other inputs, together" if len(others) > 1 else f"1 other input: {others[0].words}"
        unknown = sum(1 for item in others if not item.has_value)
        rest = _row(title, sum(item.contribution for item in others), sizes)
        rows.append(replace(rest, note=f"{unknown} of them not recorded or not usable" if unknown else ""))
    return _effects(rows)


def _row(title: str, move: float, sizes: float, item: Input | None = None) -> Effect:
    """Return a row with the marks and words of the card, the sizes of all inputs together given."""
    marks, words = strength(move, sizes) if move else ("", "no effect")
    row = Effect(title, move, words, marks)
    return row if item is None else replace(row, value=item.used or item.value, note=item.compared, date=item.date)


# What a published equation computed for this patient: its value in words, and how much of it each input makes


_UNITS: Final = {"identity": "points or units of the result", "log": "natural logarithm of the result"}
_ODDS: Final = "the logarithm of the odds, as the equation adds it up"


class _Scores(Struct, frozen=True):
    output: str
    value: float
    link: str = "identity"
    parts: dict[str, float] = {}


class EquationEstimate(Struct, frozen=True):
    """The value, as people in 100 where it is a probability, and what each input adds."""

    output: str
    value: str
    people: int | None
    effects: EffectChart
    unit: str


def equation_estimate(basis: RecordedBasis, equation: Equation) -> EquationEstimate | None:
    """Return what the recorded equation computed; None where the record has no value of one of its outputs."""
    try:
        scores = msgspec.convert(basis.scores, _Scores)
    except msgspec.ValidationError:
        return None
    output = next((output for output in equation.outputs if output.id == scores.output), None)
    if output is None:
        return None
    is_probability = output.kind == "probability"
    people = in_100(scores.value) if is_probability else None
    words = {item.name: item.words for item in equation.inputs}
    added = sorted(scores.parts.items(), key=lambda item: -abs(item[1]))
    rows = [Effect(words.get(name, name), part, signed(part, 2)) for name, part in added if abs(part) > _SMALLEST]
    return EquationEstimate(
        output.words,
        f"about {people} in 100" if people is not None else format_quantity(round(scores.value, 2), output.unit),
        people,
        _effects(rows),
        _UNITS.get(scores.link, _ODDS),
    )


ManifestOf = Callable[[str], Manifest | None]
"""The manifest of a model id; None where this server does not have it."""

SCOPE: Final = frozenset({"scope", "not-recognised"})
"""The reasons with which cards/compose says what was looked for."""

_WHEN = {
    "patient-view": "when the chart was opened",
    "order-select": "when an order was selected",
    "order-sign": "when orders were signed",
}


class Band(Struct, frozen=True):
    """One row of the comparison: to what share of whom it happened, with its 95 % interval."""

    who: str
    rate: float
    low: float
    high: float


class Estimate(Struct, frozen=True):
    """A model's estimate for this patient: the risk in 100, its percentile, its contributions, and their exact sum.

    `people` is the number of the card (`people_shown`); where it is not the model's own, that one is not given either.
    """

    scores: Scores
    people: int
    percentile: int
    bands: tuple[Band, ...]
    effects: EffectChart
    total: float
    logit: float
    band: AgeBandThreshold | None
    """The people of the same age, where the model has thresholds by age."""

    @property
    def start(self) -> int:
        """How many in 100 it would be of people with the average inputs of the group."""
        return in_100(logistic(self.scores.base))

    @property
    def is_own_figure(self) -> bool:
        """Whether the number is the model's own, and not what was seen among the people nearest to it."""
        return is_calibrated(self.scores)

    @property
    def beyond(self) -> str:
        """ "above" or "below" where the estimate is outside what happened to people near it, else ""."""
        if not self.is_own_figure:
            return "above"
        return "below" if self.people < in_100(self.scores.observed_low) else ""


class Explanation(Struct, frozen=True):
    """One page. `model` is the file that was asked, `manifest` None where this server no longer has that file."""

    decision: Decision
    title: str
    when: str
    decided: str
    as_of: str
    age: str
    sex: str
    refused: bool
    cards: tuple[ReadableCard, ...]
    silences: tuple[WhyNot, ...]
    model: ModelFile | None
    manifest: Manifest | None
    tested: ModelEvaluation | None
    groups: list[Group]
    inputs: list[Input]
    estimate: Estimate | None
    withheld: tuple[HeldBack, ...]
    """What was found and held back, each with its check and the act behind it."""
    equation: Equation | None
    """The published equation that was asked, where this server still computes it in the same way."""
    computed: EquationEstimate | None
    """What that equation computed."""
    knowledge: PublishedKnowledge | None
    """The published artifact that was evaluated, with the value of each of its conditions."""

    @property
    def heading(self) -> str:
        """What the page says first: the gravest card, that the call was refused, or what no card means."""
        if self.refused:
            return "No answer: the call was refused"
        if not self.cards:
            return f"No card: {self.no_card.title.lower()}"
        return self.cards[0].summary

    @property
    def tab_title(self) -> str:
        """What the browser's tab and history name: the kind of the finding, and nothing of the patient."""
        if self.refused or not self.cards:
            return f"{self.heading} ({self.title})"
        gravest = self.cards[0]
        rule = next((finding.rule for finding in gravest.findings), "")
        version = all_rule_versions().get(rule)
        return f"{gravest.indicator.capitalize()}: {version.rule.title if version is not None else self.title}"

    @property
    def scope(self) -> tuple[WhyNot, ...]:
        """What was looked for about each drafted drug, and the drugs for which nothing could be looked for."""
        return tuple(silence for silence in self.silences if silence.reason in SCOPE)

    @property
    def unsaid(self) -> tuple[WhyNot, ...]:
        """The other reasons why something was not said."""
        return tuple(
            silence for silence in self.silences if silence.reason not in SCOPE and silence.reason not in WITHHELD
        )

    @property
    def no_card(self) -> NoCard:
        """What the answer means where it has no card."""
        return explain_no_card(self.silences)

    @property
    def gaps(self) -> list[Input]:
        """The inputs without a usable value."""
        return [item for item in self.inputs if not item.has_value]


def explain(
    decision: Decision,
    service_title: str,
    manifest_of: ManifestOf,
    evidence_of: EvidenceOf,
    acts_then: Callable[[], Releases] = Releases,
) -> Explanation:
    """Return the page of one decision; `acts_then` gives the acts of the record up to it.

    Raises:
        msgspec.MsgspecError: The decision is recorded in another form.
    """
    basis = read_basis(decision)
    held_back = explain_held_back(
        (WhyNot(*silence) for silence in basis.silence), decision.service, decision.caller, acts_then
    )
    silences = in_words(WhyNot(*silence) for silence in basis.silence)
    cards = sorted(
        (readable_card(card, evidence_of) for card in read_response(decision.response).cards),
        key=lambda card: SEVERITY[card.indicator],
        reverse=True,
    )
    model = _explained_model(decision, basis, cards)
    basis = basis.of_estimate(model.id) if model is not None else basis
    scores = basis.model_scores
    manifest = _same_file(model, manifest_of)
    tested = performance(manifest) if manifest is not None else None
    inputs = read_inputs(basis, scores, manifest)
    figures = {item.name: item.figure for item in inputs}
    age, _, _ = basis.features.get(AGE, (None, "", ""))
    equation = _same_equation(model)
    return Explanation(
        decision=decision,
        title=service_title,
        when=_WHEN.get(decision.hook, ""),
        decided=format_time(time_of(decision.decided_at)),
        as_of=format_time(basis.as_of),
        age=figures.get(AGE, ""),
        sex=figures.get(SEX, ""),
        refused=decision.is_refused,
        cards=tuple(cards),
        silences=silences,
        withheld=tuple(reason for reason in held_back if reason.reason in WITHHELD),
        model=model,
        manifest=manifest,
        tested=tested,
        groups=tested.groups_of(age, figures.get(SEX, "")) if tested is not None else [],
        inputs=inputs,
        estimate=_estimate(scores, inputs, manifest, age) if scores is not None else None,
        equation=equation,
        computed=equation_estimate(basis, equation) if equation is not None else None,
        knowledge=basis.knowledge,
    )


def _explained_model(decision: Decision, basis: RecordedBasis, cards: Sequence[ReadableCard]) -> ModelFile | None:
    """Return the model or equation that the page explains: that of the gravest card that has one, else the main one."""
    models = {model.id: model for model in msgspec.json.decode(decision.models, type=list[ModelFile])}
    names = [*(card.model for card in cards), (basis.scores or {}).get("id", ""), *models]
    return next((models[name] for name in names if name in models), None)


def _same_equation(model: ModelFile | None) -> Equation | None:
    equation = find_equations().get(model.id) if model is not None else None
    is_same = equation is not None and model is not None and equation_digest(equation) == model.sha256
    return equation if is_same else None


def _same_file(model: ModelFile | None, manifest_of: ManifestOf) -> Manifest | None:
    if model is None:
        return None
    manifests = (manifest_of(model.id), manifest_of(f"{model.id}{VERSION_SIGN}{model.version}"))
    return next(
        (manifest for manifest in manifests if manifest is not None and manifest.file.sha256 == model.sha256), None
    )


def _estimate(scores: Scores, inputs: list[Input], manifest: Manifest | None, age: float | None) -> Estimate:
    return Estimate(
        scores=scores,
        people=people_shown(scores),
        percentile=min(99, int(scores.percentile)),
        bands=_bands(scores, manifest),
        effects=model_effects(inputs),
        total=sum(scores.contributions.values()),
        logit=logit(scores.probability),
        band=None if manifest is None or age is None else manifest.thresholds.band_at(age),
    )


def _bands(scores: Scores, manifest: Manifest | None) -> tuple[Band, ...]:
    who = f"What happened to {scores.observed_count:,} people with estimates near this one"
    near = Band(who, scores.observed_rate, scores.observed_low, scores.observed_high)
    if manifest is None:
        return (near,)
    reference = manifest.reference
    interval = wilson(reference.events, reference.n)
    return near, Band(f"Everyone in the group: {reference.words}", reference.events / reference.n, *interval)
