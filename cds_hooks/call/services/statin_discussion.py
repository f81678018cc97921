"""Who may benefit from talking about a statin: PREVENT-ASCVD at patient-view, where none is active.

Bands: 2026 ACC/AHA multisociety dyslipidemia guideline, intermediate from 5 %, high from 10 % (PREVENT-ASCVD, ages 30
to 79). A card is shown from intermediate on.
"""

import re
from functools import partial
from typing import Final

from cards.card import TOPICS, CardText, Source, Suggestion
from cards.compose.equation import people_in_100
from cards.extension import Fact, WorklistEntry
from cards.new_orders import orderable_test_for
from cards.rules.patient.measurements import measurement_fact
from cards.text import capitalized, escape, format_number
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._current_medications import stopped_medicine
from cds_hooks.call.services._equation import (
    EquationQuestion,
    advise_by_equation,
    advise_by_guideline,
    fact_of_condition,
    is_moment_for_reminder,
    is_moment_for_talk,
    kept_for_worklist,
    offer,
    offer_of_test,
)
from cds_hooks.call.services._exclusions import (
    NOT_AT_HOME,
    SHORT_OUTLOOK,
    Exclusion,
    limited_outlook,
    medication_active,
    named_by_problem,
    not_known_whether_taken,
    on_record,
    talk_planned,
)
from cds_hooks.call.services._outlook import OUTLOOK_FEATURES, short_outlook
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput
from fhir.mapping.allergies import allergy_to_class
from fhir.mapping.conditions import find_condition, find_confirmed
from fhir.mapping.declined import declined_medicine
from fhir.mapping.study_words import ORDERABLE_TESTS, OrderableTest
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.record.resources import Condition
from fhir.terminology.assertions import states
from models_onnx.equations.calculate import EquationResult, RecordInputs, features_of, inputs_from_record
from models_onnx.equations.declaration import get_equation

_STATIN = frozenset({"statin"})
_TALK = "Shared decision: statin for primary prevention"
_TALK_OF_DISEASE = "Shared decision: statin in atherosclerotic disease"
_ADULT_YEARS, _FROM_AGE, _TO_AGE = 20, 40, 75
_SEVERE_LDL = 190.0
_LDL_DAYS = 365.0
# 2018: clinical atherosclerotic disease, LDL of 190 mg/dL or more, diabetes at 40 to 75 (doi of the guideline).
_CHOLESTEROL_2018 = Source(
    label="2018 AHA/ACC multisociety guideline on blood cholesterol",
    url="https://doi.org/10.1161/CIR.0000000000000625",
)
_HIV_2024 = Source(
    label="HHS panel on antiretroviral agents, statin therapy in people with HIV, 2024",
    url="https://clinicalinfo.hiv.gov/en/guidelines/hiv-clinical-guidelines-adult-and-adolescent-arv/statin-therapy-people-hiv",
)
_KDIGO_2024 = Source(
    label="KDIGO 2024 guideline on chronic kidney disease, 3.15.1", url="https://doi.org/10.1016/j.kint.2023.10.018"
)
_KIDNEY, _FROM_AGE_KIDNEY = ("ckd3", "ckd4", "ckd5_or_dialysis"), 50
"""Adults from 50 with an eGFR under 60 (G3a to G5) and neither dialysis nor a transplant: recommended (1A)."""
_VESSELS = (
    "coronary_disease",
    "stroke_ischaemic",
    "peripheral_artery",
    "carotid_stenosis",
    "stent_coronary",
    "cabg",
    "aortic_aneurysm",
    "atherosclerosis_operation",
)
_WITH_A_SCORE = frozenset({"statin_diabetes", "statin_kidney"})
"""Indications whose card is that of the score, where there is one to show."""
_OF_DISEASE = frozenset({"statin_atherosclerosis", "statin_familial", "statin_ldl"})
"""Cards of a talk that treats what the patient has; the others prevent what may come."""
EQUATION = get_equation("prevent_base")
FEATURES = features_of(EQUATION)
OUTPUT = "ascvd|10y"
_CALLED = re.compile("statin|lipitor|crestor|zocor|pravachol|livalo|sortis", re.IGNORECASE)
_HARM = re.compile(
    r"\bstatins?[ -](?:[\w-]+ )?(?:intoleran|myopath|myalgia|myositis|adverse)"
    r"|(?:intoleran\w{1,5}|adverse \w{1,20}|myopathy|myalgia) (?:of|to|from|due to) (?:[\w-]+ )?\w*statin",
    re.IGNORECASE,
)
_DISCUSSED_BANDS = frozenset({"intermediate", "high"})
_PCSK9 = ("1665684", "atc-C10AX14", "2588243")  # evolocumab, alirocumab, inclisiran
_LIPIDS: Final = next(test for test in ORDERABLE_TESTS if "total_cholesterol" in test.answers)
_LIPIDS_OLD_DAYS = 365
_FROM = {"intermediate": "5 to under 10 in 100", "high": "10 in 100 or more"}


