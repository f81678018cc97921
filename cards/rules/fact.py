"""One thing a judgement rests on, with where it stands in the chart."""

from msgspec import Struct


class Fact(Struct, frozen=True, omit_defaults=True, gc=False):
    """A fact of the judgement.

    `name` says what it is: "egfr", "crcl", "creatinine", "body_weight", "age", "medication", a condition key …; `text`
    is what a clinician reads, empty where another fact says it already; `effective` an ISO date or dateTime; `source`
    a reference such as 'Observation/1'.
    """

    name: str
    text: str = ""
    value: float | str | None = None
    unit: str | None = None
    effective: str | None = None
    source: str | None = None
