"""Composes the card of a risk model: the estimate, its dated facts, the comparison group, the suggested order.

What raises and what lowers an estimate is described in factor lines, ranges, and what is not known.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from msgspec import UnsetType
from msgspec.structs import replace

from cards.card import Card, CardIdentity, CardText, Source, talk_card
from cards.extension import CardExtension, Factor, ObservedRate
from cards.finding import Finding
from cards.text import capitalized, escape, first_few, with_unit_signs
from fhir.mapping.features.feature import FeatureValue, FeatureVector, Missing, charted_number
from fhir.mapping.features.patient import Age
from fhir.record.refusals import Refusal
from models_onnx.artifact.manifest import DAYS_PER_YEAR, Manifest
from models_onnx.serving.runtime import FACTORS_SHOWN, Prediction, marks

DRIVER_SHARE: Final = 0.15
"""From this share of all contributions on an input that raises the estimate is a driver: two marks on the card."""
KNOWN_SHARE: Final = 0.05
"""With less than this share an input was not a driver before: no mark on the card. The project's own choice."""

# Words by the number of marks; they always stand beside the signs (look/LOOK.md).
_WORDS = ("a little", "somewhat", "clearly", "a lot")


def strongest(contributions: Sequence[float]) -> list[int]:
    """Return the positions of the `FACTORS_SHOWN` contributions that move the estimate most, largest first."""
    sizes = [abs(contribution) for contribution in contributions]
    return sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)[:FACTORS_SHOWN]


def factor_lines(contributions: Sequence[float], describe: Callable[[int], str], called: str = "inputs") -> list[str]:
    """Return a Markdown list of two headings with at most five lines under them, and one line for all others together.

    `describe` gives the words of the input at a position. The lines' contributions and the rest add up to the whole
    difference to the reference group. The headings are items, too: a line after a list that is none would be read as
    the last item's continuation.
    """
    total = sum(map(abs, contributions))
    strongest_positions = strongest(contributions)
    raising = [position for position in strongest_positions if contributions[position] > 0]
    lowering = [position for position in strongest_positions if contributions[position] < 0]
    lines: list[str] = []
    for heading, some in (("**Raises the estimate**", raising), ("**Lowers it**", lowering)):
        if some:
            lines.append(f"- {heading}")
            lines += [f"  - {_marked(contributions[position], total)}: {describe(position)}" for position in some]
    if len(contributions) > len(strongest_positions):
        remainder = sum(contributions) - sum(contributions[position] for position in strongest_positions)
        count = len(contributions) - len(strongest_positions)
        others = f"{count} other {called}, together" if count > 1 else f"1 other {called.removesuffix('s')}"
        lines.append(f"- {others}: {_marked(remainder, total)}")
    return lines


def _marked(contribution: float, total: float) -> str:
    signs, words = strength(contribution, total)
    return f"{signs} {words}"


def strength(contribution: float, total: float) -> tuple[str, str]:
    """Signs and words for a contribution, by its share of `total`, the sum of all sizes: ('▲▲', 'raises clearly')."""
    filled, open_, verb = ("▲", "▵", "raises") if contribution > 0 else ("▼", "▿", "lowers")
    count = marks(contribution, total)
    return filled * count or open_, f"{verb} {_WORDS[count]}"


def in_100(probability: float) -> int:
    """Return a probability as people in 100, whole, never 0 or 100: an estimate is not a certainty."""
    return min(99, max(1, round(probability * 100)))


_MOST_NAMED = 4
"""The explain page has them all."""


def not_known(missing: Sequence[Missing], counts: str = "each counts as the group's average") -> str:
    """One sentence that names every input without a usable value and what that means; '' when all are there."""
    words = {"absent": "not recorded", "stale": "too old", "refused": "not usable", "unknown": "not known"}
    stay, of_stay = " in this stay", "not charted as a diagnosis of this stay (the problem list is not counted)"
    names: dict[str, list[str]] = {name: [] for name in (*words.values(), of_stay)}
    for gap in missing:
        is_of_stay = gap.reason == "absent" and gap.feature.words.endswith(stay)
        names[of_stay if is_of_stay else words[gap.reason]].append(gap.feature.words.removesuffix(is_of_stay * stay))
    told = "; ".join(f"**{name}:** {first_few(named, _MOST_NAMED)}" for name, named in names.items() if named)
    return f"**{capitalized(told.removeprefix('**'))} ({counts})." if told else ""


