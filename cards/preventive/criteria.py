"""Decides for each recommendation whether it is due, not due, or cannot be told, and why.

"Due" is said only where everything that a recommendation needs was sent: what was not sent, or not charted, makes it
"not known". Ages are completed years; an interval is over on the same day so many years later. The recommendations that
ask for more than age, sex, conditions and intervals have a function each (`DECIDERS`).

Source of the criteria: `services.json` (USPSTF, data of 2024-05-02). What the project chose itself is in
docs/preventive.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final

from msgspec.structs import replace

from cards.extension import Fact
from cards.preventive.abnormal import OpenResult
from cards.preventive.chart import Done, declined, is_ordered, other_entries, results_of, years_after
from cards.preventive.judgement import (
    JudgedChart,
    Judgement,
    by_interval,
    fact_of,
    judge,
    newest_that_counts,
)
from cards.preventive.knowledge import PREVENTIVE, Order, PreventiveKnowledge, PreventiveService
from cards.text import format_number, plain
from fhir.mapping.allergies import allergy_to_class
from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.mapping.medications.active import Presence, presence_of
from fhir.mapping.tobacco import SmokingHistory
from fhir.record.datatypes import CodeableConcept
from fhir.record.measurement import USABLE_STATUS, Measurement
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES
from models_onnx.errors import EquationRefused

ABNORMAL_RESULT: Final = "abnormal-result"
"""Why a screening is not due whose last result waits for what follows it: its own card tells it."""
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
_RISK: Final = 0.10
_LDL_OTHER_GUIDELINES: Final = 190.0
_STATIN_OUTPUT: Final = "ascvd|10y"
_NICOTINE, _VARENICLINE, _DENOSUMAB = "7407", "591622", "993449"
_DIABETES_DRUGS: Final = frozenset({"insulin", "biguanide", "sulfonylurea", "dpp4"})
_FOR_BONES: Final = frozenset({"bisphosphonate", _DENOSUMAB})
_STEROIDS: Final = frozenset({"corticosteroid"})
_TO_STOP_SMOKING: Final = frozenset({_NICOTINE, _VARENICLINE})
_CYTOLOGY: Final = Order("Cervical cancer screening: cytology", (PREVENTIVE.codes["cytology"],))


def _colorectal(service: PreventiveService, chart: JudgedChart) -> Judgement:
    colectomy = chart.done("colectomy_total")
    if colectomy:
        return judge(service, "not due", "condition", f"the colon was removed{_when(colectomy[0])}")
    polyp = find_condition(chart.record, "colon_polyp")
    if polyp is not None:
        text = "a polyp is on record; follow-up depends on whether it was an adenoma, which is not on record"
        return judge(service, "not known", "not-charted", text)
    return by_interval(service, chart)


def _cervical(service: PreventiveService, chart: JudgedChart) -> Judgement:
    removed = chart.done("hysterectomy_total") or chart.done("vaginoplasty")
    if removed:
        return judge(service, "not due", "condition", f"{chart.test(removed[0].test).words}{_when(removed[0])}")
    if treated := chart.done("cervical_treatment"):
        text = f"the cervix was treated{_when(treated[0])}: follow-up is by its result, for 25 years"
        return judge(service, "not due", "abnormal", text, last=treated[0], facts=(fact_of(treated[0]),))
    newest = max(
        (test for name in ("cytology", "hpv") for test in chart.done(name)[:1]),
        key=lambda test: test.day or date.min,
        default=None,
    )
    if newest is not None and newest.is_positive:
        text = f"the last {chart.test(newest.test).words}{_when(newest)} was not normal: follow-up is by its result"
        return judge(service, "not due", "abnormal", text, last=newest, facts=(fact_of(newest),))
    unclear = chart.done("hysterectomy")
    is_left = find_condition(chart.record, "cervix_left") is not None
    if unclear and not is_left:
        return judge(
            service,
            "not known",
            "not-charted",
            f"hysterectomy{_when(unclear[0])}: whether the cervix was removed is not said",
        )
    judgement = newest_that_counts(service, chart, lambda test: test.test != "hpv" or _was_from_30(test, chart))
    age = chart.record.age_years() or 0
    if judgement.state != "due" or age >= _HPV_FROM_AGE:
        return judgement
    return replace(judgement, order=_CYTOLOGY)


def _was_from_30(test: Done, chart: JudgedChart) -> bool:
    born = chart.record.birth_date
    return test.day is None or born is None or test.day >= years_after(born.last_day, _HPV_FROM_AGE)


def _breast(service: PreventiveService, chart: JudgedChart) -> Judgement:
    bilateral = chart.done("mastectomy_bilateral")
    sides = [_one_sided(side, chart) for side in ("left", "right")]
    if bilateral or all(sides):
        return judge(
            service, "not due", "condition", f"both breasts were removed{_when(bilateral[0]) if bilateral else ''}"
        )
    return by_interval(service, chart)


def _one_sided(side: str, chart: JudgedChart) -> bool:
    absent = find_condition(chart.record, f"breast_absent_{side}")
    return absent is not None or bool(chart.done(f"mastectomy_{side}"))


def _when(test: Done) -> str:
    return f" ({test.when})" if test.when else ""


def _lung(service: PreventiveService, chart: JudgedChart) -> Judgement:
    smoking, judgement = chart.smoking, by_interval(service, chart)
    if judgement.because == "done":
        return judgement
    if smoking.answer is None:
        return judge(service, "not known", "not-charted", "the smoking status is not on record")
    if smoking.ever is None:
        return judge(service, "not due", "risk", f"the patient never smoked{_answered(smoking)}")
    if smoking.pack_years is not None and smoking.pack_years.value < _PACK_YEARS:
        text = f"{smoking.pack_years.value:g} pack-years on record, under {_PACK_YEARS:g}"
        return judge(service, "not due", "risk", text)
    if smoking.answer.status != "current":
        if smoking.stopped_by is not None and chart.today >= years_after(smoking.stopped_by, _QUIT_YEARS):
            return judge(
                service,
                "not due",
                "risk",
                f"the patient stopped smoking 15 years ago or more (by {smoking.stopped_by})",
            )
        if smoking.stopped_from is None or chart.today >= years_after(smoking.stopped_from, _QUIT_YEARS):
            return judge(service, "not known", "not-charted", "when the patient stopped smoking is not on record")
    if smoking.pack_years is None:
        return judge(service, "not known", "not-charted", "the pack-years are not on record")
    if judgement.state != "due":
        return judgement
    who = "smokes" if smoking.answer.status == "current" else "stopped smoking within 15 years"
    text = f"{smoking.pack_years.value:g} pack-years, {who}; {judgement.text}"
    return replace(judgement, text=text)


def _answered(smoking: SmokingHistory) -> str:
    time = smoking.answer.time if smoking.answer is not None else None
    return f" ({time.date})" if time is not None else ""


def _aneurysm(service: PreventiveService, chart: JudgedChart) -> Judgement:
    if repaired := chart.done("aneurysm_repair"):
        return judge(service, "not due", "condition", f"an aneurysm was repaired{_when(repaired[0])}")
    judgement = by_interval(service, chart)
    if judgement.because == "done":
        return judgement
    if described := chart.record.derive(_aorta_described):
        text = f"the aorta is described: {plain(described[0].words, 60)}{_when(described[0])}"
        return judge(service, "not due", "done", text)
    if chart.smoking.answer is None:
        return judge(service, "not known", "not-charted", "the smoking status is not on record")
    if chart.smoking.ever is None:
        return judge(
            service, "not due", "risk", f"the patient never smoked{_answered(chart.smoking)}: no A or B recommendation"
        )
    return judgement


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
_UNSEEN: Final = re.compile(
    r"obscur|limited|not (?:well |fully )?(?:seen|visuali|evaluat|assess)|nicht (?:beurteil|einseh)|non (?:vis|val)",
    re.IGNORECASE,
)


def _aorta_described(record: PatientRecord) -> list[Done]:
    """Return the reports, newest first, in which a sentence says how wide the abdominal aorta is."""
    return [
        test for test in results_of(record, (), record.derive(other_entries)) if test.result and _describes_aorta(test)
    ]


def _describes_aorta(test: Done) -> bool:
    return any(
        _AORTA.search(clause) is not None
        and _WIDTH.search(clause) is not None
        and _BELLY.search(f"{test.words} {clause}") is not None
        and _OTHER_AORTA.search(clause) is None
        and _UNSEEN.search(clause) is None
        for clause in re.split(r"[;|\n]|\.(?!\d)", test.result)
    )


def _osteoporosis(service: PreventiveService, chart: JudgedChart) -> Judgement:
    treated = presence_of(chart.record, _FOR_BONES)
    if treated.medications:
        return judge(
            service, "not due", "condition", f"the patient is treated with {plain(treated.medications[0].name, 60)}"
        )
    steroid = presence_of(chart.record, _STEROIDS)
    if steroid.medications:
        taken = plain(steroid.medications[0].name, 60)
        text = f"the patient takes {taken}: bone loss caused by a drug is assessed differently"
        return judge(service, "not due", "condition", text)
    return _naming_unreadable(by_interval(service, chart), treated)


def _diabetes(service: PreventiveService, chart: JudgedChart) -> Judgement:
    record = chart.record
    if find_condition(record, "pregnancy"):
        return judge(service, "not due", "condition", "it does not apply in pregnancy")
    treated = presence_of(record, _DIABETES_DRUGS)
    if treated.medications:
        return judge(service, "not due", "condition", f"the patient takes {plain(treated.medications[0].name, 60)}")
    tested = _glucose(chart)
    if tested is not None:
        return _of_glucose(service, *tested)
    bmi, obesity = chart.bmi(), find_condition(record, "obesity")
    if bmi is None and obesity is None:
        return judge(service, "not known", "not-charted", "the body mass index is not on record")
    if bmi is not None and bmi < _OVERWEIGHT:
        return judge(
            service, "not due", "risk", f"the body mass index is {format_number(bmi, [_OVERWEIGHT])} kg/m², under 25"
        )
    why = (
        f"the body mass index is {format_number(bmi, [_OVERWEIGHT])} kg/m²" if bmi is not None else "obesity on record"
    )
    judgement = judge(service, "due", "never-seen", f"{why}; no HbA1c or fasting glucose of the last 3 years")
    return _naming_unreadable(judgement, treated)


def _glucose(chart: JudgedChart) -> tuple[Measurement, bool] | None:
    """Return the newest glucose result within the interval that says whether it is normal, and whether it is."""
    results = []
    for key, normal in (("hba1c", _A1C_NORMAL), ("glucose_fasting", _GLUCOSE_NORMAL), ("glucose", _GLUCOSE_NORMAL)):
        newest = chart.record.newest(key)
        is_normal = newest is not None and newest.value < normal
        # A raised glucose that was not taken fasting says nothing here.
        if newest is not None and (is_normal or key != "glucose"):
            results.append((newest, is_normal))
    results = [result for result in results if chart.today < years_after(result[0].time.last_day, 3)]
    return max(results, key=lambda result: result[0].time.instant, default=None)


def _of_glucose(service: PreventiveService, result: Measurement, is_normal: bool) -> Judgement:
    limit = _A1C_NORMAL if result.analyte == "hba1c" else _GLUCOSE_NORMAL
    value = f"{format_number(result.value, [limit])} {result.unit}"
    words = f"{ANALYTES[result.analyte].words} {value} ({result.time.date})"
    fact = Fact(
        name=result.analyte, value=result.value, unit=result.unit, effective=result.time.text, source=result.source
    )
    if not is_normal:
        text = f"{words} is not normal and no diabetes is on record: confirm and follow up"
        return judge(service, "not due", "abnormal", text, facts=(fact,))
    due = years_after(result.time.last_day, 3)
    return judge(service, "not due", "done", f"{words}; it is due again {due}", next_due=due, facts=(fact,))


def _statin(service: PreventiveService, chart: JudgedChart) -> Judgement:
    record, risk = chart.record, chart.risk
    statin = risk.evidence.get("statin")
    if statin is not None and statin.value:
        return judge(service, "not due", "done", "a statin is taken")
    if find_condition(record, "pregnancy"):
        return judge(service, "not due", "condition", "it does not apply in pregnancy")
    if allergy_to_class(record, "statin") is not None:
        return judge(service, "not due", "condition", "a reaction to a statin is on record")
    ldl = record.newest("ldl_cholesterol")
    if ldl is not None and ldl.value > _LDL_OTHER_GUIDELINES:
        return judge(service, "not due", "condition", "LDL cholesterol over 190 mg/dL: other guidelines apply")
    if not all(record.was_requested(need) for need in service.needs):
        return judge(service, "not known", "not-sent", "the problems or the medications were not sent")
    factors = _risk_factors(chart)
    if not factors:
        return judge(
            service, "not due", "risk", "no risk factor (cholesterol, diabetes, hypertension, smoking) on record"
        )
    try:
        result = risk.calculate(_STATIN_OUTPUT)
    except EquationRefused as refused:
        # Without the equation's name, which every refusal begins with.
        why = refused.text.partition(": ")[2]
        text = f"the 10-year risk was not computed: {plain(why, 100).removesuffix('.')}"
        if refused.reason in ("input-missing", "out-of-range"):
            return judge(service, "not known", "not-charted", text)
        return judge(service, "not due", "condition", text)
    share = result.number
    words = f"10-year risk {format_number(100 * share, [100 * _RISK])} in 100 (PREVENT)"
    if share < _RISK:
        return judge(service, "not due", "risk", f"{words}, under 10")
    return judge(service, "due", "risk", f"{words}, {', '.join(factors)}, no statin found")


def _risk_factors(chart: JudgedChart) -> list[str]:
    evidence = chart.risk.evidence
    smokes, diabetes = evidence.get("current_smoker"), evidence.get("diabetes")
    factors = {
        "high cholesterol": find_condition(chart.record, "hyperlipidemia") is not None,
        "diabetes": diabetes is not None and bool(diabetes.value),
        "hypertension": find_condition(chart.record, "hypertension") is not None,
        "smoking": smokes is not None and bool(smokes.value),
    }
    return [name for name, is_there in factors.items() if is_there]


def _tobacco(service: PreventiveService, chart: JudgedChart) -> Judgement:
    answer = chart.smoking.answer
    if answer is None:
        return replace(judge(service, "due", "not-asked", "no smoking status on record: ask"), order=None)
    if answer.status != "current":
        return judge(service, "not due", "done", f"the answer is “{plain(answer.words, 60)}”{_answered(chart.smoking)}")
    treated = presence_of(chart.record, _TO_STOP_SMOKING, systemic=False)
    if treated.medications:
        return judge(
            service, "not due", "done", f"the patient is treated with {plain(treated.medications[0].name, 60)}"
        )
    judgement = by_interval(service, chart)
    if judgement.state != "due":
        return judgement
    text = f"smokes{_answered(chart.smoking)}; no advice or treatment to stop on record in a year"
    return _naming_unreadable(replace(judgement, because="smokes", text=text), treated)


def _naming_unreadable(judgement: Judgement, treated: Presence) -> Judgement:
    """Return what is due because no treatment was found, with the medications that could be the treatment."""
    if judgement.state != "due" or not treated.unreadable:
        return judgement
    return replace(judgement, text=f"{judgement.text}; not readable on the medication list: {treated.unreadable_words}")


def _hypertension(service: PreventiveService, chart: JudgedChart) -> Judgement:
    record, age = chart.record, chart.record.age_years() or 0
    systolic, diastolic = record.newest("sbp"), record.newest("dbp")
    if systolic is None:
        return judge(service, "due", "never-seen", "no blood pressure on record here")
    bmi = chart.bmi()
    is_raised = systolic.value >= _SBP_RAISED or (diastolic is not None and diastolic.value >= _DBP_RAISED)
    is_yearly = age >= _YEARLY_FROM_AGE or is_raised or (bmi is not None and bmi >= _OVERWEIGHT)
    due = years_after(systolic.time.last_day, 1 if is_yearly else _LONG_INTERVAL_YEARS)
    value = f"{systolic.value:.0f}{f'/{diastolic.value:.0f}' if diastolic is not None else ''} mmHg"
    fact = Fact(name="sbp", value=systolic.value, unit="mm[Hg]", effective=systolic.time.text, source=systolic.source)
    is_high = systolic.value >= _SBP_HIGH or (diastolic is not None and diastolic.value >= _DBP_HIGH)
    if chart.today < due and is_high:
        text = f"{value} ({systolic.time.date}): confirm it outside the office (home or ambulatory measurement)"
        return judge(service, "not due", "abnormal", text, facts=(fact,))
    if chart.today < due:
        return judge(
            service,
            "not due",
            "done",
            f"{value} ({systolic.time.date}); it is due again {due}",
            next_due=due,
            facts=(fact,),
        )
    text = f"last {value} ({systolic.time.date}), due since {due}"
    return judge(service, "due", "interval-over", text, next_due=due, facts=(fact,))


DECIDERS: Mapping[str, Callable[[PreventiveService, JudgedChart], Judgement]] = {
    "colorectal-cancer": _colorectal,
    "cervical-cancer": _cervical,
    "breast-cancer": _breast,
    "lung-cancer": _lung,
    "abdominal-aortic-aneurysm": _aneurysm,
    "osteoporosis": _osteoporosis,
    "diabetes": _diabetes,
    "statin": _statin,
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


def chart_of(record: PatientRecord, knowledge: PreventiveKnowledge) -> JudgedChart:
    """Return what every recommendation is judged from."""
    return JudgedChart(record, record.as_of.date(), knowledge, record.age_years(), record.sex)


def judge_services(chart: JudgedChart, results: Sequence[OpenResult]) -> tuple[Judgement, ...]:
    """Return the answer for each recommendation, in the knowledge's order; `results` are those without a follow-up."""
    by_screening = {result.row.screening: result for result in results}
    services = (service.at_age(chart.age) for service in chart.knowledge.services)
    return tuple(_judge(service, chart, by_screening.get(service.id)) for service in services)


