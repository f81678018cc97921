"""Hypothesis strategies for FHIR R4 data types and the frame of a resource, valid and ugly: dates, text, quantities."""

from __future__ import annotations

import string
from datetime import date
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Json = dict[str, Any]

UCUM = "http://unitsofmeasure.org"
SNOMED, RXNORM = "http://snomed.info/sct", "http://www.nlm.nih.gov/research/umls/rxnorm"
CONDITION_CODES = ("431857002", "49436004", "44054006", "385763009", "72892002", "46177005")
# Units of the laboratory and the bedside, and some that no table knows.
_UNITS = ("mg/dL", "umol/L", "g/dL", "g/L", "10*3/uL", "K/uL", "U/L", "%", "fL", "kg", "[lb_av]", "cm", "mm[Hg]")
_NO_UNITS = ("mg/hL", "furlongs", "µg/Löffel", "1", "?")
ABSENT = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}


def ids() -> SearchStrategy[str]:
    return st.text(string.ascii_letters + string.digits + "-.", min_size=1, max_size=24)


def words() -> SearchStrategy[str]:
    """Text in any script, without space at its ends or twice in a row (R4 `string` as `fhir.resources` reads it)."""
    word = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)
    return st.lists(word, min_size=1, max_size=4).map(" ".join)


def _days() -> SearchStrategy[str]:
    return st.dates(min_value=date(1880, 1, 1), max_value=date(2120, 12, 31)).map(str)


def dates() -> SearchStrategy[str]:
    """A day, a month or only a year, long ago or still to come."""
    return st.builds(lambda day, length: day[:length], _days(), st.sampled_from((10, 7, 4)))


def _times() -> SearchStrategy[str]:
    return st.times().map(lambda time: time.replace(microsecond=0).isoformat())


def instants() -> SearchStrategy[str]:
    """To the second or finer, in any offset, or UTC written as Z."""
    fractions = st.sampled_from(("", ".5", ".120", ".000001", ".123456"))
    offsets = st.sampled_from(("Z", "+00:00", "-05:00", "+14:00", "-12:00", "+12:45", "+05:30"))
    return st.builds("{}T{}{}{}".format, _days(), _times(), fractions, offsets)


def date_times() -> SearchStrategy[str]:
    return st.one_of(dates(), instants())


def numbers() -> SearchStrategy[float]:
    """Ordinary, zero, negative, absurdly large, absurdly small."""
    ordinary = st.one_of(st.integers(0, 400), st.decimals(0, 400, places=2, allow_nan=False).map(float))
    absurd = st.sampled_from((0, -1, 1e-12, 1e12, -273.15, 2**53 + 1, 10**20, 1e300, 5e-324))
    return st.one_of(ordinary, ordinary, absurd)


def some(**elements: SearchStrategy[Any]) -> SearchStrategy[Json]:
    """An object with any of the elements."""
    return st.fixed_dictionaries({}, optional=elements)


def least(required: Json, **elements: SearchStrategy[Any]) -> SearchStrategy[Json]:
    """An object with the required elements and any of the others."""
    fixed = {name: value if isinstance(value, SearchStrategy) else st.just(value) for name, value in required.items()}
    return st.fixed_dictionaries(fixed, optional=elements)


def never_empty(objects: SearchStrategy[Json], instead: Json) -> SearchStrategy[Json]:
    return objects.map(lambda drawn: drawn or instead)


def codings(system: str, codes: tuple[str, ...]) -> SearchStrategy[Json]:
    known = st.just({"system": system}).flatmap(
        lambda base: st.sampled_from(codes).map(lambda code: {**base, "code": code})
    )
    homeless = st.sampled_from(codes).map(lambda code: {"code": code})
    local = never_empty(some(system=st.just("urn:oid:1.2.3"), code=ids(), display=words()), {"display": "?"})
    return st.one_of(known, known, homeless, local)


def concepts(system: str, codes: tuple[str, ...], texts: tuple[str, ...] = ()) -> SearchStrategy[Json]:
    """Codes and text, either or neither of which may be missing: neither leaves an extension that says unknown."""
    text = st.one_of(st.sampled_from(texts), words()) if texts else words()
    drawn = some(coding=st.lists(codings(system, codes), max_size=3), text=text)
    return never_empty(drawn, {"extension": [ABSENT]})


def statuses(codes: str) -> SearchStrategy[Json]:
    return st.sampled_from(codes.split()).map(
        lambda code: {"coding": [{"system": "http://example.org/status", "code": code}]}
    )


def quantities() -> SearchStrategy[Json]:
    """A number with a known unit, an unknown one, a unit in words only, a code only, or none; or no number at all."""
    unit = st.one_of(st.sampled_from(_UNITS), st.sampled_from(_UNITS), st.sampled_from(_NO_UNITS), words())
    coded = st.sampled_from((*_UNITS, *_NO_UNITS)).map(lambda code: {"unit": code, "system": UCUM, "code": code})
    in_words = unit.map(lambda text: {"unit": text})
    bare: SearchStrategy[Json] = st.sampled_from(({}, {"code": "mg/dL"}))
    units = st.one_of(coded, coded, in_words, bare)
    values = some(value=numbers(), comparator=st.sampled_from(("<", "<=", ">=", ">")))
    plain = numbers().map(lambda value: {"value": value})
    joined = st.builds(lambda value, unit: value | unit, st.one_of(plain, plain, values), units)
    return never_empty(joined, {"extension": [ABSENT]})


