"""Coverage requirements of codes without a rule beside those with one, of first days, and of evidence that is near."""

from collections.abc import Mapping
from pathlib import Path

from cards.coverage.policy import SYSTEMS
from tests.cds_hooks.services.coverage_calls import (
    COPD,
    COVERED,
    DIABETES,
    HOSPITAL,
    HYPERTENSION,
    INSULIN,
    LISTED,
    OPEN,
    PACKS,
    PLACES,
    SATISFIED,
    SIXTY,
    SLEEP,
    SMOKER,
    Json,
    ahi,
    authorization,
    chart,
    concept,
    condition,
    coverage,
    order,
    patient,
    procedure,
    result,
    saturation,
    visit,
    wrong_answers,
)
from tests.fhir.builders import medication_statement

EXCLUDED = {"covered": "not-covered"}
WHEN = {"covered": "conditional", "pa-needed": "conditional", "info-needed": ["timeframe"]}
WHERE = {"covered": "conditional", "pa-needed": "conditional", "doc-needed": "clinical", "info-needed": ["location"]}
ADVANTAGE = coverage(payor="Sample Advantage Plan (invented)", plan="x")
LONG = coverage(period={"start": "2010-01-01"})
CHECKED = visit("2026-09-20", reasonCode=[{"text": "Diabetes check"}])
CHEMOTHERAPY = condition("D64.81")
IN_A_HOSPITAL = {"resourceType": "Location", "id": "l", "status": "active", "type": [concept(PLACES, "22")]}
MOVED = patient() | {"address": [{"use": "old", "state": "FL"}, {"use": "home", "state": "TX"}]}
TAKES_INSULIN = medication_statement(
    INSULIN["medicationCodeableConcept"], patient="p", id="ms", effectivePeriod={"start": "2026-08-01"}
)


def acid(kpa: float, unit: str = "kPa") -> Json:
    """A partial pressure of oxygen on room air."""
    return saturation(0) | result("2703-7", kpa, unit, "2026-11-10")