def _judge(service: PreventiveService, chart: JudgedChart, result: OpenResult | None) -> Judgement:
    outside = _outside(service, chart)
    if outside is not None:
        return outside
    if result is not None:
        text = f"{result.title} ({result.time.date}): {result.needed}"
        return judge(service, "not due", ABNORMAL_RESULT, text, facts=result.facts)
    judgement = DECIDERS.get(service.id, by_interval)(service, chart)
    if judgement.state != "due":
        return judgement
    return _not_sent(service, chart) or _settled(service, chart) or judgement


def _outside(service: PreventiveService, chart: JudgedChart) -> Judgement | None:
    """Whom the recommendation is not for: by age, sex, or a condition of the list."""
    age, sex = chart.age, chart.sex
    if age is None:
        return judge(service, "not known", "not-charted", "the age is not known")
    if age < service.from_age or (service.to_age is not None and age > service.to_age):
        ages = (
            f"{service.from_age} to {service.to_age}" if service.to_age is not None else f"{service.from_age} and over"
        )
        return judge(service, "not due", "age", f"for ages {ages}")
    organ = _ORGANS.get(service.id)
    has_organ = organ and organ(chart)
    if has_organ is False:
        return judge(service, "not due", "condition", "the chart says that the organ is absent")
    if service.sex is not None and sex is None and not has_organ:
        return judge(service, "not known", "not-charted", "the sex is not known")
    if service.sex is not None and sex != service.sex and not has_organ:
        return judge(service, "not due", "sex", f"for {'women' if service.sex == 'female' else 'men'}")
    hit = find_condition(chart.record, *service.excluded) if service.excluded else None
    return _for_condition(service, hit) if hit is not None else None