def _absence(manifest: Manifest, prediction: Prediction, vector: FeatureVector) -> str:
    """Return what a missing input counts as, in the words of the card."""
    if manifest.missing_kind == "average":
        return "each counts as the group's average"
    if manifest.missing_kind == "imputed":
        return "each counts as the usual value that the model puts in its place"
    effect = _contribution_of_missing(prediction, vector)
    if not effect:
        return "not knowing this moves the estimate neither way"
    _, words = strength(effect, float(sum(map(abs, prediction.contributions.tolist()))))
    verb, _, how = words.partition(" ")
    return f"not knowing this {verb} the estimate {how}, as learned from people in whom it was not known either"


def _contribution_of_missing(prediction: Prediction, vector: FeatureVector) -> float:
    pairs = zip(vector.evidence, prediction.contributions.tolist(), strict=True)
    return float(sum(contribution for value, contribution in pairs if value is None))


Known: TypeAlias = tuple[FeatureValue, float]
"""An input that has a value, and what it contributes."""


def model_card(
    manifest: Manifest,
    prediction: Prediction,
    vector: FeatureVector,
    text: CardText,
    identity: CardIdentity,
    refusals: Sequence[Refusal] = (),
    *,
    is_brief: bool = False,
) -> Card:
    """Return the card of one prediction, in the layout of responsible-ai.md 4.3.

    The contributions in its extension and the base add up to the estimate; nothing is rounded there. `is_brief`:
    without the inputs that raise and lower it, which the extension keeps.
    """
    pairs = zip(vector.evidence, prediction.contributions.tolist(), strict=True)
    # What a missing input contributes, `_absence` says.
    known_values = [(value, contribution) for value, contribution in pairs if value is not None]
    summary = text.summary.format(estimate=estimate_words(prediction, text.seen), higher=_higher_than(prediction))
    return talk_card(
        replace(text, summary=summary),
        _detail(manifest, prediction, [] if is_brief else known_values, vector, text, identity.method_url, refusals),
        Source(label=f"{manifest.title}, version {manifest.version}", topic=text.topic),
        _extension(manifest, prediction, known_values, vector, identity),
        identity,
    )


def finding_of_estimate(name: str, output: str, identity: CardIdentity, **more: Any) -> Finding:
    """Return what the card of an estimate is remembered by: a model and those that take over for it are one finding.

    At a discharge every estimate is the same finding, who comes back, whichever score it names.
    """
    if identity.is_at_discharge:
        return Finding("follow-up after discharge", name, "one-follow-up")
    return Finding(f"{name.removesuffix('_small').removesuffix('_early')} {output}", name, **more)


def _raising(factors: Sequence[Factor]) -> dict[str, tuple[str, ...]]:
    """Return the inputs that raise the estimate: those that drive it, and beside them all that do so visibly."""
    total = sum(abs(factor.contribution) for factor in factors)
    visible = [factor for factor in factors if factor.contribution > 0 and factor.contribution >= KNOWN_SHARE * total]
    drivers = tuple(factor.feature for factor in visible if factor.contribution >= DRIVER_SHARE * total)
    return {"parts": drivers, "known": tuple(factor.feature for factor in visible)}


WHY = "Why:"
"""The line after which a card of an equation explains its estimate."""


def _value_words(value: FeatureValue, manifest: Manifest) -> str:
    """Return the value as it was charted, with its unit; an age at the study's top is "80 or over"."""
    feature = value.feature
    top = manifest.feature(feature.name).clip_high if isinstance(feature, Age) else None
    is_top = top is not None and value.value >= top
    return f"{top:g} or over" if is_top else with_unit_signs(feature.show(value))


def _detail(
    manifest: Manifest,
    prediction: Prediction,
    known_values: Sequence[Known],
    vector: FeatureVector,
    text: CardText,
    how_url: str,
    refusals: Sequence[Refusal],
) -> str:
    is_grouped = not isinstance(manifest.groups, UnsetType)
    explained = [pair for pair in known_values if pair[1] or not manifest.group_of(pair[0].feature.name)]

    def describe(position: int) -> str:
        known_value = explained[position][0]
        value = escape(_value_words(known_value, manifest), 60)
        dated = f" ({known_value.effective[:10]})" if known_value.feature.measured else ""  # age and sex are of today
        words = f"{known_value.feature.words} **{value}**{dated}"
        if group := manifest.group_of(known_value.feature.name):
            return f"{escape(group[0], 60)}, {len(group) - 1} inputs together, among them {words}"
        return f"{words}{_why_low_raises(*explained[position], manifest)}"

    lines = [
        f"{text.opening}{_estimate(prediction, manifest, text)}"
        f"Higher than {_higher_than(prediction)} in 100 of {manifest.reference.words}.",
        *factor_lines([contribution for _, contribution in explained], describe, "groups" if is_grouped else "inputs"),
        "",
    ]
    absent = not_known(vector.missing, _absence(manifest, prediction, vector))
    gaps = " ".join(filter(None, (*text.beside, absent)))
    if refusals:
        more = f" And {len(refusals) - 1} more." if len(refusals) > 1 else ""
        newer = f"**Newer but not used:** {escape(refusals[0].text, 160)}{more}"
        gaps = f"{gaps} {newer}".lstrip()
    if gaps:
        lines.append(gaps)
    if is_grouped:
        lines.append("Groups of inputs are explained here, each by what it contributes as a whole.")
    lines.append(
        f"{text.closing} These are associations, not causes. [How this works and for whom it was tested]({how_url})"
    )
    return "\n".join(lines)


