"""Who with risk factors may benefit from a second test of the liver: FIB-4 at patient-view.

AASLD 2023: from 1.30 a second test (2.0 at 65 and over, McPherson 2017), over 2.67 high. Only for people who have a
reason for liver disease: diabetes, obesity (on the list or measured), alcohol, or a liver disease without cirrhosis.
Values of an emergency visit, of a stay in hospital and of two weeks after it are not used: acute illness changes them.
"""

import re
from functools import partial
from itertools import pairwise

from cards.card import TOPICS, CardText
from cards.text import escape
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._equation import EquationQuestion, advise_by_equation, offer
from cds_hooks.call.services._exclusions import (
    NOT_AT_HOME,
    Exclusion,
    declined,
    named,
    not_known,
    on_record,
)
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, no_card
from fhir.mapping.conditions import ConditionHit, find_condition, find_confirmed
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features
from fhir.mapping.stays import without_stays
from fhir.mapping.study_words import OrderableTest
from fhir.record.datatypes import DAY_SECONDS, parse_time
from fhir.record.record import PatientRecord
from fhir.terminology.phrases import groups_in_words
from models_onnx.equations.calculate import EquationResult, RecordInputs, features_of, inputs_from_record
from models_onnx.equations.declaration import get_equation

EQUATION = get_equation("fib4")
FEATURES = features_of(EQUATION)
OUTPUT = "index"
_NOT_LOW = frozenset({"indeterminate", "high"})
ASSESSED_WORDS = (
    "elastogra",
    "élastogra",
    "fibroscan",
    "epatolog",
    "hépatolog",
    *("leberbiops", "biopsia hep", "biopsia epatica", "leverbiops"),
    "liver biopsy",
    "biopsy of liver",
    "biopsy of the liver",
    "liver clinic",
    "http://www.ama-assn.org/go/cpt|91200 ",  # CPT 91200: liver elastography without imaging
)
# Elastography is done of other organs too.
_OTHER_ORGAN = re.compile(
    r"^(?!.*(?:liver|hepat)).*(?:breast|thyroid|prostat|muscle|tendon|lymph node|kidney|renal|cervi|carotid|plantar)",
    re.IGNORECASE | re.DOTALL,
)
_ASSESSED_DAYS = 3 * 365.25
_RISKS = ("liver_mild", "liver_fibrosis_risk", "alcohol_use", "diabetes", "obesity")
_LABS = ("ast", "alt", "platelets")
# Five times 40 U/L, the upper limit of normal for AST in Forlano 2021 (doi 10.4254/wjh.v13.i12.2104).
_ENZYME_LIMIT = 200.0
_DISTURBING = (
    "acute_hepatitis",
    "pregnancy",
    "infarction_acute",
    "rhabdomyolysis",
    "sepsis",
    "hellp",
    "itp",
    "chemotherapy",
    "cancer_of_blood",
    "myelodysplastic",
    "marrow_failure",
)
_FOR_GOOD = frozenset({"itp", "cancer_of_blood", "myelodysplastic", "marrow_failure", "pregnancy"})
"""What changes platelets or enzymes as long as it is on the problem list."""
# WHO: obesity is a body mass index of 30 kg/m2 or more.
_OBESE_BMI = 30.0
_BMI = features_named(("bmi_kg_m2",))
_APART_DAYS = 92.0  # labs of one day, or at most 3 months apart


def find(call: ServiceInput) -> Advice:
    """One card where FIB-4 is not low in somebody with a reason for it and nobody looked further, else the reason."""
    record = call.record
    vector = without_stays(record, map_features(record, EQUATION.features), emergencies=True)
    of_stay = [gap.text for gap in vector.missing if gap.reason == "refused"]
    if of_stay:
        return no_card(EQUATION.id, "excluded", f"FIB-4: {of_stay[0]} Acute illness changes these values.")
    charted = inputs_from_record(EQUATION, record, vector=vector)
    if any(later - earlier > _APART_DAYS * DAY_SECONDS for earlier, later in pairwise(_instants(charted))):
        return no_card(
            EQUATION.id, "input-missing", "AST, ALT and platelets are more than 3 months apart: not combined."
        )
    risk = _risk(record)
    assert risk is not None  # noqa: S101 - a row of the exclusions
    disturbed = _disturbed(record, charted)
    if disturbed is not None:
        return no_card(EQUATION.id, "excluded", disturbed)
    return advise_by_equation(call, charted, _question(call, risk))


def _risk(record: PatientRecord) -> ConditionHit | None:
    """Return the reason for FIB-4: a problem of the list or a measured obesity; None where there is none."""
    return find_confirmed(record, *_RISKS) or _measured_obesity(record)


def _measured_obesity(record: PatientRecord) -> ConditionHit | None:
    """Return a body mass index of 30 or more, as the reason that the problem list does not name."""
    (value,) = map_features(record, _BMI).evidence
    if value is None or value.value < _OBESE_BMI:
        return None
    words = f"body mass index {value.value:.0f} kg/m²"
    return ConditionHit("obesity", words, "", value.source, parse_time(value.effective), "active")


