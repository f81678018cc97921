"""What a sentence says about the chart is true of the chart: dated values, what is absent, what was looked at.

The sentences of every case, of the same cases with parts of the chart not sent, of invented charts and of real ones.
"""

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cards.orders import OrderOutcome, check_orders
from cards.rules.engine.rule_book import RuleBook, rule_book
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import name_of
from cards.rules.patient.orders import DraftMedication, DraftOrder, knows_medications
from cards.rules.patient.session import PatientSession
from fhir.mapping.equations import body_mass_index
from fhir.mapping.kidney import KidneyEstimate
from fhir.record.facts import FACT_TYPES
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.conditions import CONDITION_GROUPS
from tests.cards.rules.cases import Case, all_cases, check, drafts_of_case, every_case, uuids
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.conftest import examples
from tests.each import for_rows, some_of

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

_BY_NAME: dict[str, list[str]] = {}
for _key in ANALYTES:
    _BY_NAME.setdefault(name_of(_key).lower(), []).append(_key)
_NAMES = "|".join(re.escape(name) for name in sorted(_BY_NAME, key=len, reverse=True))
# "potassium 5.6 mmol/L on 2026-11-17", "creatinine 190 umol/L (2.15 mg/dL) on 2026-11-17"
_DATED = re.compile(
    rf"(?<![\w-])({_NAMES}) ([\d.,]+)(?: [^\s();,:]+)?(?: \([\d.,]+ [^)]*\))? on (\d{{4}}-\d\d-\d\d)", re.IGNORECASE
)
_ESTIMATE = re.compile(r"\b(eGFR|CrCl) ([\d.,]+)(?: mL/min[^\s;,:]*(?: m²)?)?(?: \([^)]*\))? on (\d{4}-\d\d-\d\d)")
_ABSENT = re.compile(
    rf"\bno (?:usable )?({_NAMES}|kidney function)(?: or ({_NAMES}))?"
    r" (?:(on record)|in (?:the last )?(?:(\d+) (days|weeks|months)|(a year)))",
    re.IGNORECASE,
)
_DAYS = {"days": 1.0, "weeks": 7.0, "months": 30.0}


def _texts(outcome: OrderOutcome) -> Iterator[str]:
    for card in outcome.cards:
        yield card.summary
        yield (card.detail or "").replace("\\", "")
        yield from (suggestion.label for suggestion in card.suggestions)
    yield from (silence.text for silence in outcome.silences)


def _is_shown(shown: str, value: float) -> bool:
    """Whether the value rounds to what is shown."""
    digits = len(shown.rstrip(".").partition(".")[2])
    return abs(float(shown.replace(",", "").rstrip(".")) - value) <= 0.5 * 10.0**-digits + 1e-9


def _false_values(text: str, record: PatientRecord) -> Iterator[str]:
    for name, shown, day in _DATED.findall(text):
        found = [one for key in _BY_NAME[name.lower()] for one in record.measurements(key) if one.time.date == day]
        values = [value for one in found for value in (one.value, one.charted_value)]
        if name == "BMI":
            weights = [one.value for one in record.measurements("body_weight") if one.time.date == day]
            values += [body_mass_index(one, two.value) for one in weights for two in record.measurements("body_height")]
        if not any(_is_shown(shown, value) for value in values):
            yield f"no such value: {name} {shown} on {day}"


def _false_estimates(text: str, session: PatientSession) -> Iterator[str]:
    for name, shown, day in _ESTIMATE.findall(text):
        kinds = ("egfr_best", "crcl_actual_weight", "crcl_adjusted_weight")
        known = [session.kidney(kind) for kind in kinds]
        estimates = [one if isinstance(one, KidneyEstimate) else one.old for one in known]
        if not any(
            one is not None and one.time is not None and one.time.date == day and _is_shown(shown, one.value)
            for one in estimates
        ):
            yield f"no such estimate: {name} {shown} on {day}"


def _is_old_for_a_stay(text: str, estimate: KidneyEstimate, record: PatientRecord) -> bool:
    """Whether the sentence speaks of the last days of a stay, and the estimate is of a day before them."""
    stay = re.search(r"kidney function in (\d+) days", text, re.IGNORECASE)
    return (
        stay is not None
        and estimate.time is not None
        and record.as_of_epoch - estimate.time.instant > (float(stay[1]) - 1) * 86_400
    )


