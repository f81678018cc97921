"""Decides for each recommendation whether it is due, not due, or cannot be told, and why.

"Due" is said only where everything that a recommendation needs was sent: what was not sent, or not charted, makes it
"not known". Ages are completed years; an interval is over on the same day so many years later. The recommendations that
ask for more than age, sex, conditions and intervals have a function each (`DECIDERS`).

Source of the criteria: `services.json` (USPSTF, data of 2024-05-02). What the project chose itself is in
docs/preventive.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from msgspec.structs import replace

from cards.preventive.abnormal import FollowUp
from cards.preventive.chart import declined, done, is_ordered, other_entries, results_of, years_after
from cards.preventive.entries import Done
from cards.preventive.knowledge import PREVENTIVE, PreventiveService
from cards.preventive.recommendation import (
    ABNORMAL_RESULT,
    ServiceAnswer,
    by_interval,
    fact_of,
    judge,
    newest_that_counts,
    words_of,
)
from cards.rules.patient.measurements import measurement_fact
from cards.text import format_number, plain
from fhir.mapping.allergies import allergy_to_class
from fhir.mapping.conditions import find_condition
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import FeatureVector, map_features
from fhir.mapping.gestation import gestation
from fhir.mapping.medications.active import Presence, presence_of
from fhir.mapping.tobacco import SmokingHistory, smoking_history
from fhir.record.datatypes import CodeableConcept
from fhir.record.measurement import USABLE_STATUS, Measurement
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES

BODY_MASS: Final = features_named(("bmi_kg_m2",))
_PACK_YEARS: Final = 20.0
_QUIT_YEARS: Final = 15
_OVERWEIGHT: Final = 25.0
_HPV_FROM_AGE: Final = 30
_A1C_NORMAL: Final = 5.7  # percent: from here prediabetes (USPSTF 2021)
_GLUCOSE_NORMAL: Final = 100.0  # mg/dL, fasting: from here prediabetes (USPSTF 2021)
_YEARLY_FROM_AGE: Final = 40
_SBP_RAISED, _DBP_RAISED = 130.0, 80.0  # the lower of the thresholds that USPSTF 2021 names
_SBP_HIGH, _DBP_HIGH = 140.0, 90.0  # USPSTF 2021: the usual threshold of a positive screening, to be confirmed
_LONG_INTERVAL_YEARS: Final = 5
_SIDES: Final = ("left", "right")
_DIABETES_DRUGS: Final = frozenset({"insulin", "biguanide", "sulfonylurea", "dpp4"})
_TO_STOP_SMOKING: Final = frozenset({"7407", "591622"})  # nicotine, varenicline


def _colorectal(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    colectomy = done(record, "colectomy_total")
    if colectomy:
        return judge(service, "condition", f"the colon was removed{_when(colectomy[0])}")
    polyp = find_condition(record, "colon_polyp")
    if polyp is not None:
        text = "a polyp is on record; follow-up depends on whether it was an adenoma, which is not on record"
        return judge(service, "not-charted", text)
    return by_interval(service, record)


def _cervical(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    removed = done(record, "hysterectomy_total") or done(record, "vaginoplasty")
    if removed:
        return judge(service, "condition", f"{words_of(removed[0])}{_when(removed[0])}")
    if treated := done(record, "cervical_treatment"):
        text = f"the cervix was treated{_when(treated[0])}: follow-up is by its result, for 25 years"
        return judge(service, "abnormal", text, fact_of(treated[0]))
    newest = max(
        (test for name in ("cytology", "hpv") for test in done(record, name)[:1]),
        key=lambda test: test.day or date.min,
        default=None,
    )
    if newest is not None and newest.is_positive:
        text = f"the last {words_of(newest)}{_when(newest)} was not normal: follow-up is by its result"
        return judge(service, "abnormal", text, fact_of(newest))
    unclear = done(record, "hysterectomy")
    is_left = find_condition(record, "cervix_left") is not None
    if unclear and not is_left:
        return judge(
            service,
            "not-charted",
            f"hysterectomy{_when(unclear[0])}: whether the cervix was removed is not said",
        )
    answer = newest_that_counts(service, record, lambda test: test.test != "hpv" or _was_from_30(test, record))
    age = record.age_years() or 0
    if answer.state != "due" or age >= _HPV_FROM_AGE:
        return answer
    return replace(answer, order=service.order_under_30)


def _was_from_30(test: Done, record: PatientRecord) -> bool:
    born = record.birth_date
    return test.day is None or born is None or test.day >= years_after(born.last_day, _HPV_FROM_AGE)


def _breast(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    bilateral = done(record, "mastectomy_bilateral")
    sides = [find_condition(record, f"breast_absent_{it}") or done(record, f"mastectomy_{it}") for it in _SIDES]
    if bilateral or all(sides):
        return judge(service, "condition", f"both breasts were removed{_when(bilateral[0]) if bilateral else ''}")
    return by_interval(service, record)


def _when(test: Done) -> str:
    return f" ({test.when})" if test.when else ""


def _lung(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    smoking, answer = record.derive(smoking_history), by_interval(service, record)
    if answer.because == "done":
        return answer
    if smoking.answer is None:
        return judge(service, "not-charted", "the smoking status is not on record")
    if smoking.ever is None:
        return judge(service, "risk", f"the patient never smoked{_answered(smoking)}")
    if smoking.pack_years is not None and smoking.pack_years.value < _PACK_YEARS:
        text = f"{smoking.pack_years.value:g} pack-years on record, under {_PACK_YEARS:g}"
        return judge(service, "risk", text)
    if smoking.answer.status != "current":
        today = record.as_of.date()
        if smoking.stopped_by is not None and today >= years_after(smoking.stopped_by, _QUIT_YEARS):
            return judge(
                service,
                "risk",
                f"the patient stopped smoking 15 years ago or more (by {smoking.stopped_by})",
            )
        if smoking.stopped_from is None or today >= years_after(smoking.stopped_from, _QUIT_YEARS):
            return judge(service, "not-charted", "when the patient stopped smoking is not on record")
    if smoking.pack_years is None:
        return judge(service, "not-charted", "the pack-years are not on record")
    if answer.state != "due":
        return answer
    who = "smokes" if smoking.answer.status == "current" else "stopped smoking within 15 years"
    text = f"{smoking.pack_years.value:g} pack-years, {who}; {answer.text}"
    return replace(answer, text=text)


def _answered(smoking: SmokingHistory) -> str:
    time = smoking.answer.time if smoking.answer is not None else None
    return f" ({time.date})" if time is not None else ""


def _aneurysm(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    if repaired := done(record, "aneurysm_repair"):
        return judge(service, "condition", f"an aneurysm was repaired{_when(repaired[0])}")
    answer = by_interval(service, record)
    if answer.because == "done":
        return answer
    if described := record.derive(_aorta_described):
        text = f"the aorta is described: {plain(described[0].words, 60)}{_when(described[0])}"
        return judge(service, "done", text)
    smoking = record.derive(smoking_history)
    if smoking.answer is None:
        return judge(service, "not-charted", "the smoking status is not on record")
    if smoking.ever is None:
        return judge(service, "risk", f"the patient never smoked{_answered(smoking)}: no A or B recommendation")
    return answer


# A study of the belly that says how wide the aorta is answers the question of the screening; words: the project's own.
_BELLY: Final = re.compile(r"abdom|addom|pelvi|\bbauch|\bbuik|\babd\b|\ba/p\b|liver|kidney|renal", re.IGNORECASE)
_AORTA: Final = re.compile(r"\baort|bauchaort", re.IGNORECASE)
_OTHER_AORTA: Final = re.compile(
    r"thora|torac|ascend|aszend|descend|deszend|\barch\b|root|valve|annul|retroaort|para-?aort|periaort", re.IGNORECASE
)
_WIDTH: Final = re.compile(
    r"calib|kaliber|diam|durchmess|an[eé][uv]r|ectas|dilat|unremark|normal|unauff|regelrecht|\d\s?[cm]m\b",
    re.IGNORECASE,
)
_SENTENCES: Final = re.compile(r"[;|\n]|\.(?!\d)")
_UNSEEN: Final = re.compile(
    r"obscur|limited|not (?:well |fully )?(?:seen|visuali|evaluat|assess)|nicht (?:beurteil|einseh)|non (?:vis|val)",
    re.IGNORECASE,
)


def _aorta_described(record: PatientRecord) -> list[Done]:
    """Return the reports, newest first, in which a sentence says how wide the abdominal aorta is."""
    tests = (test for test in results_of(record, (), other_entries(record)) if test.result)
    return [test for test in tests if any(_is_of_aorta(test, clause) for clause in _SENTENCES.split(test.result))]


def _is_of_aorta(test: Done, clause: str) -> bool:
    is_of_belly = _AORTA.search(clause) and _WIDTH.search(clause) and _BELLY.search(f"{test.words} {clause}")
    return bool(is_of_belly) and not (_OTHER_AORTA.search(clause) or _UNSEEN.search(clause))


def _diabetes(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    if find_condition(record, "pregnancy"):
        return judge(service, "condition", "it does not apply in pregnancy")
    treated = presence_of(record, _DIABETES_DRUGS)
    if treated.medications:
        return judge(service, "condition", f"the patient takes {plain(treated.medications[0].name, 60)}")
    tested = _glucose(record)
    if tested is not None:
        return _of_glucose(service, *tested)
    bmi, obesity = _bmi(record), find_condition(record, "obesity")
    if bmi is None and obesity is None:
        return judge(service, "not-charted", "the body mass index is not on record")
    if bmi is not None and bmi < _OVERWEIGHT:
        return judge(service, "risk", f"the body mass index is {format_number(bmi, [_OVERWEIGHT])} kg/m², under 25")
    why = (
        f"the body mass index is {format_number(bmi, [_OVERWEIGHT])} kg/m²" if bmi is not None else "obesity on record"
    )
    answer = judge(service, "never-seen", f"{why}; no HbA1c or fasting glucose of the last 3 years")
    return _naming_unreadable(answer, treated)


def _glucose(record: PatientRecord) -> tuple[Measurement, bool] | None:
    """Return the newest glucose result within the interval that says whether it is normal, and whether it is."""
    results = []
    for key, normal in (("hba1c", _A1C_NORMAL), ("glucose_fasting", _GLUCOSE_NORMAL), ("glucose", _GLUCOSE_NORMAL)):
        newest = record.newest(key)
        is_normal = newest is not None and newest.value < normal
        # A raised glucose that was not taken fasting says nothing here.
        if newest is not None and (is_normal or key != "glucose"):
            results.append((newest, is_normal))
    today = record.as_of.date()
    results = [result for result in results if today < years_after(result[0].time.last_day, 3)]
    return max(results, key=lambda result: result[0].time.instant, default=None)


def _of_glucose(service: PreventiveService, result: Measurement, is_normal: bool) -> ServiceAnswer:
    limit = _A1C_NORMAL if result.analyte == "hba1c" else _GLUCOSE_NORMAL
    value = f"{format_number(result.value, [limit])} {result.unit}"
    words = f"{ANALYTES[result.analyte].words} {value} ({result.time.date})"
    fact = measurement_fact(result)
    if not is_normal:
        text = f"{words} is not normal and no diabetes is on record: confirm and follow up"
        return judge(service, "abnormal", text, fact)
    due = years_after(result.time.last_day, 3)
    return judge(service, "done", f"{words}; it is due again {due}", fact, next_due=due)


def body_mass(record: PatientRecord) -> FeatureVector:
    """Return the body mass index in kg/m2, as the equations read it."""
    return map_features(record, BODY_MASS)


def _bmi(record: PatientRecord) -> float | None:
    (value,) = record.derive(body_mass).evidence
    return float(value.value) if value is not None else None


def _tobacco(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    smoking = record.derive(smoking_history)
    if smoking.answer is None:
        return judge(service, "not-asked", "no smoking status on record: ask")
    if smoking.answer.status != "current":
        return judge(service, "done", f"the answer is “{plain(smoking.answer.words, 60)}”{_answered(smoking)}")
    treated = presence_of(record, _TO_STOP_SMOKING, systemic=False)
    if treated.medications:
        return judge(service, "done", f"the patient is treated with {plain(treated.medications[0].name, 60)}")
    answer = by_interval(service, record)
    if answer.state != "due":
        return answer
    text = f"smokes{_answered(smoking)}; no advice or treatment to stop on record in a year"
    return _naming_unreadable(replace(answer, because="smokes", text=text), treated)


def _naming_unreadable(answer: ServiceAnswer, treated: Presence) -> ServiceAnswer:
    """Return what is due because no treatment was found, with the medications that could be the treatment."""
    if answer.state != "due" or not treated.unreadable:
        return answer
    return replace(answer, text=f"{answer.text}; not clear on the medication list: {treated.unreadable_words}")


def _hypertension(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    age, today = record.age_years() or 0, record.as_of.date()
    systolic, diastolic = record.newest("sbp"), record.newest("dbp")
    if systolic is None:
        return judge(service, "never-seen", "no blood pressure on record here")
    bmi = _bmi(record)
    is_raised = systolic.value >= _SBP_RAISED or (diastolic is not None and diastolic.value >= _DBP_RAISED)
    is_yearly = age >= _YEARLY_FROM_AGE or is_raised or (bmi is not None and bmi >= _OVERWEIGHT)
    due = years_after(systolic.time.last_day, 1 if is_yearly else _LONG_INTERVAL_YEARS)
    value = f"{systolic.value:.0f}{f'/{diastolic.value:.0f}' if diastolic is not None else ''} mmHg"
    fact = measurement_fact(systolic)
    is_high = systolic.value >= _SBP_HIGH or (diastolic is not None and diastolic.value >= _DBP_HIGH)
    if today < due and is_high:
        text = f"{value} ({systolic.time.date}): confirm it outside the office (home or ambulatory measurement)"
        return judge(service, "abnormal", text, fact)
    if today < due:
        text = f"{value} ({systolic.time.date}); it is due again {due}"
        return judge(service, "done", text, fact, next_due=due)
    text = f"last {value} ({systolic.time.date}), due since {due}"
    return judge(service, "interval-over", text, fact, next_due=due)


DECIDERS: Mapping[str, Callable[[PreventiveService, PatientRecord], ServiceAnswer]] = {
    "colorectal-cancer": _colorectal,
    "cervical-cancer": _cervical,
    "breast-cancer": _breast,
    "lung-cancer": _lung,
    "abdominal-aortic-aneurysm": _aneurysm,
    "diabetes": _diabetes,
    "tobacco": _tobacco,
    "hypertension": _hypertension,
}
"""How a recommendation with criteria beyond age, sex, conditions and intervals is judged."""


_NEED_WORDS: Final = {
    "Condition": "problems",
    "Procedure": "procedures",
    "MedicationRequest": "medications",
    "screening": "screening results",
    "smoking_status": "smoking status",
    "hba1c": "laboratory results",
    "sbp": "blood pressures",
}


def judge_services(record: PatientRecord, results: Sequence[FollowUp]) -> tuple[ServiceAnswer, ...]:
    """Return the answer for each recommendation, in the knowledge's order; `results` are those without a follow-up."""
    by_screening = {result.row.screening: result for result in results}
    age = record.age_years()
    services = [service.at_age(age) for service in PREVENTIVE.services if _is_in_state(service, record)]
    return tuple([_judge(service, record, by_screening.get(service.id)) for service in services])