def periods() -> SearchStrategy[Json]:
    return never_empty(some(start=date_times(), end=date_times()), {"extension": [ABSENT]})


def references(*targets: str) -> SearchStrategy[Json]:
    """To one of the targets, to nothing that is there, or by name only."""
    known = st.sampled_from(targets).map(lambda target: {"reference": target})
    lost = ids().map(lambda name: {"reference": f"Medication/{name}"})
    return st.one_of(known, known, known, lost, words().map(lambda name: {"display": name}))


def one_of_elements(**choices: SearchStrategy[Any]) -> SearchStrategy[Json]:
    """At most one of the elements: a choice type such as value[x]."""
    nothing: SearchStrategy[Json] = st.just({})
    return st.one_of(nothing, *(st.fixed_dictionaries({name: drawn}) for name, drawn in choices.items()))


def dosages() -> SearchStrategy[Json]:
    """How a medication is taken: structured, in words, both, or hardly at all."""
    rate = one_of_elements(rateQuantity=quantities(), rateRange=ranges(), rateRatio=ratios())
    dose = one_of_elements(doseQuantity=quantities(), doseRange=ranges())
    dose_and_rate = st.builds(lambda dose, rate: dose | rate, dose, rate)
    needed = one_of_elements(asNeededBoolean=st.booleans(), asNeededCodeableConcept=words().map(_in_words))
    plain = some(
        sequence=st.integers(1, 9),
        text=st.one_of(st.sampled_from(("2 tabs po q6h prn", "1-0-1", "500 mg BID with meals")), words()),
        patientInstruction=words(),
        additionalInstruction=st.lists(words().map(_in_words), min_size=1, max_size=2),
        timing=timings(),
        route=words().map(_in_words),
        doseAndRate=st.lists(never_empty(dose_and_rate, {"extension": [ABSENT]}), min_size=1, max_size=2),
        maxDosePerPeriod=ratios(),
    )
    return never_empty(st.builds(lambda plain, needed: plain | needed, plain, needed), {"extension": [ABSENT]})


def timings() -> SearchStrategy[Json]:
    counts = st.integers(1, 12)
    bounds = one_of_elements(boundsDuration=durations(), boundsPeriod=periods(), boundsRange=ranges())
    repeat = some(
        count=counts,
        countMax=counts,
        frequency=counts,
        frequencyMax=counts,
        period=st.sampled_from((1, 1.5, 8, 0.25)),
        periodMax=st.just(2),
        periodUnit=st.sampled_from(("s", "min", "h", "d", "wk", "mo", "a")),
        dayOfWeek=st.lists(st.sampled_from(("mon", "thu", "sun")), min_size=1, max_size=2),
        timeOfDay=st.lists(_times(), min_size=1, max_size=2),
        when=st.lists(st.sampled_from(("MORN", "PCV", "HS")), min_size=1, max_size=2),
    )
    repeats = never_empty(st.builds(lambda repeat, bounds: repeat | bounds, repeat, bounds), {"extension": [ABSENT]})
    timing = some(repeat=repeats, event=st.lists(date_times(), min_size=1, max_size=2), code=words().map(_in_words))
    return never_empty(timing, {"extension": [ABSENT]})


def durations() -> SearchStrategy[Json]:
    return st.integers(1, 90).map(lambda days: {"value": days, "unit": "d", "system": UCUM, "code": "d"})


def ranges() -> SearchStrategy[Json]:
    return never_empty(some(low=quantities(), high=quantities()), {"extension": [ABSENT]})


def ratios() -> SearchStrategy[Json]:
    return never_empty(some(numerator=quantities(), denominator=quantities()), {"extension": [ABSENT]})


def _in_words(text: str) -> Json:
    return {"text": text}


@st.composite
def resource_about(
    draw: DrawFn, kind: str, patient_id: str, *parts: SearchStrategy[Json], about: str = "subject"
) -> Json:
    """`kind` about the patient, all parts put together, with what no reader asks for beside it."""
    resource: Json = {"resourceType": kind, "id": draw(ids()), about: {"reference": f"Patient/{patient_id}"}}
    for part in parts:
        resource |= draw(part)
    unread = some(
        meta=some(versionId=ids(), lastUpdated=instants()).map(lambda meta: meta or {"versionId": "1"}),
        language=st.just("de-AT"),
        extension=st.just([{"url": "http://example.org/ours", "valueString": "naïve"}]),
        implicitRules=st.just("http://example.org/rules"),
    )
    return resource | draw(unread)


def status_or_absent(codes: str) -> SearchStrategy[Json]:
    """A status, or (one time in ten) the extension that R4 allows in its place."""
    given = st.sampled_from(codes.split()).map(lambda code: {"status": code})
    absent = st.just({"_status": {"extension": [ABSENT]}})
    return st.integers(0, 9).flatmap(lambda dice: absent if dice == 0 else given)