def _false_absences(text: str, session: PatientSession) -> Iterator[str]:
    record = session.record
    for first, second, on_record, count, unit, _year in _ABSENT.findall(text):
        days = None if on_record else float(count) * _DAYS[unit] if count else 365.0
        for name in filter(None, (first, second)):
            if name.lower() == "kidney function":
                estimate = session.kidney("egfr_best")
                if isinstance(estimate, KidneyEstimate) and not _is_old_for_a_stay(text, estimate, record):
                    yield f"there is kidney function: {text}"
                continue
            keys = _BY_NAME[name.lower()]
            if not any(record.was_requested(key) for key in keys):
                yield f"nobody asked for {name}: {text}"
            if any(record.newest(key, days) is not None for key in keys):
                yield f"there is a {name}: {text}"


def _contexts(session: PatientSession, drafted: DraftMedication, rule_id: str, book: RuleBook) -> Iterator[RuleContext]:
    """The contexts in which this rule was asked about this draft."""
    for activated in book.rules_for(drafted.medication):
        rule, activation = activated.rule, activated.activation
        if rule.id != rule_id or activation.is_local:
            continue
        alone = RuleContext(session, drafted, activation.ingredient)
        partners = list(session.partners_of(drafted, activation.partners)) if activation.partners else []
        if partners:
            yield from (replace(alone, partners=(one,), trigger=rule.trigger) for one in partners)
        elif activation.alone and not (activation.same_ingredient or activation.same_class):
            yield alone


def _false_limits(outcome: OrderOutcome, session: PatientSession) -> Iterator[str]:
    """A rule that looked and reached no limit: every band is false, before every partner."""
    rules = {one.id: one for one in rule_book().rules}
    said = {one.subject for one in outcome.silences if one.reason == "within-limits"}
    spoke = {one.rule for card in outcome.cards for one in card.own_extension.findings}
    other = {one.subject for one in outcome.silences if one.reason != "within-limits"}
    if len(session.drafted) != 1:
        return
    for rule_id in sorted(said - spoke - other):
        for context in _contexts(session, session.drafted[0], rule_id, rule_book()):
            for band in rules[rule_id].bands:
                if band.declared.indicator != "silent" and band.when.test(context) is not False:
                    yield f"{rule_id}: band {band.declared.id} is {band.when.test(context)}, not false"


def _false_scopes(outcome: OrderOutcome, record: PatientRecord) -> Iterator[str]:
    lists = {"allergy": "AllergyIntolerance", "condition": "Condition", "duplicates": "MedicationRequest"}
    lists["interaction"] = "MedicationRequest"
    known = {kind: record.was_requested(kind) for kind in lists.values()}
    known["MedicationRequest"] = knows_medications(record)
    for silence in outcome.silences:
        if silence.reason == "no-partner" and "is taken" in silence.text and not knows_medications(record):
            yield f"the medications were not sent: {silence.text}"
        if silence.reason != "scope":
            continue
        looked = silence.text.partition("looked for ")[2].partition(".")[0]
        for word, kind in lists.items():
            if word in looked and not known[kind]:
                yield f"{kind} was not sent: {silence.text}"
        for key, analyte in ANALYTES.items():
            if f", {analyte.words}" in f", {looked}" and not record.was_requested(key):
                yield f"{key} was not sent: {silence.text}"


def _faults(outcome: OrderOutcome, record: PatientRecord, drafts: list[DraftOrder], *, signing: bool) -> list[str]:
    session = PatientSession(record, drafts, signing=signing)
    faults = [*_false_limits(outcome, session), *_false_scopes(outcome, record)]
    for text in _texts(outcome):
        faults += [*_false_values(text, record), *_false_estimates(text, session), *_false_absences(text, session)]
    return faults


def _of_case(case: Case, as_of: datetime, not_sent: tuple[str, ...] = ()) -> list[str]:
    patient = {
        **case["patient"],
        **({"not_sent": [*case["patient"].get("not_sent", ()), *not_sent]} if not_sent else {}),
    }
    record, drafts = record_of(patient, as_of), drafts_of_case(case)
    signing = case.get("hook") != "order-select"
    return _faults(check(record, drafts, signing=signing), record, drafts, signing=signing)


@pytest.mark.slow
@every_case()
def test_what_a_case_says_of_the_chart_is_true(rule: str, case: Case, as_of: datetime) -> None:
    assert _of_case(case, as_of) == []


