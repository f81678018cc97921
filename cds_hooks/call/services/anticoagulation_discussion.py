"""Who with atrial fibrillation may benefit from talking about an anticoagulant: CHA2DS2-VASc at patient-view.

2023 ACC/AHA guideline, 6.3.1: a yearly risk of 2 %, "eg, CHA2DS2-VASc score of >=2 in men and >=3 in women" (class 1).
HAS-BLED stands beside it: what it names can be changed; it does not preclude treatment. The guideline goes by the risk
and not by the rhythm (6.3.1), after ablation too: a fibrillation that is on record as past counts as one.

What the chart tells of rhythm, anticoagulants and reasons against a talk: `_anticoagulation.py`.
"""

from functools import partial

from msgspec.structs import replace

from cards.card import FOR_PLANNING, TOPICS, CardText, Source
from cards.compose.equation import extension_of
from cards.extension import CardExtension
from cards.text import capitalized, decapitalized, escape
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._anticoagulation import (
    LISTED_GROUP,
    NO_TALK,
    RHYTHM_GROUP,
    TALK,
    anticoagulation,
    condition_words,
    rhythm_of,
    stopped_anticoagulant,
)
from cds_hooks.call.services._equation import (
    EquationQuestion,
    advise_by_equation,
    advise_by_guideline,
    fact_of_condition,
    offer,
)
from cds_hooks.call.services._exclusions import NOT_AT_HOME, not_known
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput
from fhir.mapping.conditions import ConditionHit, find_condition, find_confirmed
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from models_onnx.equations.calculate import EquationResult, RecordInputs, features_of, inputs_from_record, why_excluded
from models_onnx.equations.declaration import equation_reference, get_equation
from models_onnx.errors import EquationRefused

EQUATION = get_equation("cha2ds2_vasc")
BESIDE = get_equation("has_bled")
FEATURES = (
    *features_of(EQUATION, BESIDE),
    *features_named(("hemoglobin_g_dl", "platelets_10e3_ul", "takes_anticoagulant")),
)
OUTPUT = "score"
_THICK_HEART = "hypertrophic_cardiomyopathy"
_VALVES = ("mechanical_valve", "heart_valve_prosthesis_kind_not_stated", "mitral_stenosis")
_TALK_OFFER = ("Plan a talk about anticoagulation", "Draft order: benefits, bleeding and wishes.", TALK)
_OVER_65 = "age over 65"


def find(call: ServiceInput) -> Advice:
    """One card where the yearly risk of stroke is 2 % or more and no anticoagulant is active, else the reason.

    Without the rhythm nothing else is read: an input that no answer used is no evidence and stands in no record.
    """
    record = call.record
    rhythm = record.derive(rhythm_of)
    if rhythm is None and (why := why_excluded(EQUATION, record)) is not None:
        return Advice(models=(equation_reference(EQUATION),), silences=[WhyNot(EQUATION.id, why.reason, why.text)])
    vector = map_features(record, FEATURES)
    if rhythm is not None:
        valve = find_condition(record, *_VALVES)
        if valve is not None:
            return advise_by_guideline(call, _of_valve(call, valve, rhythm))
        thick_heart = find_confirmed(record, _THICK_HEART)
        if thick_heart is not None:
            return advise_by_guideline(call, _of_thick_heart(call, thick_heart, rhythm))
    charted = _for_any_rhythm(inputs_from_record(EQUATION, record, vector=vector), rhythm)
    bleeding = _for_any_rhythm(inputs_from_record(BESIDE, record, vector=vector), rhythm)
    # Nothing to order: every input is age, sex or a condition.
    below = "CHA2DS2-VASc is under 2 points: under 2 strokes in 100 a year."
    text = partial(_score, call, rhythm, bleeding)
    return advise_by_equation(call, charted, EquationQuestion(OUTPUT, frozenset({"treat"}), below, text))


def _for_any_rhythm(charted: RecordInputs, rhythm: ConditionHit | None) -> RecordInputs:
    """Return the inputs as of somebody with fibrillation, where the chart has it as past only."""
    is_without_rhythm = charted.excluded is not None and charted.excluded.about == charted.equation.only_with
    return replace(charted, excluded=None) if rhythm is not None and is_without_rhythm else charted