CASES: Mapping[str, tuple[Json, list[Json], Json]] = {
    # codes beside those that have a rule: nothing is answered
    **{
        f"{code} has no rule": (order(code, place="22"), chart(DIABETES, COPD), {})
        for code in (
            "36470", "30420", "15832", "67911", "64616", "E0650", "E0675", "E0470", "E0425", "K0806A", "L1830", "L5999",
            "G0297", "A9276", "43775", "43659", "93799", "J0882", "77081", "84153", "97804", "A5512", "97811", "72146",
            "V5010", "78815", "97110", "D1110",
        )
    },
    "a code with its modifier": (
        order("L5856") | {"codeCodeableConcept": concept(SYSTEMS["HCPCS"], "L5856-K3")}, chart(), {},
    ),
    "HCPCS over http": (
        order("L5856")
        | {"codeCodeableConcept": concept("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "L5856")},
        chart(), LISTED,
    ),
    "an order not to perform": (order("L5856", doNotPerform=True), chart(), {}),
    "an order that was revoked": (order("L5856", status="revoked"), chart(), {}),
    # hospital outpatient departments
    "vein ablation on campus": (order("36475", place="22"), chart(), HOSPITAL),
    "vein ablation in an office": (order("36478", place="11"), chart(), COVERED),
    "vein ablation, the day before": (order("36482", "2020-06-30", place="22"), chart(), COVERED),
    "panniculectomy off campus": (order("15830", place="19"), chart(), HOSPITAL),
    "panniculectomy somewhere": (order("15847"), chart(), WHERE),
    "the place as a Location that came along": (
        order("67902", locationReference=[{"reference": "#l"}], contained=[IN_A_HOSPITAL]), chart(), HOSPITAL,
    ),
    "the injection, the day before the programme": (order("64612", "2020-06-30", place="22"), chart(), COVERED),
    # the first days of other lists
    "K0856, the day before": (order("K0856", "2017-03-19"), chart(payer=LONG), OPEN),
    "K0856, its day": (order("K0856", "2017-03-20"), chart(payer=LONG), LISTED),
    "K0813, the day before": (order("K0813", "2018-08-31"), chart(payer=LONG), OPEN),
    "K0813, its day": (order("K0813", "2018-09-01"), chart(payer=LONG), LISTED),
    "K0857, the day before": (order("K0857", "2019-07-21"), chart(payer=LONG), OPEN),
    "K0857, its day": (order("K0857", "2019-07-22"), chart(payer=LONG), LISTED),
    "a microprocessor foot, the day before": (order("L5973", "2020-11-30"), chart(), COVERED),
    "a microprocessor foot, its day": (order("L5973", "2020-12-01"), chart(), LISTED),
    "an air bed, the day before": (order("E0193", "2019-10-20"), chart(payer=LONG), OPEN),
    "a pneumatic compressor, the day before": (order("E0652", "2026-04-12"), chart(), OPEN),
    "the stimulator's first day": (order("E0748", "2024-08-12"), chart(who=patient(state="CA")), LISTED),
    "the day before it": (order("E0748", "2024-08-11"), chart(who=patient(state="CA")), COVERED),
    "the stimulator after a move": (order("E0747", "2024-08-20"), chart(who=MOVED), COVERED),
    "three days around the end of a listing": (
        order("L1833", "", occurrencePeriod={"start": "2024-08-10", "end": "2024-08-13"}), chart(), WHEN,
    ),
    "days that end with the listing": (
        order("L1833", "", occurrencePeriod={"start": "2024-08-01", "end": "2024-08-11"}), chart(), LISTED,
    ),
    "a day of service as an event": (order("L1844", "", occurrenceTiming={"event": ["2026-04-12"]}), chart(), COVERED),
    # prior authorization
    "180 days without an end": (order("K0857"), chart(authorization("K0857", "2026-05-24", None)), SATISFIED),
    "181 days without an end": (order("K0857"), chart(authorization("K0857", "2026-05-23", None)), LISTED),
    "the 120th day of a hospital's number": (
        order("15823", place="22"), chart(authorization("15823", "2026-07-24", None)), SATISFIED,
    ),
    "the day after it": (
        order("15823", place="22"), chart(authorization("15823", "2026-07-23", None)), HOSPITAL,
    ),
    "affirmed for another payer's days": (
        order("L5856"), chart(authorization("L5857", "2026-10-01", "2027-01-01")), LISTED,
    ),
    # oxygen
    "portable, 86 % during exercise, seen": (
        order("E0431"), chart(COPD, saturation(86, note=[{"text": "6-minute walk"}]), visit()), COVERED,
    ),
    "portable, 86 % during exercise, not seen": (
        order("E0431"), chart(COPD, saturation(86, note=[{"text": "6-minute walk"}])), OPEN,
    ),
    "89 % during exercise": (order("E1392"), chart(COPD, saturation(89, note=[{"text": "exercise"}])), OPEN),
    "89 % and heart failure": (order("E0439"), chart(saturation(89), condition("I50.9"), visit()), COVERED),
    "89 % and heart failure that is resolved": (
        order("E0439"), chart(saturation(89), condition("I50.9", "resolved"), visit()), OPEN,
    ),
    "PaO2 of 55 mmHg": (order("E1390"), chart(COPD, acid(55, "mm[Hg]"), visit()), COVERED),
    "PaO2 of 56 mmHg": (order("E1390"), chart(COPD, acid(56, "mm[Hg]"), visit()), OPEN),
    "PaO2 of 7.4 kPa": (order("E1391"), chart(COPD, acid(7.4), visit()), OPEN),
    "measured after the day of service": (
        order("E1390", "2026-11-12"), chart(COPD, saturation(87, "2026-11-19"), visit()), OPEN,
    ),
    # sleep apnoea
    "AHI of 30 events an hour in words": (
        order("E0601"),
        chart(*SLEEP, ahi(30) | {"valueQuantity": {"value": 30, "unit": "events/hour"}}), COVERED,
    ),
    "AHI of 30, entered in error": (order("E0601"), chart(*SLEEP, ahi(30) | {"status": "entered-in-error"}), OPEN),
    "AHI of 9 and a depression": (order("E0601"), chart(*SLEEP, ahi(9), condition("F32.1")), COVERED),
    "AHI of 9 and gout": (order("E0601"), chart(*SLEEP, ahi(9), condition("M10.9")), OPEN),
    # lung screening
    "never smoked": (
        order("71271"),
        chart(SMOKER[0] | {"valueCodeableConcept": concept("http://snomed.info/sct", "266919005")}, SMOKER[1], PACKS,
              who=SIXTY), OPEN,
    ),
    "50 years today": (order("71271"), chart(*SMOKER, PACKS, who=patient("1976-11-20")), COVERED),
    "blood is coughed up, by SNOMED CT": (
        order("71271"), chart(*SMOKER, PACKS, condition("66857006", system="http://snomed.info/sct"), who=SIXTY), OPEN,
    ),
    # glucose monitors
    "diabetes of pregnancy": (order("E2103"), chart(condition("O24.414"), INSULIN, CHECKED), OPEN),
    "insulin on hold": (order("E2103"), chart(DIABETES, CHECKED, INSULIN | {"status": "on-hold"}), OPEN),
    "insulin that the patient says to take": (order("E2103"), chart(DIABETES, CHECKED, TAKES_INSULIN), COVERED),
    "seen by the prescriber": (
        order("A4239"),
        chart(DIABETES, INSULIN, visit(participant=[{"individual": {"reference": "Practitioner/dr1"}}])), COVERED,
    ),
    "two low values, no word of adjustments": (
        order("E2103"),
        chart(DIABETES, CHECKED, result("2345-7", 49, "mg/dL", "2026-10-01"),
              result("2345-7", 2.8, "mmol/L", "2026-10-09")),
        OPEN,
    ),
    # surgery, heart
    "BMI of 41 and diabetes, nothing tried": (
        order("43846"), chart(DIABETES, result("39156-5", 41, "kg/m2", "2026-11-01")), OPEN,
    ),
    "a bypass before the determination": (order("43846", "2013-09-23"), chart(DIABETES, payer=LONG), {}),
    "the banded gastroplasty and a BMI of 45": (
        order("43842"), chart(DIABETES, result("39156-5", 45, "kg/m2", "2026-11-01")), EXCLUDED,
    ),
    "angina of coronary disease": (order("93797"), chart(condition("I25.119")), COVERED),
    "unstable angina of coronary disease": (order("93797"), chart(condition("I25.110")), OPEN),
    "a new valve": (order("93798"), chart(condition("Z95.2")), COVERED),
    "another heart": (order("93798"), chart(condition("Z94.1")), COVERED),
    "a stent that is planned": (
        order("93798"),
        chart(procedure("92928", "2026-11-25", status="preparation") | {"code": {"text": "Coronary stent"}}), OPEN,
    ),
    "a second infarction": (order("93798"), chart(condition("I22.0", onset="2026-02-01")), COVERED),
    "an infarction of a parent": (order("93798"), chart(condition("Z82.49")), OPEN),
    # cancer, bone, prostate
    "haemoglobin of 6.0 mmol/L": (
        order("J0881"), chart(CHEMOTHERAPY, condition("C50.911"), result("718-7", 6.0, "mmol/L", "2026-11-18")),
        COVERED,
    ),
    "chronic lymphocytic leukaemia": (
        order("J0885"), chart(CHEMOTHERAPY, condition("C91.10"), result("718-7", 9.2, "g/dL", "2026-11-18")), COVERED,
    ),
    "osteoporosis by itself": (order("77080"), chart(condition("M81.0")), OPEN),
    "glucocorticoids for long": (order("77080"), chart(condition("Z79.52")), COVERED),
    "the same, measured 20 months ago": (
        order("77080"), chart(condition("Z79.52"), procedure("77080", "2025-03-20")), OPEN,
    ),
    "the same, measured 25 months ago": (
        order("77080"), chart(condition("Z79.52"), procedure("77080", "2024-10-20")), COVERED,
    ),
    "PSA on the fiftieth birthday": (order("G0103"), chart(who=patient("1976-11-20", gender="male")), OPEN),
    "PSA the day after": (order("G0103"), chart(who=patient("1976-11-19", gender="male")), COVERED),
    # kidneys, feet, back
    "a filtration rate of 50": (
        order("97802"), chart(result("98979-8", 50, "mL/min/{1.73_m2}", "2026-11-01")), COVERED,
    ),
    "a filtration rate of 51": (
        order("97802"), chart(result("98979-8", 51, "mL/min/{1.73_m2}", "2026-11-01")), OPEN,
    ),
    "a filtration rate of 20 on dialysis": (
        order("97803"), chart(condition("Z99.2"), result("98979-8", 20, "mL/min/{1.73_m2}", "2026-11-01")), OPEN,
    ),
    "a kidney of two years ago": (order("97802"), chart(condition("Z94.0", onset="2024-11-01")), COVERED),
    "a kidney of four years ago": (order("97802"), chart(condition("Z94.0", onset="2022-11-01")), OPEN),
    "neuropathy with callus": (order("A5500"), chart(condition("E11.42"), condition("L84")), COVERED),
    "neuropathy without": (order("A5500"), chart(condition("E11.42")), OPEN),
    "poor circulation": (order("A5500"), chart(DIABETES, condition("I73.9")), COVERED),
    "poor circulation without diabetes": (order("A5500"), chart(HYPERTENSION, condition("I73.9")), OPEN),
    "neck pain": (order("97810"), chart(condition("M54.2", onset="2026-01-01")), OPEN),
    "twelve visits in ninety days": (
        order("97810"),
        chart(condition("M54.50", onset="2026-01-01"),
              *(procedure("97810", f"2026-10-{day:02}") for day in range(2, 26, 2))), OPEN,
    ),
    "eleven visits in ninety days": (
        order("97813"),
        chart(condition("M54.50", onset="2026-01-01"),
              *(procedure("97810", f"2026-10-{day:02}") for day in range(4, 26, 2))), COVERED,
    ),
    "MRI of the neck": (order("72141"), chart(), COVERED),
    # coverages
    "the invented plan, PET with cancer": (order("78815"), chart(condition("C34.11"), payer=ADVANTAGE), HOSPITAL),
    "the invented plan, a device of Medicare's list": (order("L5856"), chart(payer=ADVANTAGE), {}),
    "a plan that adds to Medicare": (
        order("L5856"), chart(payer=coverage(payor="United Example", plan="Original Medicare Part B supplement")), {},
    ),
    "Medicare Part D": (order("L5856"), chart(payer=coverage(payor="Part D Example", plan="Medicare Part D")), {}),
    "a coverage that is only drafted": (order("L5856"), chart(payer=coverage(status="draft")), {}),
    "a coverage that was entered in error": (order("L5856"), chart(payer=coverage(status="entered-in-error")), {}),
}  # fmt: skip


def test_neighbours_are_told_apart(tmp_path: Path) -> None:
    assert len(CASES) > 100
    assert wrong_answers(tmp_path, CASES) == {}