def _is_in_state(service: PreventiveService, record: PatientRecord) -> bool:
    """Whether the patient has the conditions for which alone a recommendation is."""
    for groups in filter(None, (service.only_with, service.also_with)):
        hit = find_condition(record, *groups)
        if hit is None or re.search(service.unless_words, hit.words, re.IGNORECASE):
            return False
    return True


def _in_pregnancy(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    """Due where no test of this pregnancy counts, from the week of the recommendation on."""
    pregnancy = find_condition(record, "pregnancy")
    dated = gestation(record, pregnancy.time, pregnancy.source) if pregnancy is not None else None
    if dated is None or dated.weeks < service.from_week <= dated.most:
        text = "the week of the pregnancy is not on record"
        return judge(service, "not-charted", text) if service.from_week else by_interval(service, record)
    if not service.from_week <= dated.weeks <= service.to_week:
        text = f"from week {service.from_week} of a pregnancy on; this is week {dated.week}"
        return judge(service, "risk", text)
    begun = record.as_of.date() - timedelta(days=dated.days)
    return newest_that_counts(service, record, lambda test: test.day is None or test.day >= begun)


def _judge(service: PreventiveService, record: PatientRecord, result: FollowUp | None) -> ServiceAnswer:
    outside = _outside(service, record)
    if outside is not None:
        return outside
    if result is not None:
        text = f"{result.name} ({result.when}): {result.text}"
        return judge(service, ABNORMAL_RESULT, text, *result.facts)
    general = _in_pregnancy if service.only_with == ("pregnancy",) else by_interval
    answer = DECIDERS.get(service.id, general)(service, record)
    if answer.state != "due":
        return answer
    return _not_sent(service, record) or _settled(service, record) or _met(service, record, answer)


def _outside(service: PreventiveService, record: PatientRecord) -> ServiceAnswer | None:
    """Whom the recommendation is not for: by age, sex, or a condition of the list."""
    age = record.age_years()
    if age is None:
        return judge(service, "not-charted", "the age is not known")
    if age < service.from_age or (service.to_age is not None and age > service.to_age):
        ages = (
            f"{service.from_age} to {service.to_age}" if service.to_age is not None else f"{service.from_age} and over"
        )
        return judge(service, "age", f"for ages {ages}")
    organ = _ORGANS.get(service.id)
    has_organ = organ and organ(record)
    if has_organ is False:
        return judge(service, "condition", "the chart says that the organ is absent")
    if service.sex is not None and record.sex != service.sex and not has_organ:
        if record.sex is None:
            return judge(service, "not-charted", "the sex is not known")
        return judge(service, "sex", f"for {'women' if service.sex == 'female' else 'men'}")
    hit = find_condition(record, *service.excluded) if service.excluded else None
    if hit is None:
        return None
    when = f" ({hit.time.date})" if hit.time is not None else ""
    text = f"it does not apply with {plain(hit.words or hit.code, 60)}{when}; it is for people at average risk"
    return judge(service, "condition", text)


def _has_cervix(record: PatientRecord) -> bool | None:
    """Whether the chart says so in an entry about the organ, or by a test of it; None where it says neither."""
    stated = _stated(record, _CERVIX)
    was_tested = bool(done(record, "cytology") or done(record, "hpv"))
    return True if stated is None and was_tested else stated


def _stated(record: PatientRecord, organ: re.Pattern[str]) -> bool | None:
    """Return what the newest observation of an inventory of organs says, such as "Cervix: absent"."""
    for words, answer in record.derive(_inventory):
        if organ.fullmatch(words) is not None and (match := _IS_THERE.search(answer)) is not None:
            return match["there"] is not None
    return None


def _inventory(record: PatientRecord) -> list[tuple[str, str]]:
    """Return the names of usable observations with a short answer in words, newest first."""
    parts = [part for part in record.screening_parts() if part[0].status in USABLE_STATUS]
    parts.sort(key=lambda part: part[0].effectiveDateTime or "", reverse=True)
    return [
        (part[1].code.words.strip().casefold(), value.words.casefold())
        for part in parts
        if (value := part[1].valueCodeableConcept or CodeableConcept(text=part[1].valueString or "")).words
    ]


_CERVIX: Final = re.compile(
    r"(?:organ inventory\W+)?(?:has )?(?:uterine )?cervix(?: uteri)?(?: (?:present|status))?\W*"
)
_BREASTS: Final = re.compile(r"(?:organ inventory\W+)?(?:has )?breasts?(?: (?:tissue|present|status))*\W*")
_IS_THERE: Final = re.compile(r"\b(?:(?P<there>present|yes|true|native|intact)|absent|no|none|false|removed)\b")
_ORGANS: Final[Mapping[str, Callable[[PatientRecord], bool | None]]] = {
    "cervical-cancer": _has_cervix,
    "breast-cancer": lambda record: _stated(record, _BREASTS),
}
"""What is charted of the organ that a screening is about, which goes before the sex."""


def _not_sent(service: PreventiveService, record: PatientRecord) -> ServiceAnswer | None:
    lacking = [_NEED_WORDS[need] for need in service.needs if not record.was_requested(need)]
    if not lacking:
        return None
    return judge(service, "not-sent", f"{' and '.join(lacking)} were not sent")


def _met(service: PreventiveService, record: PatientRecord, answer: ServiceAnswer) -> ServiceAnswer:
    """Return the answer: not due where its medication is taken, with a reaction to it, or with one that is against it.

    Only a recommendation of a medication itself is not for who reacts to it.
    """
    if not service.met_by:
        return answer
    for classes, because in ((service.met_by, "done"), (service.unless_taking, "condition")):
        if taken := presence_of(record, frozenset(classes)).medications:
            return judge(service, because, f"the patient takes {plain(taken[0].name, 60)}")
    if service.also_with:
        if any(allergy_to_class(record, name) is not None for name in service.met_by):
            return judge(service, "condition", "a reaction to it is on record")
        return replace(answer, text=f"not on the medication list ({service.interval})")
    return _naming_unreadable(answer, presence_of(record, frozenset(service.met_by)))


def _settled(service: PreventiveService, record: PatientRecord) -> ServiceAnswer | None:
    """Not due after all: ordered, or declined by the patient."""
    for interval in service.tests:
        refused = declined(record, interval.test)
        if refused is not None:
            when = f" ({refused[1]})" if refused[1] else ""
            return judge(service, "declined", f"{PREVENTIVE.tests[interval.test].words} was declined{when}")
    for interval in service.tests:
        source = is_ordered(record, interval.test)
        if source is not None:
            return judge(service, "ordered", f"it is ordered ({plain(source, 60)})")
    return None