def _disturbed(record: PatientRecord, charted: RecordInputs) -> str | None:
    """Why the enzymes or the platelets say nothing about fibrosis now: what its page excludes; None for no reason."""
    for name in ("ast", "alt"):
        result = charted.evidence.get(name)
        if result is not None and result.value > _ENZYME_LIMIT:
            value = f"{result.value:,.0f} U/L ({result.effective[:10]})"
            return f"FIB-4: {name.upper()} {value} is over five times normal ({_ENZYME_LIMIT:g} U/L): an acute injury."
    instants = _instants(charted)
    for group in _DISTURBING:
        hit = find_condition(record, group)
        if hit is not None and not _is_in_remission(hit) and _is_near(hit, instants):
            return f"FIB-4: not with {_risk_words(hit)} near these results: they are not those of the liver's scarring."
    return None


# ICD-10-CM: cancers of the blood "in remission" (tabular list of April 2026, CMS and NCHS).
_REMISSION = re.compile(r"C8[1235]\.?[\dAZ]A$|C84\.?(?:[0-689AZ]A|7B)$|C8[68]\.?\d1$|C9[0-5]\.?[\dAZ]1$")


def _is_in_remission(hit: ConditionHit) -> bool:
    """Whether the entry of a cancer of the blood says, by code or words, that it is in remission."""
    if hit.key != "cancer_of_blood":
        return False
    mentions = groups_in_words(hit.words) if not hit.code.startswith("C") else ()
    in_words = any(mention.group == hit.key and mention.assertion.temporality == "historical" for mention in mentions)
    return in_words or _REMISSION.match(hit.code) is not None


def _is_near(hit: ConditionHit, instants: list[float]) -> bool:
    """Whether it was charted within three months of a result; one without a date counts, and some count for good."""
    if hit.time is None or hit.key in _FOR_GOOD or not instants:
        return True
    return any(abs(instant - hit.time.instant) <= _APART_DAYS * DAY_SECONDS for instant in instants)


def _instants(charted: RecordInputs) -> list[float]:
    """Return when the three results that are there were measured, the earliest first."""
    times = [parse_time(charted.evidence[name].effective) for name in _LABS if name in charted.evidence]
    return sorted(time.instant for time in times if time is not None)


def _question(call: ServiceInput, risk: ConditionHit) -> EquationQuestion:
    text, for_missing = partial(_text, call, risk), partial(_missing, risk)
    return EquationQuestion(OUTPUT, _NOT_LOW, "FIB-4 is low for this age.", text, for_missing)


def _text(call: ServiceInput, risk: ConditionHit, result: EquationResult) -> CardText:
    assert result.table is not None  # noqa: S101 - FIB-4 has bands at every age
    band = result.band_words
    limits = "over 2.67" if result.band_id == "high" else f"{result.table.bands[1].low:g} to 2.67"
    return CardText(
        summary=f"FIB-4 {result.number:.2f}: {band} for liver fibrosis. Consider a second test (elastography).",
        opening=(
            f"**FIB-4 {result.number:.2f}** is **{band}** ({limits}; {result.table.source}). It selects "
            f"people for a second test and is not a diagnosis. On record: {_risk_words(risk)}."
        ),
        topic=TOPICS["liver"],
        offers=(
            offer(
                call,
                "Order liver elastography",
                "Draft order for an elastography of the liver.",
                "Elastography of the liver",
            ),
            offer(call, "Refer to hepatology", "Draft referral to hepatology.", "Referral to hepatology"),
        ),
        closing="Not in acute hepatitis, nor where platelets are low for another cause.",
    )


def _missing(risk: ConditionHit, _charted: RecordInputs, test: OrderableTest) -> CardText:
    return CardText(
        summary=f"FIB-4 for liver fibrosis cannot be worked out: no {test.words}. Consider ordering it.",
        opening=f"On record: {_risk_words(risk)}. All else is there.",
        topic=TOPICS["liver"],
    )


def _risk_words(risk: ConditionHit) -> str:
    return f"{escape(risk.words, 60)}{'' if risk.code else risk.in_brackets}"


ADVISOR = Advisor(
    id="liver-assessment",
    hooks=(PATIENT_VIEW,),
    title="Who may benefit from a second test of the liver",
    description=(
        "FIB-4 of adults of 35 and over with diabetes, obesity, alcohol use or liver disease: where it is not low and "
        "nobody looked further, suggests elastography."
    ),
    usage_requirements="For physicians and nurses at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        features=(*FEATURES, *_BMI),
        resources=("Condition", "Encounter", "Procedure", "ServiceRequest"),
    ),
    exclusions=(
        *NOT_AT_HOME,
        on_record("already-done", "Cirrhosis is on record: FIB-4 adds nothing.", "cirrhosis", "liver_severe"),
        not_known(
            "Condition",
            "The problem list is not available: whether there is a reason for FIB-4 or against it is not known.",
        ),
        Exclusion(
            "outside-population",
            "No diabetes, obesity, alcohol use disorder or liver disease is on record: FIB-4 does not apply.",
            lambda record: _risk(record) is None,
        ),
        named(
            "already-done",
            "A liver assessment of the last 3 years is on the chart ({found}).",
            ASSESSED_WORDS,
            _ASSESSED_DAYS,
            not_with=_OTHER_ORGAN,
        ),
        declined(ASSESSED_WORDS),
    ),
    subject=EQUATION.id,
    find=find,
)