@pytest.mark.sampled
@for_rows(
    "not_sent",
    [("Condition",), ("AllergyIntolerance",), ("MedicationRequest", "MedicationStatement"), ("Observation", *ANALYTES)],
    ids=["problems", "allergies", "medications", "results"],
)
def test_what_was_not_sent_is_not_said_to_be_absent(not_sent: tuple[str, ...], as_of: datetime) -> None:
    first = {rule: case for rule, case in reversed(all_cases()) if case["kind"] == "silent"}
    for rule, case in some_of(first.items(), 6):
        assert _of_case(case, as_of, not_sent) == [], f"{rule}: {case['id']}"


DRUGS = sorted({case["draft"]["drug"] for _, case in all_cases() if case["kind"] == "fires"})
DRAFTS = [draft_of(case["draft"]) for _, case in all_cases() if case["kind"] == "fires"][::7]


ASKED = sorted(
    {use[4:] for rule in rule_book().rules for use in rule.band_uses if use.startswith("lab:")} & set(ANALYTES)
)
LISTS = ("Condition", "AllergyIntolerance", "MedicationRequest", "MedicationStatement")


@st.composite
def _results(draw: st.DrawFn) -> list[Any]:
    """A result of an analyte that a rule asks for: plausible or at its ends, of today or of years ago."""
    analyte = draw(st.sampled_from([*ASKED, "creatinine", "egfr", "body_weight"]))
    known = ANALYTES[analyte]
    value = draw(st.floats(known.plausible_low, known.plausible_high, allow_nan=False).map(lambda one: round(one, 2)))
    return [analyte, value, draw(st.sampled_from([0, 1, 7, 29, 31, 89, 91, 364, 366, 800]))]


@st.composite
def _charts(draw: st.DrawFn) -> Json:
    """A chart in the short form of the cases, with results, problems and drugs, parts of it not sent."""
    return {
        "age": draw(st.one_of(st.none(), st.integers(0, 100))), "sex": draw(st.sampled_from(["male", "female", None])),
        "labs": draw(st.lists(_results(), max_size=6)),
        "conditions": draw(st.lists(st.sampled_from(sorted({group.key for group in CONDITION_GROUPS.values()})),
                                    max_size=3, unique=True)),
        "active": draw(st.lists(st.sampled_from(DRUGS), max_size=3, unique=True)), "inpatient": draw(st.booleans()),
        "not_sent": draw(st.lists(st.sampled_from([*LISTS, *ASKED]), max_size=4, unique=True)),
    }  # fmt: skip


@settings(max_examples=examples(100), deadline=None)
@given(_charts(), st.sampled_from(DRAFTS), st.booleans())
def test_what_is_said_of_an_invented_chart_is_true(patient: Json, draft: Json, signing: bool) -> None:
    record, drafts = record_of(patient, AS_OF), drafts_of(draft)
    assert _faults(check(record, drafts, signing=signing), record, drafts, signing=signing) == []


CHARTS = ("synthea/*", "mimic-iv-demo/*")


def _real(folder: Path) -> Iterator[PatientRecord]:
    """Every twelfth chart an hour after its last order."""
    for path in sorted(one for pattern in CHARTS for one in (folder / "fhir").glob(pattern))[::12]:
        resources = [entry["resource"] for entry in json.loads(gzip.decompress(path.read_bytes()))["entry"]]
        kinds = {str(kind.__struct_config__.tag) for kind in FACT_TYPES} | {"Patient"}
        kept = [one for one in resources if one["resourceType"] in kinds]
        ordered = [
            one["authoredOn"] for one in kept if one["resourceType"] == "MedicationRequest" and "authoredOn" in one
        ]
        if not ordered:
            continue
        as_of = max(datetime.fromisoformat(when) for when in ordered) + timedelta(hours=1)
        patient = next(one["id"] for one in kept if one["resourceType"] == "Patient")
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in kept]}
        yield read_record({"all": decoder.decode(orjson.dumps(bundle))}, patient, as_of)


@pytest.mark.outside_data
@pytest.mark.sampled
def test_what_is_said_of_a_real_chart_is_true(data_folder: Path) -> None:
    said = 0
    for record in _real(data_folder):
        for draft in some_of(DRAFTS[::4], 3):
            drafts = drafts_of({**draft, "subject": {"reference": f"Patient/{record.patient_id}"}})
            outcome = check_orders(record, drafts, None, uuids())
            said += len(outcome.cards)
            assert _faults(outcome, record, drafts, signing=True) == [], draft
    assert said > 6
