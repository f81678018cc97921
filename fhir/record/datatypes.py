"""Lean FHIR R4 data types: codes, references, quantities, timings and dosages, each with the elements that are read.

`gc=False` keeps thousands of small objects out of the garbage collector; they hold no cycles.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

LONGEST_TEXT = 2000
"""The most characters of one text of a chart; `fhir/record/decoding.py` cuts a longer one and says so.

The longest text of the sample charts has 426.
"""

ChartText: TypeAlias = Annotated[str, Meta(max_length=LONGEST_TEXT)]
"""A text as it was charted: the decoder checks its length, so no reader is ever handed an endless one."""


class Element(Struct, frozen=True, gc=False):
    """Base class of the lean types."""


class Coding(Element, frozen=True, gc=False):
    """A code of a code system; `system` None means that the sender did not name one."""

    system: ChartText | None = None
    code: ChartText | None = None
    display: ChartText | None = None


class CodeableConcept(Element, frozen=True, gc=False):
    """A concept as codes and text, either of which may be missing."""

    coding: tuple[Coding, ...] = ()
    text: ChartText | None = None

    @property
    def words(self) -> str:
        """What a person reads: the text, else the first display, else the first code, else ''."""
        if self.text:
            return self.text
        for coding in self.coding:
            if coding.display:
                return coding.display
        return self.coding[0].code or "" if self.coding else ""

    def has(self, code: str) -> bool:
        """Whether any coding carries this code, whatever its system (for closed value sets such as status codes)."""
        return any(coding.code == code for coding in self.coding)


class BareCoding(Element, frozen=True, gc=False):
    """A code without its display: a chart has hundreds of Observations, and their displays are not used."""

    system: ChartText | None = None
    code: ChartText | None = None


class ObservationCode(Element, frozen=True, gc=False):
    """What was measured, as codes."""

    coding: tuple[BareCoding, ...] = ()


class Subject(Element, frozen=True, gc=False):
    """A reference to the patient whom a resource is about."""

    reference: ChartText | None = None


class Identifier(Element, frozen=True, gc=False):
    """A business identifier."""

    system: ChartText | None = None
    value: ChartText | None = None


class Reference(Element, frozen=True, gc=False):
    """A reference to another resource."""

    reference: ChartText | None = None
    display: ChartText | None = None
    identifier: Identifier | None = None


class Period(Element, frozen=True, gc=False):
    """A span of time, either end of which may be open."""

    start: ChartText | None = None
    end: ChartText | None = None


class Quantity(Element, frozen=True, gc=False):
    """A number with its unit: `code` is for machines (UCUM), `unit` is what a person reads."""

    value: float | None = None
    comparator: ChartText | None = None
    unit: ChartText | None = None
    code: ChartText | None = None


class Range(Element, frozen=True, gc=False):
    """A low and a high quantity."""

    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Element, frozen=True, gc=False):
    """A quantity per a quantity."""

    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Annotation(Element, frozen=True, gc=False):
    """A note."""

    text: ChartText | None = None


class TimingRepeat(Element, frozen=True, gc=False):
    """When an event repeats."""

    boundsDuration: Quantity | None = None
    boundsPeriod: Period | None = None
    boundsRange: Range | None = None
    count: int | None = None
    countMax: int | None = None
    frequency: int | None = None
    frequencyMax: int | None = None
    period: float | None = None
    periodMax: float | None = None
    periodUnit: ChartText | None = None
    dayOfWeek: tuple[ChartText, ...] = ()
    timeOfDay: tuple[ChartText, ...] = ()
    when: tuple[ChartText, ...] = ()


class Timing(Element, frozen=True, gc=False):
    """When and how often something is done."""

    event: tuple[ChartText, ...] = ()
    repeat: TimingRepeat | None = None
    code: CodeableConcept | None = None


class DoseAndRate(Element, frozen=True, gc=False):
    """The dose or rate of one administration."""

    type: CodeableConcept | None = None
    doseQuantity: Quantity | None = None
    doseRange: Range | None = None
    rateQuantity: Quantity | None = None
    rateRange: Range | None = None
    rateRatio: Ratio | None = None


class Dosage(Element, frozen=True, gc=False):
    """How a medication is taken."""

    sequence: int | None = None
    text: ChartText | None = None
    patientInstruction: ChartText | None = None
    additionalInstruction: tuple[CodeableConcept, ...] = ()
    timing: Timing | None = None
    asNeededBoolean: bool | None = None
    asNeededCodeableConcept: CodeableConcept | None = None
    route: CodeableConcept | None = None
    doseAndRate: tuple[DoseAndRate, ...] = ()
    maxDosePerPeriod: Ratio | None = None
