"""Tells for one patient which populations of a quality measure hold, and whether the measure leaves a gap in care.

HL7 Quality Measure Implementation Guide (https://hl7.org/fhir/us/cqfmeasures, read on 2026-11-28): exclusions are taken
out of the denominator before the numerator is counted; exceptions count only where there is no numerator.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from cards.knowledge.artifact import PERIOD, Artifact
from cards.knowledge.elm.errors import CqlError, NotSupported, UnknownData
from cards.knowledge.elm.evaluation import Evaluation
from cards.knowledge.elm.values import Value, is_member, plain

GapState: TypeAlias = Literal["open", "closed", "excluded", "not eligible", "unknown", "failed"]
_ORDER: Final = (
    "initial-population", "denominator", "denominator-exclusion", "numerator", "numerator-exclusion",
    "denominator-exception",
)  # fmt: skip
_BASIS: Final = "populationBasis"
_IMPROVEMENT: Final = "improvementNotation"


class Gap(Struct, frozen=True, kw_only=True):
    """What a group of a measure says of a patient: the state and how often each population holds."""

    measure: str
    group: str
    state: GapState
    text: str
    counts: Mapping[str, int] = {}


def gaps_in_care(
    artifact: Artifact,
    resources: Iterable[dict[str, Any]],
    period: Mapping[str, str],
    now: str,
    unknown: Iterable[str] = (),
) -> list[Gap]:
    """Return what each group of the measure says of the patient for a period from one date to another."""
    parameters = {**artifact.parameters, PERIOD: period}
    evaluation = Evaluation(resources, artifact.value_sets, now, parameters, unknown)
    return [
        _gap(artifact, evaluation, group, index) for index, group in enumerate(artifact.resource.get("group") or ())
    ]


def _gap(artifact: Artifact, evaluation: Evaluation, group: Mapping[str, Any], index: int) -> Gap:
    name = str(group.get("id") or index + 1)

    def gap(state: GapState, text: str, counts: Mapping[str, int] | None = None) -> Gap:
        return Gap(measure=artifact.id, group=name, state=state, text=text, counts=counts or {})

    try:
        members = {code: _members(artifact, evaluation, group, code) for code in _ORDER}
    except UnknownData as error:
        return gap("unknown", f"The patient's {error.resource_type} resources are not known.")
    except (CqlError, NotSupported):
        return gap("failed", "A population of the measure could not be evaluated.")
    counts = {code: len(values) for code, values in _counted(members).items()}
    if not counts["denominator"]:
        return gap("not eligible", "The patient is not in the denominator of the measure.", counts)
    left = counts["denominator"] - counts["denominator-exclusion"] - counts["denominator-exception"]
    if left <= 0:
        return gap("excluded", "The measure makes an exclusion or exception for this patient.", counts)
    met = counts["numerator"] - counts["numerator-exclusion"]
    missing = met if _is_better_when_lower(artifact.resource, group) else left - met
    if missing > 0:
        return gap("open", f"{artifact.title}: not done yet.", counts)
    return gap("closed", f"{artifact.title}: done.", counts)


def _members(artifact: Artifact, evaluation: Evaluation, group: Mapping[str, Any], code: str) -> list[Value] | None:
    """Return the members of a population of the group; None where the group has no such population."""
    for population in group.get("population") or ():
        codes = {coding.get("code") for coding in (population.get("code") or {}).get("coding") or ()}
        if code in codes:
            value = evaluation.run(artifact.expressions[str(population["criteria"]["expression"])])
            if _extension(group, _BASIS) in {None, "boolean"} and not isinstance(value, list):
                return [True] if plain(value) is True else []
            return value if isinstance(value, list) else [] if value is None else [value]
    return None


def _counted(members: Mapping[str, list[Value] | None]) -> dict[str, list[Value]]:
    first = members["initial-population"] or []
    denominator = first if members["denominator"] is None else _within(members["denominator"], first)
    excluded = _within(members["denominator-exclusion"], denominator)
    left = [value for value in denominator if not is_member(value, excluded)]
    numerator = _within(members["numerator"], left)
    exceptions = [value for value in _within(members["denominator-exception"], left) if not is_member(value, numerator)]
    return {
        "initial-population": first,
        "denominator": denominator,
        "denominator-exclusion": excluded,
        "numerator": numerator,
        "numerator-exclusion": _within(members["numerator-exclusion"], numerator),
        "denominator-exception": exceptions,
    }


def _within(values: list[Value] | None, others: list[Value]) -> list[Value]:
    return [value for value in values or () if is_member(value, others)]


def _extension(holder: Mapping[str, Any], tail: str) -> Any:
    for extension in holder.get("extension") or ():
        if str(extension.get("url", "")).endswith(tail):
            return extension.get("valueCode") or (extension.get("valueCodeableConcept") or {})
    return None


def _is_better_when_lower(measure: Mapping[str, Any], group: Mapping[str, Any]) -> bool:
    notation = _extension(group, _IMPROVEMENT) or measure.get("improvementNotation") or {}
    codings = notation.get("coding") or () if isinstance(notation, dict) else ({"code": notation},)
    return any(coding.get("code") == "decrease" for coding in codings)
