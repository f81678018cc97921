"""The indications for a statin that a guideline names without a score, each as the text of its card."""

from functools import partial

from cards.card import TOPICS, CardText, Source, Suggestion
from cards.extension import Fact
from cards.rules.patient.measurements import measurement_fact
from cards.text import capitalized, escape, format_number
from cds_hooks.call.services._current_medications import stopped_medicine
from cds_hooks.call.services._equation import fact_of_condition, offer
from cds_hooks.call.services._service import ServiceInput
from fhir.mapping.conditions import find_confirmed

STATIN = frozenset({"statin"})
TALK = "Shared decision: statin for primary prevention"
TALK_OF_DISEASE = "Shared decision: statin in atherosclerotic disease"
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
WITH_A_SCORE = frozenset({"statin_diabetes", "statin_kidney"})
"""Indications whose card is that of the score, where there is one to show."""
OF_DISEASE = frozenset({"statin_atherosclerosis", "statin_familial", "statin_ldl"})
"""Cards of a talk that treats what the patient has; the others prevent what may come."""


def indication_without_score(call: ServiceInput) -> CardText | None:
    """Return the text of the first indication of the guidelines that needs no score; None for none."""
    record = call.record
    age = record.age_years()
    if age is None or age < _ADULT_YEARS:
        return None
    named = partial(_named, call)
    if (vessels := find_confirmed(record, *_VESSELS)) is not None:
        disease = fact_of_condition("atherosclerosis", vessels)
        return named("known atherosclerotic disease", disease, talk=TALK_OF_DISEASE)
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
    call: ServiceInput, why: str, fact: Fact, name: str = "", guideline: Source = _CHOLESTEROL_2018, talk: str = TALK
) -> CardText:
    """Return the text of an indication that the guideline names: in words, its fact."""
    charted = f" (**{escape(str(fact.value))}**" if isinstance(fact.value, str) else ""
    if charted:
        charted += f", {fact.effective[:10]})" if fact.effective else ")"
    return CardText(
        about=f"statin_{name or fact.name}",
        summary=f"{capitalized(why)}, {statin_found(call)}",
        opening=(
            f"On record: {why}{charted}; no active statin. The guideline advises one without a risk score. Ask first "
            f"whether one was tried and not tolerated.{over_75(call)}"
        ),
        guideline=guideline,
        topic=TOPICS["statin"],
        facts=(fact,),
        offers=(talk_offer(call, talk),),
        closing="For prevention, not for emergencies.",
    )


def statin_found(call: ServiceInput) -> str:
    """Return what to do about the statin: ask why one was stopped or is on hold, else discuss one."""
    stopped = stopped_medicine(call.record, STATIN)
    return f"{stopped.words}: ask why." if stopped is not None else "no statin found. Discuss a statin."


def over_75(call: ServiceInput) -> str:
    """Return what is known of statins at over 75, after the sentence that names one."""
    age = call.record.age_years()
    if age is None or age <= _TO_AGE:
        return ""
    return (
        f" At {age} evidence is limited: weigh benefit, interactions, frailty and wishes (2018 AHA/ACC). USPSTF 2022 "
        "finds too little evidence for prevention from 76."
    )


def talk_offer(call: ServiceInput, talk: str) -> Suggestion:
    return offer(call, "Plan a talk about a statin", "Draft order: benefits, harms and wishes.", talk)