# A reader expects harm from a high value only.
_HARMS_WHEN_HIGH = frozenset({"creatinine_mg_dl", "bun_mg_dl"})


def _why_low_raises(value: FeatureValue, contribution: float, manifest: Manifest) -> str:
    """Return what a line adds where a low value of kidney function raises the estimate; empty where nothing is odd."""
    if contribution <= 0 or value.feature.name not in _HARMS_WHEN_HIGH:
        return ""
    average = manifest.feature(value.feature.name).reference_value
    if value.value >= average:
        return ""
    return (
        f", lower than the average of {charted_number(average)}: in the study low values were associated with it, too"
    )


class ObservedNear(Protocol):
    """A probability and what was seen among people with similar ones: a prediction, or the scores of a decision."""

    @property
    def probability(self) -> float:
        """The model's own figure."""

    @property
    def observed_rate(self) -> float:
        """How many of the people nearest to it had the outcome."""

    @property
    def observed_high(self) -> float:
        """The upper end of the range of that."""


def is_calibrated(prediction: ObservedNear) -> bool:
    """Whether the estimate is not above what was seen among people with similar estimates.

    At the upper end few people are alike and the model overstates; its own figure stays in the extension.
    """
    return in_100(prediction.probability) <= in_100(prediction.observed_high)


def people_shown(prediction: ObservedNear) -> int:
    """Return the one number of an estimate, in 100, on its card and every page: the model's own, or what was seen."""
    return in_100(prediction.probability if is_calibrated(prediction) else prediction.observed_rate)


def estimate_words(prediction: Prediction, seen: str) -> str:
    """Return the estimate in the words of every model's card: its number, or what was seen with the range of that."""
    people = people_shown(prediction)
    if is_calibrated(prediction):
        return f"about {people} in 100"
    low, high = in_100(prediction.observed_low), in_100(prediction.observed_high)
    return f"{people} in 100 {seen} (range {low}–{high})"


def _estimate(prediction: Prediction, manifest: Manifest, text: CardText) -> str:
    low, high = in_100(prediction.observed_low), in_100(prediction.observed_high)
    alike = f"{prediction.observed_count:,} {manifest.row_words} in the study with similar estimates"
    people = people_shown(prediction)
    if is_calibrated(prediction):
        return (
            f"**About {people} in 100** {text.alike} {manifest.outcome.words}; "
            f"{100 - people} did not. Of {alike}, {low} to {high} in 100 did (95 % range). "
        )
    return (
        f"**{people} in 100** of {alike} {manifest.outcome.words} (range {low} to {high}); "
        f"{100 - people} did not. "
        "The model's own figure is not given here: it is too high in this range. "
    )


def _higher_than(prediction: Prediction) -> int:
    return min(99, int(prediction.percentile))


def _extension(
    manifest: Manifest,
    prediction: Prediction,
    known_values: Sequence[Known],
    vector: FeatureVector,
    identity: CardIdentity,
) -> CardExtension:
    factors = tuple(
        Factor(value.feature.name, value.value, value.feature.unit, value.effective, value.source, contribution)
        for value, contribution in known_values
    )
    missing, outcome = tuple(gap.feature.name for gap in vector.missing), manifest.outcome
    days = outcome.horizon_days or outcome.horizon_years * DAYS_PER_YEAR
    return CardExtension(
        finding=finding_of_estimate(
            manifest.id,
            "",
            identity,
            measure=float(prediction.probability),
            is_risk=True,
            band=repr(prediction.observed_rate),  # its range: the bin of the reference cohort
            missing=missing,
            horizon_days=days if days < DAYS_PER_YEAR else None,
            **_raising(factors),
        ),
        model={"id": manifest.id, "version": manifest.version, "sha256": manifest.file.sha256},
        probability=prediction.probability,
        link=manifest.link,
        base=prediction.base,
        contributions=factors,
        percentile=prediction.percentile,
        observed=ObservedRate(
            rate=prediction.observed_rate,
            low=prediction.observed_low,
            high=prediction.observed_high,
            count=prediction.observed_count,
        ),
        missing=missing,
        missing_contribution=None
        if manifest.missing_kind == "average"
        else _contribution_of_missing(prediction, vector),
    )