def _rhythm_in_words(rhythm: ConditionHit | None) -> str:
    """Return the name of the rhythm: flutter, which the guideline treats as fibrillation, has its own."""
    words = rhythm.words.lower() if rhythm is not None else ""
    return "Atrial flutter" if "flutter" in words and "fibrillation" not in words else "Atrial fibrillation"


def _of_valve(call: ServiceInput, valve: ConditionHit, rhythm: ConditionHit) -> CardText:
    """With such a valve no score is asked: the guideline names warfarin, whatever the points."""
    finding = stopped_anticoagulant(call.record) or "no anticoagulant found"
    if valve.key == "mitral_stenosis":
        short = "mitral stenosis"
        degree = " Check that it is moderate to severe and rheumatic, which the code does not state."
    elif valve.source.startswith("Procedure/") or "mechanical" in valve.words.lower():
        short, degree = "a mechanical valve", ""
    else:
        short = "a prosthetic heart valve"
        degree = " The code also covers tissue valves, to which this does not apply: check which valve it is."
    return CardText(
        about="valvular_af",
        summary=f"{_rhythm_in_words(rhythm)} with {short}: {finding}. Consider warfarin.",
        opening=(
            f"**{escape(valve.words)}**{valve.in_brackets} and **{escape(rhythm.words)}**{rhythm.in_brackets} are on "
            "record. With a mechanical valve or moderate to severe mitral stenosis warfarin is recommended whatever "
            f"CHA2DS2-VASc says; a direct oral anticoagulant (DOAC) is not.{degree}"
        ),
        guideline=Source(
            label="2023 ACC/AHA/ACCP/HRS guideline on atrial fibrillation",
            url="https://doi.org/10.1161/CIR.0000000000001193",
        ),
        topic=TOPICS["anticoagulation"],
        facts=(fact_of_condition("valve", valve), fact_of_condition("rhythm", rhythm)),
        offers=(offer(call, "Plan a talk about warfarin", "Draft order.", TALK),),
        # A mechanical valve without an anticoagulant does not wait for a plan.
        closing="" if short == "a mechanical valve" else FOR_PLANNING,
    )


def _of_thick_heart(call: ServiceInput, disease: ConditionHit, rhythm: ConditionHit) -> CardText:
    """With a hypertrophic cardiomyopathy no score is asked: anticoagulation is recommended whatever the points."""
    finding = stopped_anticoagulant(call.record) or "no anticoagulant found"
    return CardText(
        about="hypertrophic_af",
        summary=f"{_rhythm_in_words(rhythm)} with hypertrophic cardiomyopathy: {finding}. Discuss anticoagulation.",
        opening=(
            f"**{escape(disease.words)}**{disease.in_brackets} and **{escape(rhythm.words)}**{rhythm.in_brackets} are "
            "on record. With both an anticoagulant is recommended whatever CHA2DS2-VASc says (class 1)."
        ),
        # As compared in Table 2 of PMC5522714: of six guidelines all name every patient with both.
        guideline=Source(
            label="2014 AHA/ACC/HRS guideline on atrial fibrillation",
            url="https://pmc.ncbi.nlm.nih.gov/articles/PMC5522714/table/tbl2",
        ),
        topic=TOPICS["anticoagulation"],
        facts=(fact_of_condition("cardiomyopathy", disease), fact_of_condition("rhythm", rhythm)),
        offers=(offer(call, *_TALK_OFFER),),
    )


