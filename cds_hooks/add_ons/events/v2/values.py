"""Maps fields of HL7 v2 to FHIR: coded fields, times with their precision and zone, and the value of an OBX segment.

A number (OBX-2, 5, 6) is read as it stands, or refused with the reason. Codes are mapped by the code tables of HL7's
v2-to-FHIR guide (`codes.csv`).

`codes.csv` has codes of HL7's tables 0001, 0004, 0085, 0119, 0127, 0128, 0162, 0322 and 0335 with what the concept maps
of the guide (HL7 Version 2 to FHIR, spreadsheets, read 2026-11-22 and 2026-11-25) give for them. Where a map leaves the
choice open, the code is the one that counts as less certain: a result that is not verified (R) or in part (S) is
preliminary. A request to cancel or hold (CA, HD) leaves an order active, as the guide says: it ends when that is
confirmed. Recurring patients and obstetrics have an own code in the guide and the ActCode of an outpatient and an
inpatient here.

The names of code systems are those of HL7 table 0396, and CPT as senders write it. A name with a star stands for all
that begin so and end with a year (national systems) or the number of a table of HL7. SNM, SNM3 and SNT are editions of
SNOMED before SNOMED CT, with other codes, so they have no address here.
"""

import csv
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from cds_hooks.add_ons.events.v2.message import Segment

_DIGITS: Final = r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})"
"""A number (NM): the point may begin or end it."""
_NUMBER: Final = re.compile(_DIGITS)
_COMMA: Final = re.compile(r"[+-]?[0-9]{1,12},[0-9]{1,12}")
_COMPARED: Final = re.compile(rf"(<=|>=|<|>) ?({_DIGITS})")
_COMPARATORS: Final = frozenset({"<", "<=", ">=", ">"})
_CODED: Final = frozenset({"CE", "CWE", "CNE", "IS", "CF"})
_TEXT: Final = frozenset({"ST", "TX", "FT", "VR"})
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def observation_value(obx: Segment, zone: tzinfo, decimal: str) -> tuple[dict[str, Any], str | None]:
    """Return the members of an Observation for its value, and what is wrong with it; None where nothing is."""
    kind = obx.text(2)
    if not obx.whole(5) or obx.whole(5) == '""':
        return {}, None
    if kind in ("NM", "SN") and obx.repetitions(5) > 1:
        return {"valueString": obx.whole(5)}, "repeated-number"
    if kind == "NM":
        return _number(obx, obx.text(5), decimal)
    if kind == "SN":
        return _structured(obx, decimal)
    if kind in _CODED:
        value = concept(obx, 5)
        return ({"valueCodeableConcept": value} if value else {}), None
    if kind in ("DT", "DTM", "TS"):
        time = read_time(obx.text(5), zone)
        return ({"valueDateTime": time.text} if time is not None else {}), None
    return _text(obx, decimal) if kind in _TEXT else ({"valueString": obx.text(5)}, None)


def _number(obx: Segment, text: str, decimal: str) -> tuple[dict[str, Any], str | None]:
    if decimal == "," and _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    elif _COMMA.fullmatch(text):
        return {"dataAbsentReason": _absent("error", f"{text} has a decimal comma")}, "decimal-comma"
    if _NUMBER.fullmatch(text):
        return _quantity(obx, text)
    compared = _COMPARED.fullmatch(text)
    if compared is not None:
        return _quantity(obx, compared[2], compared[1])
    return {"dataAbsentReason": _absent("error", text[:80])}, "text-in-number"


def _structured(obx: Segment, decimal: str) -> tuple[dict[str, Any], str | None]:
    comparator, first, separator, second = (obx.text(5, part) for part in (1, 2, 3, 4))
    if not separator and not second and first:
        members, fault = _number(obx, first, decimal)
        if "valueQuantity" in members and comparator in _COMPARATORS:
            members["valueQuantity"]["comparator"] = comparator
        elif "valueQuantity" in members and comparator not in ("", "="):
            return {"valueString": f"{comparator} {first}"}, None
        return members, fault
    if separator == "-" and _NUMBER.fullmatch(first) and _NUMBER.fullmatch(second):
        bounds = {"low": _quantity(obx, first)[0], "high": _quantity(obx, second)[0]}
        return {"valueRange": {name: bound["valueQuantity"] for name, bound in bounds.items()}}, None
    if separator in ("/", ":") and _NUMBER.fullmatch(first) and _NUMBER.fullmatch(second):
        parts = {"numerator": {"value": _json_number(first)}, "denominator": {"value": _json_number(second)}}
        return {"valueRatio": parts}, None
    return {"valueString": " ".join(part for part in (comparator, first, separator, second) if part)}, None


def _text(obx: Segment, decimal: str) -> tuple[dict[str, Any], str | None]:
    """Return a number in a text is a number where it has a unit or a comparator: laboratories send "<0.01" so."""
    text = "\n".join(obx.text(5, repetition=at) for at in range(obx.repetitions(5)))
    if obx.text(2) == "ST" and (_COMPARED.fullmatch(text) or (obx.text(6) and _NUMBER.fullmatch(text))):
        return _number(obx, text, decimal)
    whole = text if obx.repetitions(5) > 1 else obx.unescaped(obx.whole(5))
    return {"valueString": whole}, None


