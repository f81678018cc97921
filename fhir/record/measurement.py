"""From an Observation to a number that may be used, or to the reason why not."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from msgspec import Struct

from fhir.record.refusal import Refusal
from fhir.record.resources import Observation, ObservationComponent, Quantity
from fhir.record.time import FhirTime, parse_time
from fhir.terminology.analytes import ANALYTE_BY_LOINC, LOINC, Analyte

# README of the medication tables: "newest usable value (unit known, plausible, final, not haemolysed)".
USABLE_STATUS = frozenset({"final", "amended", "corrected"})
NEVER_A_FACT = frozenset({"entered-in-error", "cancelled"})
_UNDATED = float("-inf")
_HAEMOLYSED = ("hemoly", "haemoly")
_NOT_HAEMOLYSED = ("no hemoly", "no haemoly", "not hemoly", "not haemoly", "non-hemoly", "non-haemoly", "nonhemoly")


CodedPart: TypeAlias = tuple[Observation, Observation | ObservationComponent, str]


class Measurement(Struct, frozen=True, gc=False):
    """One usable number: in the analyte's canonical unit, and as it was charted."""

    analyte: str
    value: float
    unit: str
    time: FhirTime
    source: str
    code: str
    charted_value: float
    charted_unit: str

    def age_days(self, as_of_epoch: float) -> float:
        """Days from the measurement to `as_of_epoch`."""
        return self.time.age_days(as_of_epoch)


class Candidate(Struct, frozen=True, gc=False):
    """An Observation, or one component of it, that carries a code of the analyte."""

    observation: Observation
    part: Observation | ObservationComponent
    code: str
    time: FhirTime | None

    @property
    def source(self) -> str:
        """Its reference, as far as it has an id."""
        return f"Observation/{self.observation.id}" if self.observation.id else "Observation without id"


def effective_time(observation: Observation) -> FhirTime | None:
    """When it was measured: effective[x], a period by its end or else its start; never `issued`, which is later."""
    text = observation.effectiveDateTime
    if text is None:
        text = observation.effectiveInstant
        if text is None and observation.effectivePeriod is not None:
            text = observation.effectivePeriod.end or observation.effectivePeriod.start
    return parse_time(text) if text else None


def coded_parts(observations: Iterable[Observation]) -> dict[str, list[CodedPart]]:
    """Every Observation or component that carries a code of an analyte, by the analyte's key; one pass."""
    found: dict[str, list[CodedPart]] = {}
    for observation in observations:
        _collect(found, observation, observation)
        for component in observation.component:
            _collect(found, observation, component)
    return found


def _collect(
    found: dict[str, list[CodedPart]], observation: Observation, part: Observation | ObservationComponent
) -> None:
    for coding in part.code.coding:
        analyte = ANALYTE_BY_LOINC.get(coding.code)  # type: ignore[arg-type]  # None is simply not in the table
        if analyte is not None and (coding.system == LOINC or coding.system is None):
            key = analyte.key
            if key in found:
                found[key].append((observation, part, coding.code or ""))
            else:
                found[key] = [(observation, part, coding.code or "")]
            return


def newest_first(parts: Iterable[CodedPart]) -> list[Candidate]:
    """Candidates without a date first (they will be refused and named), then newest first."""
    candidates = [Candidate(observation, part, code, effective_time(observation)) for observation, part, code in parts]
    if len(candidates) > 1:
        candidates.sort(key=_recency)
    return candidates


def _recency(candidate: Candidate) -> float:
    return -candidate.time.instant if candidate.time is not None else _UNDATED


def measure(analyte: Analyte, candidate: Candidate, as_of_epoch: float) -> Measurement | Refusal | None:
    """The usable number of a candidate, or why it is refused; None when there is no value to speak of."""
    observation, part = candidate.observation, candidate.part
    if observation.status in NEVER_A_FACT:
        return None
    quantity = part.valueQuantity
    if quantity is None or quantity.value is None:
        return _without_number(analyte, candidate)
    if observation.status not in USABLE_STATUS:
        return _refuse(candidate, "not-final", f"{analyte.words} has status {observation.status}, not final")
    if candidate.time is None:
        return _refuse(candidate, "no-date", f"{analyte.words} has no readable date")
    if candidate.time.is_after(as_of_epoch):
        return _refuse(candidate, "future", f"{analyte.words} is dated in the future ({candidate.time.date})")
    if analyte.refused_when_haemolysed and _is_haemolysed(candidate):
        return _refuse(candidate, "haemolysed", f"{analyte.words} is from a haemolysed sample")
    return _converted(analyte, candidate, quantity, quantity.value, candidate.time)


def _converted(
    analyte: Analyte, candidate: Candidate, quantity: Quantity, charted: float, time: FhirTime
) -> Measurement | Refusal:
    unit = quantity.code if quantity.code is not None else quantity.unit or ""
    conversion = analyte.conversion(unit)
    if quantity.unit is not None and quantity.unit != unit:
        spoken = analyte.conversion(quantity.unit)
        if conversion is None:
            conversion, unit = spoken, quantity.unit
        elif spoken is not None and spoken != conversion:
            return _refuse(
                candidate,
                "unit-conflict",
                f"{analyte.words} {charted:g}: unit says {quantity.unit}, code says {quantity.code}",
            )
    if conversion is None:
        if not unit:
            return _refuse(candidate, "no-unit", f"{analyte.words} {charted:g} has no unit")
        return _refuse(candidate, "unknown-unit", f"{analyte.words} {charted:g} has the unknown unit {unit[:20]!r}")
    if quantity.comparator:
        return _refuse(
            candidate, "not-exact", f"{analyte.words} {quantity.comparator}{charted:g} {unit} is not an exact value"
        )
    value = charted * conversion.factor + conversion.offset
    if not analyte.plausible_low <= value <= analyte.plausible_high:
        return _refuse(candidate, "implausible", f"{analyte.words} {charted:g} {unit} is outside the plausible range")
    return Measurement(
        analyte.key, value, analyte.unit, time, candidate.source, candidate.code, charted, quantity.unit or unit
    )


def _without_number(analyte: Analyte, candidate: Candidate) -> Refusal | None:
    part: Any = candidate.part
    if part.valueString or part.valueInteger is not None or part.valueCodeableConcept is not None:
        return _refuse(candidate, "no-quantity", f"{analyte.words} has a value that is no number with a unit")
    if part.dataAbsentReason is not None or part.valueQuantity is not None:
        return _refuse(candidate, "data-absent", f"{analyte.words} has no value (data absent)")
    return None


def _refuse(candidate: Candidate, reason: str, text: str) -> Refusal:
    when = f" on {candidate.time.date}" if candidate.time is not None and reason != "future" else ""
    return Refusal(candidate.source, reason, f"{text}{when}: not used.")


def _is_haemolysed(candidate: Candidate) -> bool:
    observation = candidate.observation
    texts = [note.text or "" for note in observation.note]
    texts += [f"{concept.words} {coding.code}" for concept in observation.interpretation for coding in concept.coding]
    texts += [concept.words for concept in observation.interpretation]
    return any(_says_haemolysed(text.lower()) for text in texts)


def _says_haemolysed(text: str) -> bool:
    return any(word in text for word in _HAEMOLYSED) and not any(word in text for word in _NOT_HAEMOLYSED)