def find(call: ServiceInput) -> Advice:
    """One card where the risk is intermediate or high and no statin is active, else the reason for none.

    The talk needs a visit, and where no disease asks for it, one in which a reminder has its place.
    """
    indication = _indication_without_score(call)
    if indication is not None and indication.about not in _WITH_A_SCORE:
        advice = advise_by_guideline(call, indication)
    else:
        charted = inputs_from_record(EQUATION, call.record)
        advice = advise_by_equation(call, charted, _question(call, charted))
        if indication is not None and (advice.scores is None or not advice.cards):
            advice = advise_by_guideline(call, indication)  # and no score to go with it
    if not advice.cards:
        return advice
    (card,) = advice.cards
    is_for_disease = indication is not None and indication.about in _OF_DISEASE
    if not is_for_disease and (outlook := short_outlook(call)) is not None:
        advice.cards, advice.silences = [], [WhyNot(EQUATION.id, "outside-population", f"{capitalized(outlook)}.")]
    elif card.own_extension.missing:
        pass  # a test to order has a reminder's rules of its own
    elif is_moment_for_talk(call) if is_for_disease else is_moment_for_reminder(call):
        notes = advice.notes[card.uuid]
        notes.reminder, notes.rank = _entry("offered-before"), VisitRank.FINDING if is_for_disease else None
    else:
        advice.worklist, advice.silences = [_entry("no-visit")], [kept_for_worklist(call, EQUATION.id)]
        advice.cards = []
    return advice


def _entry(because: str) -> WorklistEntry:
    return WorklistEntry(test="A talk about a statin", purpose=EQUATION.id, because=because)


def _harm(record: PatientRecord) -> bool:
    """Whether a statin was not tolerated, by code or words: many charts have it under Z78.9, which says nothing."""
    words = (problem.code.words if problem.code is not None else "" for problem in record.facts(Condition))
    return find_condition(record, "statin_intolerance") is not None or any(states(_HARM, text) for text in words)


def _question(call: ServiceInput, charted: RecordInputs) -> EquationQuestion:
    below = "The 10-year risk is below the intermediate band (5 %)."
    # Lipids are ordered for a talk about a statin; a creatinine is not, and nothing where a cancer is treated.
    is_lipids = orderable_test_for(charted.missing_inputs(OUTPUT)) is _LIPIDS
    is_lipids = is_lipids and find_condition(call.record, "cancer_any") is None
    return EquationQuestion(OUTPUT, _DISCUSSED_BANDS, below, partial(_risk, call), _missing if is_lipids else None)


def _risk(call: ServiceInput, result: EquationResult) -> CardText:
    assert result.table is not None  # noqa: S101 - this output has bands for everyone
    people = people_in_100(result)
    band = result.band_id
    return CardText(
        summary=(f"Heart attack or stroke in 10 years: about {people:g} in 100 ({band}); {_statin_found(call)}"),
        figure=f"{people:g} in 100",
        opening=(
            f"**About {people:g} in 100** people like this {result.output.words}; {100 - people:g} do not (PREVENT). "
            f"**{capitalized(band)}** risk: {_FROM[band]} ({result.table.source.partition(',')[0]}).{_over_75(call)}"
        ),
        topic=TOPICS["statin"],
        offers=(_talk_offer(call, _TALK), *_lipid_offer(call)),
        closing="For prevention, not for emergencies.",
    )


def _lipid_offer(call: ServiceInput) -> tuple[Suggestion, ...]:
    """Return the offer of new lipids where the ones used are more than a year old."""
    if call.record.newest("cholesterol_total", _LIPIDS_OLD_DAYS) is not None:
        return ()
    return (offer_of_test(call, _LIPIDS, "Order new lipids first", "The one used is over a year old."),)


def _missing(charted: RecordInputs, test: OrderableTest) -> CardText:
    age = charted.given.get("age")
    return CardText(
        summary=f"Risk of heart attack and stroke cannot be estimated: no {test.words}. Consider ordering it.",
        opening=(
            f"Everything that PREVENT asks for at {age:g} is there but the **{test.words}**; with it the 10-year risk "
            "may turn out intermediate or high."
        ),
        topic=TOPICS["statin"],
    )


# The indications that a guideline names without a score, each as the text of its card