def _quantity(obx: Segment, number: str, comparator: str = "") -> tuple[dict[str, Any], str | None]:
    quantity: dict[str, Any] = {"value": _json_number(number)}
    if comparator:
        quantity["comparator"] = comparator
    code, words, system = obx.text(6), obx.text(6, 2), obx.text(6, 3)
    if not code and not words:
        return {"valueQuantity": quantity}, "no-unit"
    quantity["unit"] = code or words
    if code_system(system) == "http://unitsofmeasure.org":
        quantity |= {"system": "http://unitsofmeasure.org", "code": code}
    return {"valueQuantity": quantity}, None


def _json_number(text: str) -> float | int:
    return float(text) if "." in text else int(text)


def json_number(text: str) -> float | int | None:
    """Return the number that a text is; None for any other text."""
    return _json_number(text) if _NUMBER.fullmatch(text) else None


def _absent(code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": _ABSENT, "code": code}], "text": text}


@cache
def _tables() -> dict[str, dict[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    with (Path(__file__).parent / "codes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            tables.setdefault(row["table"], {})[row["v2"]] = row["fhir"]
    return tables


def code_table(name: str) -> dict[str, str]:
    """Return the FHIR code of each code of a table."""
    return _tables()[name]


def code_system(name: str) -> str:
    """Return the address of a code system by its name in HL7 table 0396; one that is not known keeps its name.

    >>> code_system("C4"), code_system("HL70162"), code_system("ICD10GM2026")[-9:], code_system("SNM")
    ('http://www.ama-assn.org/go/cpt', 'http://terminology.hl7.org/CodeSystem/v2-0162', 'icd-10-gm', 'urn:v2:SNM')
    """
    systems = code_table("code-system")
    if name in systems:
        return systems[name]
    if re.fullmatch("HL7[0-9]{4}", name):
        return systems["HL7*"] + name[3:]
    family = re.sub("[0-9]{4}$", "*", name)
    return systems.get(family, f"urn:v2:{name}")


def mapped(table: str, code: str, system: str) -> list[dict[str, Any]]:
    """Return the coding that a table of the guide has for a code beside its own; none where it has none."""
    fhir = code_table(table).get(code.upper())
    return [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": fhir}] if fhir else []


def concept(segment: Segment, number: int, *, repetition: int = 0) -> dict[str, Any] | None:
    """Return the CodeableConcept of a field (CE, CWE, CNE) with both its codings; None where it is empty."""
    codings = []
    for start in (1, 4):
        code = segment.text(number, start, repetition=repetition)
        words = segment.text(number, start + 1, repetition=repetition)
        system = segment.text(number, start + 2, repetition=repetition)
        if code:
            coding = {"code": code}
            if system:
                coding["system"] = code_system(system)
            if words:
                coding["display"] = words
            codings.append(coding)
    text = segment.text(number, 9, repetition=repetition) or segment.text(number, 2, repetition=repetition)
    value: dict[str, Any] = {}
    if codings:
        value["coding"] = codings
    if text:
        value["text"] = text
    return value or None


_TIME: Final = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\.\d{1,6})?([+-]\d{4})?")

_DAY_LENGTH: Final = len("2026-11-20")


class FeedTime(Struct, frozen=True):
    """A time: as FHIR writes it, as epoch seconds of its beginning, and what about it is not certain."""

    text: str
    epoch: float
    notes: tuple[str, ...] = ()
    has_no_offset: bool = False
    """Whether a time of day came without its offset from UTC."""

    @property
    def is_day(self) -> bool:
        """Whether it has no time of day."""
        return len(self.text) <= _DAY_LENGTH


def read_time(text: str, zone: tzinfo) -> FeedTime | None:
    """Return the time of a field; None where it is none.

    A time without an offset is in the zone of the feed. In the hour that a clock change repeats the first of both is
    taken and noted; an hour that the change leaves out is noted, too.

    >>> read_time("20261120", UTC).text
    '2026-11-20'
    >>> from zoneinfo import ZoneInfo
    >>> read_time("202611010130", ZoneInfo("America/New_York")).notes
    ('ambiguous-time',)
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        moment = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(int(second or 0), 59),
            tzinfo=_offset(offset) if offset else zone,
        )  # fmt: skip
        epoch = moment.astimezone(UTC).timestamp() + float(fraction or 0)
    except (ValueError, OverflowError):
        return None
    if minute is None:  # FHIR has no time with hours alone
        date = "-".join(part for part in (year, month, day) if part is not None)
        return FeedTime(date, epoch, ("hour-only",) if hour else ())
    return FeedTime(moment.isoformat(timespec="seconds"), epoch, () if offset else _doubts(moment, zone), not offset)


def zone_of(text: str, zone: tzinfo) -> tzinfo:
    """Return the offset of a time as a zone, else `zone`.

    >>> zone_of("20261120101500+0100", UTC)
    datetime.timezone(datetime.timedelta(seconds=3600))
    """
    match = _TIME.fullmatch(text.strip())
    try:
        return _offset(match[8]) if match is not None and match[8] else zone
    except ValueError:
        return zone


def _offset(text: str) -> timezone:
    minutes = int(text[1:3]) * 60 + int(text[3:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _doubts(moment: datetime, zone: tzinfo) -> tuple[str, ...]:
    again = moment.replace(fold=1)
    if moment.utcoffset() == again.utcoffset():
        return ()
    is_real = moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment.replace(tzinfo=None)
    return ("ambiguous-time",) if is_real else ("time-left-out",)