def _score(call: ServiceInput, rhythm: ConditionHit | None, bleeding: RecordInputs, result: EquationResult) -> CardText:
    record = call.record
    past = rhythm if find_condition(record, RHYTHM_GROUP) is None else None
    score = int(result.number)
    rates, yearly = result.rates()[0]
    people = f"{yearly:g} in 100"
    line, other_results = _bleeding(bleeding)
    stopped = stopped_anticoagulant(record)
    statement = " Ask why before you start another." if stopped is not None else ""
    statement += _beside(record, past)
    name = _rhythm_in_words(rhythm)
    rhythm_words = name if past is None else f"Past {decapitalized(name).replace('atrial fibrillation', 'AF')}"
    return CardText(
        summary=(
            f"{rhythm_words}, CHA2DS2-VASc {score}: about {yearly:.0f} in 100 have a stroke a year. "
            f"{'Discuss anticoagulation' if stopped is None else f'{capitalized(stopped)}: ask why'}."
        ),
        figure=f"{score}: about {yearly:.0f} in 100",
        opening=(
            f"{'No anticoagulant found. ' if stopped is None else ''}The 2023 ACC/AHA guideline treats from 2 in 100."
            f"{statement}"
        ),
        topic=TOPICS["anticoagulation"],
        offers=(offer(call, *_TALK_OFFER),),
        beside=(line,),
        closing=(
            f"Untreated, **{people}** have an ischemic stroke a year ({_paper(rates.source)}); 2 in 100 are 2 points "
            "in men, 3 in women."
        ),
        other_results=other_results,
    )


def _beside(record: PatientRecord, past: ConditionHit | None) -> str:
    """Return what else the talk needs: a past rhythm, a low dose, an old entry of the list, failed kidneys."""
    parts = []
    if past is not None:
        parts.append(
            f"**The rhythm is on record as past** ({escape(condition_words(past), 130)}): the guideline goes by the "
            "risk of stroke and not by the rhythm, after ablation too."
        )
    preventing, listed = anticoagulation(record).preventing, find_condition(record, LISTED_GROUP)
    if preventing is not None:
        parts.append(
            f"**{escape(capitalized(preventing))}** is active in a low dose, which does not prevent stroke in atrial "
            "fibrillation."
        )
    if listed is not None:
        parts.append(f"The problem list still has {escape(condition_words(listed), 90)}; no order is active.")
    kidneys = find_condition(record, "ckd5_or_dialysis")
    if kidneys is not None:
        parts.append(
            f"**{escape(condition_words(kidneys), 90)}**: in end-stage kidney disease and on dialysis the benefit is "
            "uncertain; warfarin or apixaban might be reasonable (2023 guideline, class 2b)."
        )
    return "".join(f" {part}" for part in parts)


def _paper(source: str) -> str:
    """Return author and year of 'Friberg L, et al. Eur Heart J 2012;33:1500-1510': 'Friberg 2012'."""
    return f"{source.split()[0]} {source.split(';')[0][-4:]}"


def _bleeding(bleeding: RecordInputs) -> tuple[str, tuple[CardExtension, ...]]:
    """Return the line about HAS-BLED, and the same as a result in the extension."""
    try:
        result = bleeding.calculate()
    except EquationRefused as refused:
        return f"**HAS-BLED** could not be worked out: {escape(refused.text, 300)}", ()
    counted = [bleeding.equation.input(part.input).words for part in result.working.contributions if part.contribution]
    items = (
        f" ({', '.join(_OVER_65 if words == 'Age' else decapitalized(words) for words in counted)})" if counted else ""
    )
    rates = "".join(f", about {rate:.1f} major bleeds in 100 a year" for _, rate in result.rates())
    line = f"**HAS-BLED {int(result.number)} of 9**{items}{rates}. It does not preclude treatment."
    return line, (extension_of(bleeding, result),)


ADVISOR = Advisor(
    id="anticoagulation-discussion",
    hooks=(PATIENT_VIEW,),
    title="Who with atrial fibrillation may benefit from talking about an anticoagulant",
    description=(
        "CHA2DS2-VASc of adults with atrial fibrillation, HAS-BLED beside it: where the yearly risk of stroke is 2 in "
        "100 or more and no anticoagulant is active, suggests talking about one."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        features=FEATURES,
        resources=("Condition", "Encounter", "MedicationRequest", "Procedure", "ServiceRequest"),
        whole_history=("Procedure",),
    ),
    exclusions=(
        *NOT_AT_HOME,
        not_known(
            "Condition",
            "The problem list is not available: it is not known whether the patient has atrial fibrillation.",
        ),
        *NO_TALK,
    ),
    subject=EQUATION.id,
    find=find,
    rank=VisitRank.UNTREATED,
)