def _indication_without_score(call: ServiceInput) -> CardText | None:
    """Return the text of the first indication of the guidelines that needs no score; None for none."""
    record = call.record
    age = record.age_years()
    if age is None or age < _ADULT_YEARS:
        return None
    named = partial(_named, call)
    if (vessels := find_confirmed(record, *_VESSELS)) is not None:
        disease = fact_of_condition("atherosclerosis", vessels)
        return named("known atherosclerotic disease", disease, talk=_TALK_OF_DISEASE)
    if (inherited := find_confirmed(record, "familial_hypercholesterolaemia")) is not None:
        return named("familial hypercholesterolemia", fact_of_condition("familial", inherited))
    ldl = record.newest("ldl_cholesterol", _LDL_DAYS)
    if ldl is not None and ldl.value >= _SEVERE_LDL:
        words = f"LDL cholesterol {format_number(ldl.value, [_SEVERE_LDL], 0)} mg/dL ({ldl.time.date})"
        return named(words, measurement_fact(ldl), name="ldl")
    if not _FROM_AGE <= age <= _TO_AGE:
        return None
    if (hiv := find_confirmed(record, "hiv")) is not None:
        return named(f"HIV, age {age}", fact_of_condition("hiv", hiv), guideline=_HIV_2024)
    if (diabetes := find_confirmed(record, "diabetes")) is not None:
        return named(f"diabetes, age {age}", fact_of_condition("diabetes", diabetes))
    kidneys = find_confirmed(record, *_KIDNEY) if age >= _FROM_AGE_KIDNEY else None
    if kidneys is None:
        return None
    return named(f"chronic kidney disease, age {age}", fact_of_condition("kidney", kidneys), guideline=_KDIGO_2024)


def _named(
    call: ServiceInput, why: str, fact: Fact, name: str = "", guideline: Source = _CHOLESTEROL_2018, talk: str = _TALK
) -> CardText:
    """Return the text of an indication that the guideline names: in words, its fact."""
    since = f" ({fact.effective[:10]})" if fact.effective else ""
    charted = f"On record: **{escape(str(fact.value))}**{since}. " if isinstance(fact.value, str) else ""
    return CardText(
        about=f"statin_{name or fact.name}",
        summary=f"{capitalized(why)}, {_statin_found(call)}",
        opening=(
            f"{charted}The guideline advises a statin without a risk score. Ask first whether one was tried and not "
            f"tolerated.{_over_75(call)}"
        ),
        guideline=guideline,
        topic=TOPICS["statin"],
        facts=(fact,),
        offers=(_talk_offer(call, talk),),
        closing="For prevention, not for emergencies.",
    )


def _statin_found(call: ServiceInput) -> str:
    """Return what to do about the statin: ask why one was stopped or is on hold, else discuss one."""
    stopped = stopped_medicine(call.record, _STATIN)
    return f"{stopped.words}: ask why." if stopped is not None else "no statin found. Discuss one."


def _over_75(call: ServiceInput) -> str:
    """Return what is known of statins at over 75, after the sentence that names one."""
    age = call.record.age_years()
    if age is None or age <= _TO_AGE:
        return ""
    return (
        f" At {age} evidence is limited: weigh benefit, interactions, frailty and wishes (2018 AHA/ACC). USPSTF 2022 "
        "finds too little evidence for prevention from 76."
    )


def _talk_offer(call: ServiceInput, talk: str) -> Suggestion:
    return offer(call, "Plan a talk about a statin", "Draft order: benefits, harms and wishes.", talk)


ADVISOR = Advisor(
    id="statin-discussion",
    hooks=(PATIENT_VIEW,),
    title="Who may benefit from talking about a statin",
    description=(
        "Estimates the 10-year risk of heart attack and stroke with PREVENT for adults of 30 to 79 without known heart "
        "or vessel disease and, where it is intermediate or high and no statin is active, suggests talking about one."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        features=(*FEATURES, *OUTLOOK_FEATURES),
        analytes=("ldl_cholesterol", "cholesterol_total"),
        resources=(
            "Condition",
            "Encounter",
            "AllergyIntolerance",
            "MedicationRequest",
            "Procedure",
            "ServiceRequest",
        ),
        whole_history=("Procedure",),
    ),
    exclusions=(
        *NOT_AT_HOME,
        talk_planned(_TALK, _TALK_OF_DISEASE),
        on_record("contraindicated", "A pregnancy is on record: a statin is not discussed.", "pregnancy"),
        Exclusion(
            "contraindicated",
            "Severe or acute liver disease is on record: a statin is not discussed.",
            lambda record: (
                find_condition(record, "liver_severe", "acute_hepatitis") or named_by_problem(record, "liver_severe")
            ),
        ),
        Exclusion("contraindicated", "A reaction to a statin is on record.", partial(allergy_to_class, name="statin")),
        Exclusion("contraindicated", "Harm by a statin is on record (adverse effect or myopathy).", _harm),
        on_record("contraindicated", "Rhabdomyolysis is on record: a statin is not discussed now.", "rhabdomyolysis"),
        Exclusion(
            "outside-population",
            "{found} is on record: prevention that pays after years is not discussed.",
            partial(limited_outlook, groups=SHORT_OUTLOOK),
        ),
        on_record(
            "contraindicated",
            "Dialysis is on record: KDIGO 2013 (lipids, 2.3.1) suggests not to start a statin.",
            "dialysis",
        ),
        Exclusion("declined", "{found}", lambda record: declined_medicine(record, _STATIN, _CALLED)),
        medication_active("A PCSK9 inhibitor is active.", *_PCSK9),
        medication_active("A statin is active.", "statin"),
        not_known_whether_taken("a statin", "statin"),
    ),
    subject=EQUATION.id,
    find=find,
    rank=VisitRank.TALK,
)
