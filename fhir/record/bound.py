"""Results that say only on which side of a number they lie: "eGFR > 60", "< 15", as a comparator or in words."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from fhir.record.measurement import USABLE_STATUS, CodedPart, Measurement, all_parts, effective_time
from fhir.record.resources import Observation
from fhir.terminology.analytes import Analyte

Side: TypeAlias = Literal[">", ">=", "<", "<="]

_SIDES: dict[str, Side] = {">": ">", ">=": ">=", "≥": ">=", "<": "<", "<=": "<=", "≤": "<="}
_WORDS = re.compile(r"\s*(?P<side>>=|<=|[<>≥≤])\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>\S.*?)?\s*")


class Bound(Struct, frozen=True, gc=False):
    """A value that lies on one `side` of `limit`, which carries the unit, the time and the source."""

    side: Side
    limit: Measurement


def bounds(observations: Iterable[Observation], analyte: Analyte, as_of_epoch: float) -> Iterator[Bound]:
    """The usable bounds of an analyte, newest first; what is not final, undated or in an unknown unit is left out."""
    for coded in all_parts(observations, analyte.key):
        found = _bound(analyte, coded, as_of_epoch)
        if found is not None:
            yield found


def _bound(analyte: Analyte, coded: CodedPart, as_of_epoch: float) -> Bound | None:
    observation, part, code = coded
    time = effective_time(observation)
    written = _written(part)
    if written is None or observation.status not in USABLE_STATUS or time is None or time.is_after(as_of_epoch):
        return None
    side, number, unit = written
    # Words often leave the unit to the code: ">60".
    conversion = analyte.conversion(unit if unit else analyte.unit)
    if conversion is None:
        return None
    value = number * conversion.factor + conversion.offset
    if not analyte.plausible_low <= value <= analyte.plausible_high:
        return None
    source = f"Observation/{observation.id}" if observation.id else "Observation without id"
    charted = unit or analyte.unit
    return Bound(side, Measurement(analyte.key, value, analyte.unit, time, source, code or "", number, charted))


def _written(part: Any) -> tuple[Side, float, str] | None:
    quantity = part.valueQuantity
    if quantity is not None and quantity.value is not None:
        side = _SIDES.get((quantity.comparator or "").strip())
        unit = quantity.code if quantity.code is not None else quantity.unit or ""
        return (side, quantity.value, unit) if side is not None else None
    match = _WORDS.fullmatch(part.valueString or "")
    return (_SIDES[match["side"]], float(match["number"]), match["unit"] or "") if match is not None else None
