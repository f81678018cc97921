"""Converts an Observation to a number that may be used, or to the reason why it may not be used."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import compress
from operator import itemgetter
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from fhir.record.datatypes import CodeableConcept, FhirTime, Quantity, parse_time, plain, quoted, two_days_before
from fhir.record.refusals import Refusal
from fhir.record.resources import Observation, ObservationComponent
from fhir.terminology.analytes import (
    ANALYTE_BY_CODE,
    ANALYTES,
    ANSWER,
    LOINC_OR_UNNAMED,
    LOINC_SYSTEMS,
    Analyte,
    analyte_of_full_name,
    analyte_of_name,
    another_test_of,
    is_another_fluid,
    is_panel,
)
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import imported_meaning
from fhir.terminology.imported import analytes_by_code, is_used
from fhir.terminology.units import unit_parts

# README of the medication tables: "newest usable value (unit known, plausible, final, not haemolysed)".
USABLE_STATUS = frozenset({"final", "amended", "corrected"})
_CORRECTED = frozenset({"amended", "corrected"})
ENTERED_IN_ERROR = "entered-in-error"
STATUS_NEVER_USED = frozenset({ENTERED_IN_ERROR, "cancelled"})
UNDATED = float("inf")
"""The epoch second of what has no date: before everything else, because it is refused and named."""
# Where the offset begins in 2026-11-20T09:00:00+01:00; a date alone has none.
_OFFSET = 19
_HAEMOLYSED = ("hemoly", "haemoly")
_NOT_HAEMOLYSED = ("no hemoly", "no haemoly", "not hemoly", "not haemoly", "non-hemoly", "non-haemoly", "nonhemoly")


# An Observation, or one component of it, that carries a code of an analyte: the Observation, the part with the value,
# the code. A plain tuple, because there are hundreds in a chart.
CodedPart: TypeAlias = tuple[Observation, Observation | ObservationComponent, str | None]


Side: TypeAlias = Literal[">", ">=", "<", "<="]


class Measurement(Struct, frozen=True, gc=False):
    """One usable number in the analyte's canonical unit, with the number and unit that were charted.

    `side` is None but where only the side of the number was reported on which the value lies (">6.4").
    """

    analyte: str
    value: float
    unit: str
    time: FhirTime
    source: str
    code: str
    charted_value: float
    charted_unit: str
    side: Side | None = None

    def age_days(self, as_of_epoch: float) -> float:
        """Days from the measurement to `as_of_epoch`."""
        return self.time.age_days(as_of_epoch)

    def whole_days(self, as_of_epoch: float) -> int:
        """Completed days from the measurement to `as_of_epoch`."""
        return self.time.whole_days(as_of_epoch)


_SIDES: dict[str, Side] = {">": ">", ">=": ">=", "≥": ">=", "<": "<", "<=": "<=", "≤": "<="}
_WORDS = re.compile(
    r"\s*(?:[A-Za-z]{2,12}:? )?(?P<side>>=|<=|[<>≥≤]|(?:over|above|under|below"
    r"|(?:greater|more|higher|less|lower) than)\b)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>\S.*)?\s*",
    re.IGNORECASE,
)
_UNDER = re.compile(r"under|below|less|lower", re.IGNORECASE)


class OneSidedResult(Struct, frozen=True, gc=False):
    """A value that lies on one `side` of `limit`, which carries the unit, the time and the source."""

    side: Side
    limit: Measurement


def effective_time(observation: Observation) -> FhirTime | None:
    """When it was measured: effective[x], a period by its end or else its start; `issued`, which is later, without it.

    `issued` is when the result was reported: where nothing says when it was measured, it was no later than that.
    """
    text = observation.effectiveDateTime
    if text:
        return parse_time(text)
    if text is None:
        text = observation.effectiveInstant
        if text is None and observation.effectivePeriod is not None:
            text = observation.effectivePeriod.end or observation.effectivePeriod.start
        elif text is None:
            text = observation.issued
    return parse_time(text)


SMOKING_STATUS = "smoking_status"
"""The key of answers to "Tobacco smoking status" (LOINC 72166-2), which are no measurements."""

GENOMICS = "genomics"
"""The key of genetic results with a LOINC code, which are no measurements."""

SEX_AT_BIRTH = "sex_at_birth"
"""The key of the sex that was assigned at birth, an answer and no measurement."""
SCREENING = "screening"
"""The key of screening tests and of facts about smoking (tables/analytes.csv), which are no measurements."""

PACK_YEARS = frozenset({"8664-5", "401201003", "782516008"})
"""Cigarette pack-years in LOINC and SNOMED CT, as US Core lets them be coded (fhir/mapping/tobacco.py reads them)."""

OTHER = ""
"""The key of Observations whose own code is of no analyte and no question of the tables."""

OTHER_EQUATIONS: Final = frozenset({"48643-1", "88293-6", "50384-7", "50210-4", "76633-7"})
"""LOINC codes of a GFR by an equation whose value no rule takes: with a factor for race (MDRD, CKD-EPI 2009), that of
Schwartz for children, and by cystatin C alone. It is refused and named, so that nobody is told that none came."""

NUMBER_BY_LOINC = dict.fromkeys(OTHER_EQUATIONS, "egfr") | {
    code: analyte.key for code, analyte in ANALYTE_BY_CODE.items()
}
_OF_LOINC = "-"
"""What each code of LOINC has and none of NPU or SNOMED CT, whose codes are read whatever address the system has."""
KEY_BY_LOINC = NUMBER_BY_LOINC | {"72166-2": SMOKING_STATUS}


_IMPORTED: Final[set[str]] = set()


def read_imported_codes() -> None:
    """Add the LOINC codes of the imported releases to those that are read, instead of those of the index before."""
    imported = analytes_by_code()
    for code in _IMPORTED - imported.keys():
        for table in (ANALYTE_BY_CODE, NUMBER_BY_LOINC, KEY_BY_LOINC):
            table.pop(code, None)
    _IMPORTED.clear()
    _IMPORTED.update(imported)
    ANALYTE_BY_CODE.update({code: ANALYTES[key] for code, key in imported.items()})
    NUMBER_BY_LOINC.update(imported)
    KEY_BY_LOINC.update(imported)


def parts_by_analyte(observations: Iterable[Observation]) -> dict[str, list[CodedPart]]:
    """Every Observation or component by the key of its analyte (`OTHER` for none), in the order they came.

    The hot path of a large chart: one pass, and nothing is parsed or compared before somebody asks.
    """
    parts: defaultdict[str, list[CodedPart]] = defaultdict(list)
    key_of, key_of_number = KEY_BY_LOINC.get, NUMBER_BY_LOINC.get
    for observation in observations:
        for coding in observation.code.coding:
            code = coding.code
            key = key_of(code)
            if key is not None and (coding.system in LOINC_OR_UNNAMED or _OF_LOINC not in code):
                parts[key].append((observation, observation, code))
                break
        else:
            parts[analyte_in_words(observation) or OTHER].append((observation, observation, None))
        for key, pressure in _pressures_in_words(observation) if observation.valueString else ():
            parts[key].append((observation, pressure, None))
        for component in observation.component:
            for coding in component.code.coding:
                code = coding.code
                key = key_of_number(code)
                if key is not None and (coding.system in LOINC_OR_UNNAMED or _OF_LOINC not in code):
                    parts[key].append((observation, component, code))
                    break
            else:
                if is_panel(observation.code.texts) and (key := analyte_in_words(observation, component)) is not None:
                    parts[key].append((observation, component, None))
    return parts


# LOINC, panels of a blood pressure; "162/98 mmHg" in kPa would be 22/13.
_PRESSURE_CODES: Final = frozenset({"85354-9", "55284-4", "35094-2"})
_PRESSURE: Final = re.compile(r"(?P<sbp>[1-3]?\d\d) ?/ ?(?P<dbp>1?\d\d)(?: ?mm ?\[?hg\]?)?(?:[ ,;(]\D{,60})?", re.I)


def _pressures_in_words(observation: Observation) -> Iterator[tuple[str, ObservationComponent]]:
    """Yield the two parts of a blood pressure that is written as one text, which is how some systems keep it."""
    both, concept = _PRESSURE.fullmatch(observation.valueString or ""), observation.code
    if both and (any(map(concept.has, _PRESSURE_CODES)) or is_panel(concept.texts, {"pressure"})):
        for key, number in both.groupdict().items():
            yield key, ObservationComponent(code=concept, valueQuantity=Quantity(float(number), unit="mmHg"))


def analyte_in_words(observation: Observation, part: Observation | ObservationComponent | None = None) -> str | None:
    """Return the analyte by the name of a result, or of a `part` of it, with a value and no code of the tables.

    It is None where the name fits none, and where the specimen is another fluid. Beside a LOINC code that is not in
    the tables only a name that says in what it was measured is read: "Potassium" may be that of urine.
    """
    part = part or observation
    quantity = part.valueQuantity
    key = _analyte_of_code_or_name((part.code, (quantity.code or quantity.unit) if quantity is not None else ""))
    if key is None:
        return None
    values = (
        quantity,
        part.valueString,
        part.valueInteger,
        part.valueCodeableConcept,
        part.valueRange,
        part.valueRatio,
    )
    if values.count(None) == len(values):
        return None
    site = observation.bodySite.words if observation.bodySite is not None else ""
    fluid = f"{site} {(observation.specimen and observation.specimen.display) or ''}"
    return key if not is_another_fluid(fluid) else None


@remembered("analytes of results by name", entries=2048, longest=400)
def _analyte_of_code_or_name(code_and_unit: tuple[CodeableConcept, str]) -> str | None:
    code, unit = code_and_unit
    for coding in code.coding if is_used() else ():
        if (imported := imported_meaning(coding.system, coding.code)) is not None and imported.analyte:
            return imported.analyte
    texts = [*code.texts]
    if any(coding.system in LOINC_SYSTEMS for coding in code.coding):
        return next((key for text in texts if (key := analyte_of_full_name(text)) is not None), None)
    if unit:
        texts += [f"{text} {unit}" for text in texts]  # "urea" is urea nitrogen in mmol/L only
    return next((key for text in texts if (key := analyte_of_name(text)) is not None), None)


RESULTS_UNREADABLE = "results-unreadable"
"""The reason of what is not known because results have no code that is read."""
_MOST_NAMED = 3


def refusal_of_unread(others: Iterable[CodedPart]) -> list[Refusal]:
    """How many numeric results have neither a LOINC code nor the name of a test that is known; empty for none.

    `others` are those of no analyte. What they say is not known, so a value that seems absent may be among them.
    """
    names: dict[str, str] = {}
    count = 0
    for observation, _, _ in others:
        quantity = observation.valueQuantity or _quantity_with_unit_in_words(observation)
        if quantity is None or quantity.value is None or observation.status not in USABLE_STATUS:
            continue
        if (name_and_code := _name_of_unread(observation.code)) is not None:
            count += 1
            names.setdefault(*name_and_code)
    if not count:
        return []
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    what = "1 numeric result has" if count == 1 else f"{count} numeric results have"
    text = f"{what} no code that could be read: {'; '.join(list(names)[:_MOST_NAMED])}{more}."
    return [Refusal("results", RESULTS_UNREADABLE, text, code=" ".join(names.values()))]


@remembered("names of results that are not read", entries=2048, longest=400)
def _name_of_unread(concept: CodeableConcept) -> tuple[str, str] | None:
    """Return the name and the code of a result of no analyte; None where LOINC or pack-years say what it is."""
    codings = concept.coding
    if any(coding.system in LOINC_SYSTEMS or coding.code in PACK_YEARS for coding in codings):
        return None
    code = next((f"{coding.system or ''}|{coding.code}" for coding in codings if coding.code), "text")
    words = concept.text or next((coding.display for coding in codings if coding.display), None)
    return words or code.rpartition("|")[2], code


def newest_parts(parts: Sequence[CodedPart]) -> tuple[CodedPart, list[CodedPart]]:
    """Return the newest of them, of equal ones the first, and all of its instant; one without a date is the newest.

    A corrected report replaces the others of its instant, if that is no whole day.
    """
    if len(parts) == 1:
        return parts[0], [parts[0]]
    last = _of_the_last_days(parts)
    newest = last[0]
    if len(last) == 1:
        return newest, last
    for part in last[1:]:
        if _is_newer(part[0], newest[0]):
            newest = part
    instant = _recency(newest[0])
    at_once = [part for part in last if part is newest or _recency(part[0]) == instant]
    corrected = [part for part in at_once if part[0].status in _CORRECTED]
    if not corrected or len(at_once) == 1 or "T" not in (corrected[0][0].effectiveDateTime or ""):
        return newest, at_once
    return corrected[0], corrected


def _of_the_last_days(parts: Sequence[CodedPart]) -> list[CodedPart]:
    """Those that can be the newest by their texts, so that few dates are parsed; all where the texts do not say.

    Offsets lie between -12 and +14 hours: what is written more than two days before the last text is not the newest.
    """
    texts = [part[0].effectiveDateTime for part in parts]
    earliest = None if None in texts else two_days_before(max(texts)[:10])  # type: ignore[type-var,index]  # none is None
    return list(parts) if earliest is None else list(compress(parts, map(earliest.__le__, texts)))  # type: ignore[arg-type]


TimedPart: TypeAlias = tuple[CodedPart, float, FhirTime | None]
"""A part with the epoch second of its time, `UNDATED` where it has none, and the time."""


def newest_first(parts: Sequence[CodedPart]) -> list[TimedPart]:
    """Sort the parts, the newest first; equal ones keep their order. What has no date stands before all others."""
    times = [effective_time(part[0]) for part in parts]
    timed = zip(parts, [UNDATED if time is None else time.instant for time in times], times, strict=True)
    return sorted(timed, key=itemgetter(1), reverse=True)


def parts_since(parts: Sequence[CodedPart], instant: float) -> Sequence[CodedPart]:
    """Those that may be of that epoch second or later, by their texts, so that few dates are parsed.

    Offsets lie between -12 and +14 hours: what is written more than two days before the day is earlier.
    """
    earliest = two_days_before(datetime.fromtimestamp(instant, UTC).date().isoformat()) if instant > 0 else None
    if earliest is None:
        return parts
    return [part for part in parts if (text := part[0].effectiveDateTime) is None or text >= earliest]


def _is_newer(observation: Observation, other: Observation) -> bool:
    text, other_text = observation.effectiveDateTime, other.effectiveDateTime
    if (
        text is not None
        and other_text is not None
        and len(text) == len(other_text)
        and text[_OFFSET:] == other_text[_OFFSET:]
    ):
        return text > other_text  # written alike and with the same offset: the order of the texts is that of the times
    return _recency(observation) > _recency(other)


def _recency(observation: Observation) -> float:
    time = effective_time(observation)
    return UNDATED if time is None else time.instant


def measure(
    analyte: Analyte, coded: CodedPart, as_of_epoch: float, parsed_time: FhirTime | None = None
) -> Measurement | Refusal | None:
    """Return the usable number of a part, or why it is refused; None when there is no value.

    `parsed_time` is its time, where that was read already.
    """
    observation, part, code = coded
    status = observation.status
    if status in STATUS_NEVER_USED:
        return _withdrawn(analyte, coded)
    answer = _answer(part) if analyte.kind == ANSWER else None  # before a number: "0 Rh negative" is blood group 0
    quantity = part.valueQuantity or answer or _quantity_in_words(part)
    if quantity is None or quantity.value is None:
        return _without_number(analyte, coded)
    if status not in USABLE_STATUS:
        return _refuse(analyte, coded, "not-final", f"has status {plain(status, 20)}, not final")
    text = observation.effectiveDateTime
    time = parsed_time or (parse_time(text) if text else effective_time(observation))
    if time is None:
        return _refuse(analyte, coded, "no-date", "has no readable date")
    if time.instant > as_of_epoch and time.is_after(as_of_epoch):
        return _refuse(analyte, coded, "future", f"is dated in the future ({time.date})")
    if code in OTHER_EQUATIONS:
        return _refuse(analyte, coded, "other-equation", f"was computed by another equation (LOINC {code})")
    other_test = _another_test((analyte.key, part.code)) if code is not None else None
    if other_test is not None:
        name = quoted(other_test)
        return _refuse(analyte, coded, "name-conflict", f"is called {name} beside its code, which is another test")
    if analyte.refused_when_haemolysed and _is_haemolysed(observation):
        return _refuse(analyte, coded, "haemolysed", "is from a hemolyzed sample")
    charted, unit = quantity.value, quantity.code
    conversion, charted_unit = analyte.units.get(unit) if unit else None, quantity.unit or unit
    # Nearly every result has a code that is known and says nothing else beside it: the rest is `_converted`'s.
    is_conflict = charted_unit != unit and analyte.units.get(charted_unit) != conversion
    if conversion is None or quantity.comparator or is_conflict:
        return _converted(analyte, coded, quantity, charted, time)
    value = charted * conversion.factor + conversion.offset
    if not analyte.plausible_low <= value <= analyte.plausible_high:
        return _converted(analyte, coded, quantity, charted, time)
    source = observation.source
    return Measurement(analyte.key, value, analyte.unit, time, source, code or "", charted, charted_unit)


@remembered("names beside the code of a result", entries=2048, longest=400)
def _another_test(key_and_concept: tuple[str, CodeableConcept]) -> str | None:
    """Return the name of another test that stands beside the code of the analyte."""
    key, concept = key_and_concept
    return another_test_of(key, concept.texts)


def _converted(
    analyte: Analyte, coded: CodedPart, quantity: Quantity, charted: float, time: FhirTime
) -> Measurement | Refusal:
    unit = quantity.code or quantity.unit
    conversion = analyte.conversion(unit)
    charted_unit = unit
    if quantity.unit not in ("", unit):
        worded = analyte.conversion(quantity.unit)
        if worded is not None and quantity.unit:
            charted_unit = quantity.unit  # any other text beside a code that is known is not repeated
        if conversion is None:
            conversion, unit = worded, quantity.unit
        elif worded is not None and worded != conversion:
            return _refuse(
                analyte,
                coded,
                "unit-conflict",
                f"{charted:g}: unit says {plain(quantity.unit, 20)}, code says {plain(unit, 20)}",
            )
    if conversion is None:
        if not unit:
            return _refuse(analyte, coded, "no-unit", f"{charted:g} has no unit")
        return _refuse(analyte, coded, "unknown-unit", f"{charted:g} has the unknown unit {quoted(unit)}")
    if quantity.comparator:
        return _refuse(
            analyte,
            coded,
            "not-exact",
            f"{quantity.comparator}{charted:g} {unit} is not an exact value",
        )
    value = charted * conversion.factor + conversion.offset
    if not analyte.plausible_low <= value <= analyte.plausible_high:
        return _refuse(analyte, coded, "implausible", f"{charted:g} {unit} is outside the plausible range")
    return Measurement(analyte.key, value, analyte.unit, time, coded[0].source, coded[2] or "", charted, charted_unit)


# "6.4 mmol/L", "6,4 mmol/l", "6.4 H mmol/L"; a comma before three digits marks thousands where cells are counted.
_NUMBER_WITH_UNIT = re.compile(
    r"(?:[=↑↓*!] ?)?(?P<whole>-?\d{1,7})(?:(?:\.(?P<point>\d{1,6}))|(?:,(?P<comma>\d{1,2})))?"
    r"(?:(?: \(?(?:HH?|LL?)| ?\(?[↑↓*!]{1,2})\)?(?= \S))? ?(?P<unit>[^\d.,].{0,30})?"
)
_CELLS = re.compile(r"([1-9]\d{0,2}(?:[.,]\d{3})+) ?((?:cells|c[ée]l\w*)?/ ?(?:[uµμ]L|mcL|mm[3³]))", re.IGNORECASE)


# "6.4 mmol/L (H)": what is said of the number behind its unit; the L of "mmol / L" is the unit's. "85 kg (187 lb 6 oz)"
# says it again in other units, "(3.5-5.1)" what is usual.
_FLAG = re.compile(
    r"(?:(?<![/ ])(?: [(\[]?|[(\[])"
    r"[*!]{0,2}(?:HH?|LL?|[↑↓]{1,2}|(?:very |critical(?:ly)? |panic )?(?:high|low|critical|panic))[)\]]?)?"
    r"[*!]{0,3}$"
    r"|(?<=\d)(?:HH?|LL?)$"
    r"| ?[(\[](?:ref[.:]* ?)?[<>]?\d[\d.,]*(?: ?[-–] ?\d[\d.,]*(?: [^()\d]{1,12})?"
    r"| ?(?:lb|oz|kg|°?[FC]|'|\"|[a-zµμ]{1,5}/[a-z])[^()]{0,9})?[)\]]$",
    re.IGNORECASE,
)


# 5' 10", 5 ft 10 in: a height.
_FEET = re.compile(r"(\d) ?(?:['′]|ft\.?|feet) ?(\d{1,2}(?:\.\d)?) ?(?:[\"″]|''|in\.?|inches)?", re.IGNORECASE)
_POUNDS = re.compile(
    r"(\d{1,3}) ?(?:lbs?|pounds?)\.?,? ((?:1[0-5]|\d)(?:\.\d{1,2})?) ?(?:oz\.?|ounces?)", re.IGNORECASE
)


def _quantity_in_words(part: Observation | ObservationComponent) -> Quantity | None:
    """Return the number and unit of a result that came as text or as an integer; None where the text is no number."""
    if part.valueInteger is not None:
        return Quantity(float(part.valueInteger))
    words = _FLAG.sub("", _words_of(part))
    if (feet := _FEET.fullmatch(_words_of(part))) is not None:
        return Quantity(12 * float(feet[1]) + float(feet[2]), unit="in")
    if (pounds := _POUNDS.fullmatch(words)) is not None:
        return Quantity(float(pounds[1]) + float(pounds[2]) / 16, unit="lb")
    if (cells := _CELLS.fullmatch(words)) is not None:
        return Quantity(float(re.sub("[.,]", "", cells[1])), unit=cells[2])
    match = _NUMBER_WITH_UNIT.fullmatch(words)
    if match is None:
        return None
    fraction = match["point"] or match["comma"]
    number = float(f"{match['whole']}.{fraction}" if fraction else match["whole"])
    return Quantity(number, unit=(match["unit"] or "").strip())


def _quantity_with_unit_in_words(observation: Observation) -> Quantity | None:
    """Return the number of a text that only a result has: "6.2 mmol/L", not "2 drinks/day"."""
    quantity = _quantity_in_words(observation) if observation.valueString else None
    return quantity if quantity is not None and unit_parts(quantity.unit) is not None else None


# "Not determined", "not possible" and "never tested" are no answer.
_NO = re.compile(
    r"\bneg(?:at|\b)|\bnégat|\bnon-?\s?reac|\b(?:not|never) (?:[\w-]+ ){0,2}(?:detect|react|posit|present\b|evident)"
    r"|\b(?:no|none|neither) (?:[\w-]+ ){0,6}?(?:detect|react|posit|present\b|seen|evid)|^none\b\.?$|\babsent"
    r"|\bnicht (?:\w+ )?(?:nachweis|nachgewies|reakt|detekt|posit|vorhand)|\(-\)"
    r"|^(?:blood )?(?:type|group)?:? ?(?:[abo0]|ab)? ?(?:rh ?)?(?:\(?d\)? ?)?[-−]$",
    re.IGNORECASE,
)
_YES = re.compile(
    r"\bpos(?:it|\b)|\brea[ck]tiv|\bréacti|\bdetected|\bprésent|\bpresent\b|\(\+\)"
    r"|^(?:blood )?(?:type|group)?:? ?(?:(?:[abo0]|ab) ?)?(?:rh ?)?(?:\(?d\)? ?)?\++$",
    re.IGNORECASE,
)


# "Was positive in 2010, now negative": a statement of what was counts no more where another one says what is.
_STATEMENTS = re.compile(r"[;|\n]|\.(?!\d)|,(?!\d)|\bbut\b|(?=\b(?:now|today|currently)\b)", re.IGNORECASE)
_NOW = re.compile(r"\b(?:now|today|currently|repeat\w*)\b", re.IGNORECASE)
_PAST = re.compile(r"\b(?:previous\w*|former\w*|earlier|in (?:19|20)\d\d)\b", re.IGNORECASE)
_WAS = re.compile(r"\b(?:was|were)\b", re.IGNORECASE)
_NORMAL = re.compile(r"\b(?:nilm|normal)\b", re.IGNORECASE)


def newest_statement(words: str) -> str:
    """Return the words of a result without what they say of an earlier one.

    >>> newest_statement("Was positive in 2010, now negative")
    'now negative'
    """
    statements = [text.strip() for text in _STATEMENTS.split(words)]
    if len(statements) == 1:
        return words
    tells_of_now = _NOW.search(words) is not None
    present = [text for text in statements if not (_PAST.search(text) or (tells_of_now and _WAS.search(text)))]
    is_answered = any(pattern.search(text) for text in present for pattern in (_NO, _YES, _NORMAL))
    return "; ".join(filter(None, present)) if is_answered and len(present) < len(statements) else words


# SNOMED CT, as genetic results are read: positive and detected; negative and not detected.
_POSITIVE, _NEGATIVE = frozenset({"10828004", "260373001"}), frozenset({"260385009", "260415000"})


def _answer(part: Observation | ObservationComponent) -> Quantity | None:
    """1 for a test that is positive, 0 for a negative one, by its words or its interpretation; None for neither."""
    concept = part.valueCodeableConcept
    words = newest_statement(part.valueString or (concept.words if concept is not None else ""))
    codes = {coding.code for coding in concept.coding} if concept is not None else set()
    if _NO.search(words) or codes & _NEGATIVE or any(code.has("NEG") for code in part.interpretation):
        return Quantity(0.0, unit="1")
    is_positive = _YES.search(words) or codes & _POSITIVE or any(code.has("POS") for code in part.interpretation)
    return Quantity(1.0, unit="1") if is_positive else None


def _withdrawn(analyte: Analyte, coded: CodedPart) -> Refusal | None:
    """Return a number that was entered in error is named, and is as absent as if it had never been there."""
    observation, part, _ = coded
    if observation.status != ENTERED_IN_ERROR or part.valueQuantity is None or part.valueQuantity.value is None:
        return None
    return _refuse(analyte, coded, ENTERED_IN_ERROR, "was entered in error")


def _without_number(analyte: Analyte, coded: CodedPart) -> Refusal | None:
    part: Any = coded[1]
    values = (part.valueInteger, part.valueCodeableConcept, part.valueRange, part.valueRatio)
    if part.valueString or any(value is not None for value in values):
        return _refuse(analyte, coded, "no-quantity", "has a value that is not a number with a unit")
    if part.dataAbsentReason is not None or part.valueQuantity is not None:
        return _refuse(analyte, coded, "data-absent", "has no value (data absent)")
    return None


def _refuse(analyte: Analyte, coded: CodedPart, reason: str, what: str) -> Refusal:
    """Return a refusal; `what` follows the name of the analyte."""
    time = effective_time(coded[0])
    when = f" on {time.date}" if time is not None and reason != "future" else ""
    # The side on which it lies may still decide a rule (`one_sided_result`).
    used = "not used as a number" if reason == "not-exact" else "not used"
    statement = f"{analyte.words} {_of_several(what) if _SEVERAL.search(analyte.words) else what}"
    text = f"{statement}{when}: {used}."
    return Refusal(coded[0].source, reason, text, analyte.key, coded[2] or "", statement)


# Quantities whose name is a plural ("Platelets", "White blood cells"), and the verbs of the sentences above.
_SEVERAL = re.compile(r"(?:cells|cytes|phils|platelets|cerides)\b", re.IGNORECASE)
_VERBS = {"has": "have", "is": "are", "was": "were"}


def _of_several(what: str) -> str:
    verb, _, rest = what.partition(" ")
    return f"{_VERBS.get(verb, verb)} {rest}"


def _is_haemolysed(observation: Observation) -> bool:
    texts = [note.text for note in observation.note]
    for concept in observation.interpretation:
        texts += [concept.words, *(f"{concept.words} {coding.code}" for coding in concept.coding)]
    return any(_says_haemolysed(text.lower()) for text in texts) if texts else False


def _says_haemolysed(text: str) -> bool:
    return any(word in text for word in _HAEMOLYSED) and not any(word in text for word in _NOT_HAEMOLYSED)


def one_sided_result(analyte: Analyte, coded: CodedPart, as_of_epoch: float) -> OneSidedResult | None:
    """Return the result of a part that only says on which side of a number it lies; None for any other part.

    What is not final, undated, implausible or in an unknown unit is left out.
    """
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
    charted, source = unit or analyte.unit, observation.source
    limit = Measurement(analyte.key, value, analyte.unit, time, source, code or "", number, charted)
    return OneSidedResult(side, limit)


def _written(part: Any) -> tuple[Side, float, str] | None:
    quantity = part.valueQuantity
    if quantity is not None and quantity.value is not None:
        side = _SIDES.get(quantity.comparator.strip())
        unit = quantity.code or quantity.unit
        return (side, quantity.value, unit) if side is not None else None
    match = _WORDS.fullmatch(_FLAG.sub("", _words_of(part)))
    if match is None:
        return None
    word: Side = "<" if _UNDER.match(match["side"]) else ">"
    return _SIDES.get(match["side"], word), float(match["number"]), (match["unit"] or "").rstrip()


def _words_of(part: Observation | ObservationComponent) -> str:
    """Return the words of a result: its text, or that of a concept without a code."""
    concept = part.valueCodeableConcept
    return (part.valueString or (concept.text if concept is not None and not concept.coding else "")).strip()
