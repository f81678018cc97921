"""The card of a risk model: what, why, from which dated facts, compared with whom, what to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from cards.card import Action, Card, Coding, Link, Source, Suggestion
from cards.explain import Factor, factor_lines, in_100, not_known
from cards.markdown import escape
from cards.topics import TOPICS
from fhir.mapping.feature import FeatureValue, FeatureVector, Missing
from fhir.record.refusal import Refusal
from models_onnx.manifest import Manifest
from models_onnx.runtime import Prediction

CODE_SYSTEM = "https://cds-hooks-onnx.org/override-reasons"


Known: TypeAlias = tuple[FeatureValue, float]
"""An input that has a value, and what it contributes."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a model's card offers: the words of the offer and the order behind it."""

    summary: str
    label: str
    description: str
    order: dict[str, Any]
    remark: str = ""
    """A sentence before everything that is not known: that a twin with fewer inputs speaks, say."""
    topic: Coding = TOPICS["planning"]
    alike: str = "people with results like these"
    purpose: str = "For planning, not for emergencies."


def model_card(
    manifest: Manifest,
    prediction: Prediction,
    vector: FeatureVector,
    planned: Planned,
    uuid: str,
    suggestion_uuid: Callable[[int], str],
    explain_url: str,
    how_url: str,
    refusals: Sequence[Refusal] = (),
) -> Card:
    """The card of one prediction, in the layout of responsible-ai.md 4.3.

    `explain_url` explains this decision, `how_url` the model. The contributions in its extension and the base add up
    to the estimate; nothing is rounded there.
    """
    known = _known(prediction, vector)
    return Card(
        uuid=uuid,
        summary=planned.summary.format(people=_people(prediction), higher=_higher_than(prediction)),
        indicator="info",  # responsible-ai.md 4.2: `critical` is not for models
        detail=_detail(manifest, prediction, known, vector.missing, planned, how_url, refusals),
        source=Source(label=f"{manifest.title}, version {manifest.version}", topic=planned.topic),
        suggestions=(
            Suggestion(
                label=planned.label,
                uuid=suggestion_uuid(1),
                is_recommended=True,
                actions=(Action(type="create", description=planned.description, resource=_order(planned, uuid)),),
            ),
        ),
        selection_behavior="at-most-one",
        override_reasons=OVERRIDE_REASONS,
        links=(Link(label="Why this card", url=explain_url, type="absolute"),),
        extension={"org.cds-hooks-onnx": _extension(manifest, prediction, known, vector.missing)},
    )


def _order(planned: Planned, card: str) -> dict[str, Any]:
    """The order with an id, without which the FHIR validator takes no resource in an action (ACT-03, TRAP-20)."""
    return {"resourceType": planned.order["resourceType"], "id": card, **planned.order}


def spoken(found: FeatureValue, manifest: Manifest) -> str:
    """The value as it was charted, with its unit; an age at the study's top is "80 or over"."""
    feature = found.feature
    if feature.kind == "sex" or feature.choices:
        return found.charted_unit
    if feature.is_yes_no:
        return "yes" if found.value else found.charted_unit if not found.found else "no"
    if feature.kind == "age":
        top = manifest.feature(feature.name).clip_high
        return f"{top:g} or over" if top is not None and found.value >= top else f"{found.charted_value:g}"
    return f"{found.charted_value:.6g} {found.charted_unit}".rstrip()


def _detail(
    manifest: Manifest,
    prediction: Prediction,
    known: Sequence[Known],
    missing: Sequence[Missing],
    planned: Planned,
    how_url: str,
    refusals: Sequence[Refusal],
) -> str:
    people = _people(prediction)

    def describe(position: int) -> str:
        found = known[position][0]
        value = spoken(found, manifest).replace("*", "\\*")  # 10*3/uL; its unit is one of the table's spellings
        dated = f" ({found.effective[:10]})" if found.feature.measured else ""  # age and sex are of today
        return f"{found.feature.words} **{value}**{dated}"

    low, high = in_100(prediction.observed_low), in_100(prediction.observed_high)
    lines = [
        f"**About {people} in 100** {planned.alike} {manifest.outcome.words}; {100 - people} did not. "
        f"Of {prediction.observed_count:,} {manifest.row_words} in the study with similar estimates, {low} to {high} "
        "in 100 did. "
        f"{_overstated(prediction)}Higher than {_higher_than(prediction)} in 100 of {manifest.reference.words}.",
        *factor_lines([contribution for _, contribution in known], describe),
        "",
    ]
    gaps = f"{planned.remark} {not_known(missing)}".strip()
    if refusals:
        newer = f"**Newer but not used:** {escape(refusals[0].text, 160)}{_and_more(len(refusals) - 1)}"
        gaps = f"{gaps} {newer}".lstrip()
    if gaps:
        lines.append(gaps)
    lines.append(
        f"{planned.purpose} What goes together is not what causes. "
        f"[How this works and for whom it was tested]({how_url})"
    )
    return "\n".join(lines)


def _people(prediction: Prediction) -> int:
    """The estimate in 100, but never above what was seen among people with similar estimates.

    At the upper end few people are alike and the model overstates; its own figure stays in the extension, and
    `_overstated` says that it was not taken.
    """
    return in_100(min(prediction.probability, prediction.observed_high))


def _overstated(prediction: Prediction) -> str:
    if in_100(prediction.probability) <= _people(prediction):
        return ""
    said = in_100(prediction.probability)
    return f"The model itself says {said}; so high up it overstates, so the top of what was seen is given. "


def _higher_than(prediction: Prediction) -> int:
    return min(99, int(prediction.percentile))


def _and_more(count: int) -> str:
    return f" And {count} more." if count > 0 else ""


def _known(prediction: Prediction, vector: FeatureVector) -> list[Known]:
    """Every input that has a value, with its contribution; a missing one contributes nothing."""
    pairs = zip(vector.evidence, prediction.contributions.tolist(), strict=True)
    return [(found, contribution) for found, contribution in pairs if found is not None]


def _extension(
    manifest: Manifest, prediction: Prediction, known: Sequence[Known], missing: Sequence[Missing]
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "model": {"id": manifest.id, "version": manifest.version, "sha256": manifest.file.sha256},
        "probability": prediction.probability,
        "link": manifest.link,
        "base": prediction.base,
        "contributions": [
            Factor(found.feature.name, found.value, found.feature.unit, found.effective, found.source, contribution)
            for found, contribution in known
        ],
        "percentile": prediction.percentile,
        "observed": {
            "rate": prediction.observed_rate,
            "low": prediction.observed_low,
            "high": prediction.observed_high,
            "count": prediction.observed_count,
        },
    }
    if missing:  # CDS Hooks sends no empty list (checklist row GEN-04)
        said["missing"] = [gap.feature.name for gap in missing]
    return said


# responsible-ai.md 4.2 point 4: reasons that lead to something, in the project's own code system.
OVERRIDE_REASONS = tuple(
    Coding(system=CODE_SYSTEM, code=code, display=display)
    for code, display in (
        ("patient-ineligible", "Does not fit this patient"),
        ("action-completed", "Already done"),
        ("wrong-time-workflow", "Not now"),
        ("need-more-info", "I need to know more first"),
        ("recipient-does-not-trust", "I do not trust this estimate"),
    )
)