def _has_cervix(chart: JudgedChart) -> bool | None:
    """Whether the chart says so in an entry about the organ, or by a test of it; None where it says neither."""
    stated = _stated(chart, _CERVIX)
    was_tested = bool(chart.done("cytology") or chart.done("hpv"))
    return True if stated is None and was_tested else stated


def _stated(chart: JudgedChart, organ: re.Pattern[str]) -> bool | None:
    """Return what the newest observation of an inventory of organs says, such as "Cervix: absent"."""
    for words, answer in chart.record.derive(_inventory):
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
_ORGANS: Final[Mapping[str, Callable[[JudgedChart], bool | None]]] = {
    "cervical-cancer": _has_cervix,
    "breast-cancer": lambda chart: _stated(chart, _BREASTS),
}
"""What is charted of the organ that a screening is about, which goes before the sex."""


def _for_condition(service: PreventiveService, hit: ConditionHit) -> Judgement:
    words = plain(hit.words or hit.code, 60)
    when = f" ({hit.time.date})" if hit.time is not None else ""
    text = f"it does not apply with {words}{when}; it is for people at average risk"
    return judge(service, "not due", "condition", text)


def _not_sent(service: PreventiveService, chart: JudgedChart) -> Judgement | None:
    lacking = [_NEED_WORDS[need] for need in service.needs if not chart.record.was_requested(need)]
    if not lacking:
        return None
    return judge(service, "not known", "not-sent", f"{' and '.join(lacking)} were not sent")


def _settled(service: PreventiveService, chart: JudgedChart) -> Judgement | None:
    """Not due after all: ordered, or declined by the patient."""
    for interval in service.tests:
        refused = declined(chart.record, interval.test)
        if refused is not None:
            when = f" ({refused[1]})" if refused[1] else ""
            return judge(service, "not due", "declined", f"{chart.test(interval.test).words} was declined{when}")
    for interval in service.tests:
        source = is_ordered(chart.record, interval.test)
        if source is not None:
            return judge(service, "not due", "ordered", f"it is ordered ({plain(source, 60)})")
    return None
