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
from cards.knowledge.elm.values import Value, as_list, is_member, plain

GapState: TypeAlias = Literal["open", "closed", "excluded", "not eligible", "unknown", "failed"]
_POPULATIONS: Final = (
    "initial-population", "denominator", "denominator-exclusion", "numerator", "numerator-exclusion",
    "denominator-exception",
)  # fmt: skip


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
    counts: dict[str, int] = {}
    try:
        members = [_members(artifact, evaluation, group, code) for code in _POPULATIONS]
        counts = dict(zip(_POPULATIONS, map(len, _counted(*members)), strict=True))
        state, text = _state(artifact, group, counts)
    except UnknownData as error:
        state, text = "unknown", f"The patient's {error.resource_type} resources are not known."
    except (CqlError, NotSupported):
        state, text = "failed", "A population of the measure could not be evaluated."
    return Gap(measure=artifact.id, group=str(group.get("id") or index + 1), state=state, text=text, counts=counts)


def _state(artifact: Artifact, group: Mapping[str, Any], counts: Mapping[str, int]) -> tuple[GapState, str]:
    if not counts["denominator"]:
        return "not eligible", "The patient is not in the denominator of the measure."
    left = counts["denominator"] - counts["denominator-exclusion"] - counts["denominator-exception"]
    if left <= 0:
        return "excluded", "The measure makes an exclusion or exception for this patient."
    met = counts["numerator"] - counts["numerator-exclusion"]
    notation = _extension(group, "improvementNotation") or artifact.resource.get("improvementNotation") or {}
    codings = notation.get("coding") or () if isinstance(notation, dict) else ({"code": notation},)
    lower_is_better = any(coding.get("code") == "decrease" for coding in codings)
    is_open = (met if lower_is_better else left - met) > 0
    return ("open", f"{artifact.title}: not done yet.") if is_open else ("closed", f"{artifact.title}: done.")


def _members(artifact: Artifact, evaluation: Evaluation, group: Mapping[str, Any], code: str) -> list[Value] | None:
    """Return the members of a population of the group; None where the group has no such population."""
    for population in group.get("population") or ():
        codes = {coding.get("code") for coding in (population.get("code") or {}).get("coding") or ()}
        if code in codes:
            value = evaluation.run(artifact.expressions[str(population["criteria"]["expression"])])
            if _extension(group, "populationBasis") in {None, "boolean"} and not isinstance(value, list):
                return [True] if plain(value) is True else []
            return as_list(value)
    return None


def _counted(*members: list[Value] | None) -> tuple[list[Value], ...]:
    """Return the members that count, in the order of the populations."""
    initial, denominators, exclusions, numerators, numerator_exclusions, exceptions = members
    first = initial or []
    denominator = first if denominators is None else _within(denominators, first)
    excluded = _within(exclusions, denominator)
    left = [value for value in denominator if not is_member(value, excluded)]
    numerator = _within(numerators, left)
    rest = [value for value in left if not is_member(value, numerator)]
    return first, denominator, excluded, numerator, _within(numerator_exclusions, numerator), _within(exceptions, rest)


def _within(values: list[Value] | None, others: list[Value]) -> list[Value]:
    return [value for value in values or () if is_member(value, others)]


def _extension(holder: Mapping[str, Any], tail: str) -> Any:
    for extension in holder.get("extension") or ():
        if str(extension.get("url", "")).endswith(tail):
            return extension.get("valueCode") or (extension.get("valueCodeableConcept") or {})
    return None
