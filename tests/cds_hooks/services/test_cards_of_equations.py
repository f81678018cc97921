"""The services of published equations: whom they say nothing about, with the reason, and each of their cards."""

import math
import re
from typing import Any

import pytest
from msgspec.structs import replace

from cards.extension import Fact, WorklistEntry
from cds_hooks.services.nephrology_referral import (
    _has_fallen,
    acute_rise,
    is_chronic,
    severe_albuminuria,
    sustained_fall,
)
from fhir.terminology.analytes import ANALYTES
from tests.cds_hooks.services.deciding import SEARCHED, Json, call_about, decided, draft, offered, the_card, why_silent
from tests.cds_hooks.services.test_decisions_by_themselves import days_ago, problem, referral, visit
from tests.each import for_rows
from tests.fhir.builders import ICD10, MAN, SUBJECT, WOMAN, condition, observation, record_of, request

DEAD = WOMAN | {"deceasedBoolean": True}
PREGNANT = WOMAN | {"birthDate": "1996-11-20"}
EXPECTING = condition("77386006", onsetDateTime=days_ago(60))
PROVISIONAL: Any = {"verificationStatus": {"coding": [{"code": "provisional"}]}}


def egfr(value: float, days: float = 10) -> Json:
    """An eGFR that the laboratory reports by CKD-EPI 2021."""
    return observation("98979-8", value, "mL/min/{1.73_m2}", days_ago(days))


def albumin(value: float, days: float = 20) -> Json:
    return observation("9318-7", value, "mg/g", days_ago(days))


def protein(value: float, days: float = 20) -> Json:
    return observation("2890-2", value, "mg/g", days_ago(days))


AT_60 = 1.2837032626187292
"""The creatinine in mg/dL with which CKD-EPI 2021 gives a man of 70 exactly 60 mL/min/1.73 m²."""


def creatinine(value: float, days: float) -> Json:
    return observation("2160-0", value, "mg/dL", days_ago(days))


# Nephrology


NEPHROLOGY = "nephrology-referral"
CHRONIC = (egfr(32), egfr(50, 100))
OLD = "No chronic kidney disease: none is confirmed on the problem list, no eGFR by CKD-EPI 2021 of over three months "
NO_WORDS = {"coding": [{"system": ICD10}, {"system": ICD10, "code": "Q61.2"}]}
KFRE = "Kidney failure risk equation (KFRE), 4 variables"
TRANSPLANTED = f"{KFRE}: not for dialysis or kidney transplant; kidney transplant is on record."
NOT_CHRONIC = ("outside-population", f"{OLD}ago was under 60, and no albumin in the urine was raised.")


@for_rows(
    ("resources", "patient", "reason"),
    [
        ([], DEAD, ("deceased", "The patient has died.")),
        ([], WOMAN, NOT_CHRONIC),
        ([*CHRONIC, referral("Nephrology consult", days_ago(365))], WOMAN,
         ("already-done", "Nephrology is on the chart of the last 12 months (ServiceRequest/s1).")),
        ([referral("Dialysis planning", days_ago(90))], WOMAN,
         ("excluded", "Dialysis is on the chart of the last three months (ServiceRequest/s1).")),
        ([referral("Dialysis planning", days_ago(92))], WOMAN, NOT_CHRONIC),
        ([EXPECTING, *CHRONIC], PREGNANT,
         ("outside-population", "A pregnancy is on record: an eGFR by CKD-EPI 2021 is not for it.")),
        ([condition("N18.6", ICD10), condition("Z94.0", ICD10)], WOMAN,
         ("excluded", TRANSPLANTED)),
        ([condition("Q61.2", ICD10), condition("Z94.0", ICD10)], WOMAN,
         ("excluded", TRANSPLANTED)),
        ([albumin(350), albumin(310, 111), condition("Z94.0", ICD10)], WOMAN,
         ("excluded", TRANSPLANTED)),
        ([*CHRONIC, problem("Acute kidney injury", days_ago(3), **PROVISIONAL)], WOMAN,
         ("excluded",
          f"{KFRE}: not for acute kidney injury at the time of the sample; acute kidney injury is on record.")),
        ([*CHRONIC, problem("Acute kidney injury", days_ago(3))], WOMAN,
         ("excluded",
          "Acute kidney injury is on record: KFRE and a routine referral are not for kidneys that change.")),
        ([condition("N18.6", ICD10)], WOMAN,
         ("excluded", "End-stage kidney disease is on the problem list: nephrology is at work.")),
        ([egfr(55), egfr(55, 100), albumin(20)], WOMAN,
         ("below-threshold", "The 5-year risk of kidney failure is under 3 in 100.")),
    ],
)  # fmt: skip
def test_why_nobody_is_referred_to_nephrology(resources: list[Json], patient: Json, reason: tuple[str, str]) -> None:
    assert why_silent(decided(NEPHROLOGY, call_about(*resources, patient=patient))) == [reason]


@for_rows(
    ("resources", "patient", "expected"),
    [
        ([egfr(59, 91)], WOMAN, True),
        ([egfr(60, 91)], WOMAN, False),
        ([egfr(59, 90)], WOMAN, False),
        ([observation("33914-3", 59, "mL/min/{1.73_m2}", days_ago(91))], WOMAN, False),
        # CKD-EPI 2021 of a woman of 70: 142 * (creatinine / 0.7) ** -1.2 * 0.9938 ** 70 * 1.012.
        ([creatinine(1.02, 91)], WOMAN, True),
        ([creatinine(1.00, 91)], WOMAN, False),
        ([creatinine(1.02, 90)], WOMAN, False),
        ([creatinine(AT_60, 91)], MAN, False),
        ([creatinine(2.0, 91)], WOMAN | {"birthDate": "2010-11-20"}, False),
        ([creatinine(2.0, 91)], {"resourceType": "Patient", "id": "p1", "gender": "female"}, False),
        # The sex is not known: it is chronic by the estimate for either.
        ([creatinine(2.0, 91)], {"resourceType": "Patient", "id": "p1", "birthDate": "1956-11-20"}, True),
        ([condition("N18.30", ICD10)], WOMAN, True),
        ([condition("N18.30", ICD10, **PROVISIONAL)], WOMAN, False),
        ([condition("Q61.2", ICD10)], WOMAN, True),
        ([albumin(30), albumin(30, 111)], WOMAN, True),
        ([albumin(29), albumin(30, 111)], WOMAN, False),
        ([albumin(30), albumin(29, 111)], WOMAN, False),
        ([albumin(30), albumin(30, 110)], WOMAN, False),
        ([albumin(30, 365), albumin(30, 500)], WOMAN, True),
        ([albumin(30, 367), albumin(30, 500)], WOMAN, False),
        ([albumin(30), albumin(30, 1095)], WOMAN, True),
        ([albumin(30), albumin(30, 1097)], WOMAN, False),
    ],
)  # fmt: skip
def test_kidney_disease_is_chronic_after_more_than_three_months(
    resources: list[Json], patient: Json, *, expected: bool
) -> None:
    assert is_chronic(record_of(*resources, patient=patient)) is expected


@for_rows(
    ("newest", "before", "has_risen"),
    [
        ((1.5, 30), (1.0, 60), True),
        ((1.49, 30), (1.0, 60), False),
        ((1.5, 31), (1.0, 60), False),
        ((1.5, 10), (1.0, 17), True),
        ((1.5, 10), (1.0, 16.9), False),
        ((1.5, 10), (1.0, 375), True),
        ((1.5, 10), (1.0, 375.1), False),
    ],
)
def test_a_rise_to_one_and_a_half_times_the_value_of_the_year_before_may_be_acute(
    newest: tuple[float, float], before: tuple[float, float], *, has_risen: bool
) -> None:
    assert (acute_rise(record_of(creatinine(*newest), creatinine(*before))) is not None) is has_risen


@for_rows(
    ("ratios", "count"),
    [
        ([albumin(300, 365)], 1),
        ([albumin(299.9)], 0),
        ([albumin(900, 366)], 0),
        ([albumin(300), albumin(300, 110.1)], 2),
        ([albumin(300), albumin(299.9, 110.1)], 1),
        ([albumin(300), albumin(300, 110)], 1),
        ([albumin(900, 366), protein(500)], 1),
    ],
)
def test_a_severe_ratio_is_consistent_after_more_than_three_months(ratios: list[Json], count: int) -> None:
    assert len(severe_albuminuria(record_of(*ratios))) == count


FALLEN = (creatinine(2.0, 10), creatinine(1.9, 110))
UNBORN = {name: value for name, value in MAN.items() if name != "birthDate"}


@for_rows(
    ("values", "patient", "is_sustained"),
    [
        ([*FALLEN, creatinine(1.0, 600)], MAN, True),
        ([*FALLEN, creatinine(1.0, 600)], UNBORN, False),
        ([*FALLEN, creatinine(1.0, 600)], MAN | {"birthDate": "2010-11-20"}, False),
        ([*FALLEN, creatinine(1.0, 10 + 3 * 365.25)], MAN, True),
        ([*FALLEN, creatinine(1.0, 11 + 3 * 365.25)], MAN, False),
        ([creatinine(2.0, 90), creatinine(1.9, 200), creatinine(1.0, 600)], MAN, True),
        ([creatinine(2.0, 91), creatinine(1.9, 200), creatinine(1.0, 600)], MAN, False),
        # Three months apart is not yet more than three months.
        ([creatinine(2.0, 10), creatinine(1.9, 100), creatinine(1.0, 101)], MAN, False),
        ([creatinine(2.0, 10), creatinine(1.9, 100.1), creatinine(1.0, 101)], MAN, True),
        ([creatinine(2.0, 10), creatinine(1.9, 60)], MAN, False),
        ([creatinine(2.0, 10), creatinine(1.9, 110), creatinine(1.0, 110)], MAN, False),
        ([creatinine(2.0, 10), creatinine(1.0, 60), creatinine(1.9, 110)], MAN, False),
        ([creatinine(2.0, 10), creatinine(1.0, 110), creatinine(1.0, 600)], MAN, False),
        ([creatinine(AT_60, 10), creatinine(1.29, 110), creatinine(0.7, 600)], MAN, False),
        ([creatinine(1.29, 10), creatinine(1.29, 110), creatinine(0.7, 600)], MAN, True),
    ],
)
def test_a_fall_stays_where_the_value_of_three_months_ago_shows_it(
    values: list[Json], patient: Json, *, is_sustained: bool
) -> None:
    assert bool(sustained_fall(record_of(*values, patient=patient))) is is_sustained


@for_rows(
    ("years", "before", "later", "has_fallen"),
    [
        (1.0, 60.0, 54.9, True),
        (1.0, 60.0, 55.0, False),
        (0.99, 60.0, 54.9, False),
        (0.5, 60.0, 41.9, True),
        (0.5, 60.0, 42.0, False),
        (3.0, 60.0, 44.0, True),
    ],
)
def test_a_fall_is_of_over_30_percent_or_over_5_a_year(
    years: float, before: float, later: float, *, has_fallen: bool
) -> None:
    now, then = record_of(creatinine(1.0, 0), creatinine(1.0, years * 365.25)).measurements("creatinine")
    assert _has_fallen((then, before), (now, later)) is has_fallen


RATIO_OFFERED = ["Order albumin/creatinine ratio in urine"]


@pytest.mark.parametrize(
    ("ratios", "offers"), [([albumin(20, 365)], []), ([albumin(20, 366)], RATIO_OFFERED), ([], RATIO_OFFERED)]
)
def test_the_card_of_a_fall_offers_the_ratio_of_albumin_that_the_year_lacks(
    ratios: list[Json], offers: list[str]
) -> None:
    advice = decided(NEPHROLOGY, call_about(*FALLEN, creatinine(1.0, 600), *ratios, patient=MAN, referral_risk=0.5))
    assert "a fall that stays" in the_card(advice).summary
    assert [label for label, _, _ in offered(the_card(advice))] == ["Refer to nephrology", *offers]


def test_the_risk_of_the_threshold_itself_reaches_it() -> None:
    chart = (*CHRONIC, albumin(290))
    risk = (decided(NEPHROLOGY, call_about(*chart)).scores or {})["value"]
    assert decided(NEPHROLOGY, call_about(*chart, referral_risk=risk)).cards
    assert not decided(NEPHROLOGY, call_about(*chart, referral_risk=math.nextafter(risk, 1.0))).cards


def bound(comparator: str, value: float) -> Json:
    """An eGFR of which the laboratory reports one side only."""
    made = egfr(value)
    return made | {"valueQuantity": made["valueQuantity"] | {"comparator": comparator}}


@for_rows(
    ("resources", "named"),
    [
        ([bound("<", 30)], "egfr_under_30"),
        ([bound("<", 31)], None),
        ([bound(">", 20)], None),
        ([egfr(29.9)], "egfr_under_30"),
        ([egfr(30)], None),
        ([egfr(25, 366)], None),
        ([condition("N18.5", ICD10)], "egfr_under_30"),
        ([egfr(25), problem("Acute kidney injury", days_ago(3))], None),
        ([creatinine(3.0, 1), creatinine(1.6, 2)], None),
    ],
)
def test_an_egfr_under_30_is_a_reason_unless_the_kidney_changes(resources: list[Json], named: str | None) -> None:
    advice = decided(NEPHROLOGY, call_about(condition("N18.30", ICD10), *resources))
    indication = (advice.scores or {}).get("indication")
    assert indication == named


REFER = ("Refer to nephrology", "Draft referral to nephrology with the reason.")


def _referral(reason: str, number: str = "01") -> tuple[str, str, Json]:
    return (*REFER, draft(number, "Referral to nephrology", reasonCode=[{"text": reason}]))


def _lines(advice: Any) -> list[str]:
    return (the_card(advice).detail or "").split("\n")


NOBODY = "No referral was found in the last 12 months."
END = "For planning, not for emergencies."


@for_rows(
    ("values", "summary", "opening", "offers"),
    [
        ([egfr(29), egfr(29, 100), albumin(20)],
         "Kidney disease with eGFR 29 mL/min/1.73 m² (2026-11-10): consider a referral to nephrology.",
         "**eGFR 29 mL/min/1.73 m²** (2026-11-10): KDIGO 2024 refers to nephrology under 30, whatever the urine shows. "
         f"{NOBODY}",
         [_referral("eGFR 29 mL/min/1.73 m2 (2026-11-10)")]),
        ([albumin(350), albumin(310, 111)],
         "Urine albumin/creatinine 350 mg/g (2026-10-31) and 310 mg/g (2026-08-01): consider a referral to nephrology.",
         "**Urine albumin/creatinine 350 mg/g (2026-10-31) and 310 mg/g (2026-08-01).** KDIGO 2024 names a consistent "
         f"finding of 300 mg/g or more as a reason to refer, whatever the eGFR. {NOBODY}",
         [_referral("urine albumin/creatinine 350 mg/g (2026-10-31) and 310 mg/g (2026-08-01)")]),
        ([protein(900), protein(800, 111)],
         "Urine protein/creatinine 900 mg/g (2026-10-31) and 800 mg/g (2026-08-01): consider a referral to nephrology.",
         "**Urine protein/creatinine 900 mg/g (2026-10-31) and 800 mg/g (2026-08-01).** KDIGO 2024 names a consistent "
         "finding of 500 mg/g or more (the category of 300 mg/g or more of albumin) as a reason to refer, whatever the "
         f"eGFR. {NOBODY}",
         [_referral("urine protein/creatinine 900 mg/g (2026-10-31) and 800 mg/g (2026-08-01)")]),
        ([condition("Q61.2", ICD10)],
         "condition Q61.2, no nephrologist found: consider a referral to nephrology.",
         "**condition Q61.2** is on record. KDIGO 2024 names hereditary kidney disease as a reason to refer, whatever "
         f"the eGFR. {NOBODY}",
         [_referral("condition Q61.2")]),
        ([condition("Q61.2", ICD10) | {"code": NO_WORDS}],
         "Q61.2, no nephrologist found: consider a referral to nephrology.",
         "**Q61.2** is on record. KDIGO 2024 names hereditary kidney disease as a reason to refer, whatever "
         f"the eGFR. {NOBODY}",
         [_referral("Q61.2")]),
    ],
)  # fmt: skip
def test_the_card_of_a_reason_to_refer(
    values: list[Json], summary: str, opening: str, offers: list[tuple[str, str, Json]]
) -> None:
    advice = decided(NEPHROLOGY, call_about(*values))
    assert the_card(advice).summary == summary
    assert _lines(advice) == [opening, "", END]
    assert offered(the_card(advice)) == offers


def test_one_value_of_albumin_is_repeated_before_a_referral() -> None:
    advice = decided(NEPHROLOGY, call_about(albumin(1350)))
    value = "1,350 mg/g (2026-10-31)"
    assert the_card(advice).summary == f"Urine albumin/creatinine {value}: consider a repeat, then a referral."
    assert _lines(advice)[0] == (
        f"**Urine albumin/creatinine {value}.** KDIGO 2024 names a consistent finding of 300 mg/g or more as a reason "
        "to refer, whatever the eGFR. One value is not a consistent finding yet: infection, fever or exercise raise "
        f"it. {NOBODY}"
    )
    assert [label for label, _, _ in offered(the_card(advice))] == [
        "Order albumin/creatinine ratio in urine",
        "Refer to nephrology",
    ]


def test_a_stage_on_the_problem_list_is_a_reason_without_an_egfr() -> None:
    advice = decided(NEPHROLOGY, call_about(condition("N18.4", ICD10, recordedDate="2026-03-01")))
    card = the_card(advice)
    assert card.summary == (
        "Kidney disease stage 4 on the problem list (2026-03-01), no recent eGFR: consider a referral to nephrology."
    )
    assert _lines(advice)[0] == (
        "**Chronic kidney disease stage 4** is on the problem list (2026-03-01); no eGFR of the last 12 months is on "
        "the chart. KDIGO 2024 refers to nephrology under an eGFR of 30 (stages 4 and 5), whatever the urine shows. "
        f"{NOBODY} Repeat creatinine where the stage may be out of date."
    )
    assert offered(card)[0] == _referral("chronic kidney disease stage 4, on the problem list (2026-03-01)")
    assert [label for label, _, _ in offered(card)] == ["Refer to nephrology", "Order basic metabolic panel"]
    (fact,) = card.own_extension.facts
    assert (fact.name, fact.value, fact.unit, fact.source) == ("ckd_stage", 4.0, None, "Condition/c-N18.4")


@pytest.mark.parametrize("chronic", [[], [egfr(50, 100)]])
def test_a_creatinine_that_rose_is_looked_at_before_any_referral(chronic: list[Json]) -> None:
    values = [creatinine(value, days) for value, days in ((1.8, 5), (1.1, 20), (1.2, 40), (1.3, 60), (1.4, 80))]
    advice = decided(NEPHROLOGY, call_about(*values, *chronic))
    card = the_card(advice)
    assert card.summary == (
        "Creatinine 1.8 mg/dL (2026-11-15), 1.1 before: possible acute kidney injury. Consider a repeat now and a look "
        "for the cause."
    )
    assert _lines(advice)[0].startswith(
        "**Creatinine in mg/dL: 1.3 (2026-09-21), 1.2 (2026-10-11), 1.1 (2026-10-31), 1.8 (2026-11-15).** A rise to 1.5"
    )
    assert [label for label, _, _ in offered(card)] == ["Order basic metabolic panel"]
    source = "Observation/o-2160-0-1.8-2026-11-15T09:00:00+00:00"
    assert card.own_extension.facts == (
        Fact(name="creatinine", value=1.8, unit="mg/dL", effective="2026-11-15T09:00:00+00:00", source=source),
    )


# Liver


LIVER = "liver-assessment"
FATTY = condition("K76.0", ICD10)


def labs(ast: float = 80, alt: float = 50, platelets: float = 140, *days: float) -> list[Json]:
    at = [*days, *[10.0] * 3]
    return [
        observation("1920-8", ast, "U/L", days_ago(at[0])),
        observation("1742-6", alt, "U/L", days_ago(at[1])),
        observation("777-3", platelets, "10*3/uL", days_ago(at[2])),
    ]


SCARS = "near these results: they are not those of the liver's scarring."
APART = ("input-missing", "AST, ALT and platelets are more than 3 months apart: not combined.")
NO_REASON = "No diabetes, obesity, alcohol use disorder or liver disease is on record: FIB-4 is not for screening all."


@for_rows(
    ("resources", "reason"),
    [
        ([FATTY, condition("K74.60", ICD10)], ("already-done", "Cirrhosis is on record: FIB-4 has nothing to add.")),
        (labs(), ("outside-population", NO_REASON)),
        ([*labs(), observation("39156-5", 29.9, "kg/m2", days_ago(10))], ("outside-population", NO_REASON)),
        ([FATTY, *labs(), referral("Elastography", days_ago(1095))],
         ("already-done", "A liver assessment of the last 3 years is on the chart (ServiceRequest/s1).")),
        ([FATTY, problem("Acute hepatitis", days_ago(300))],
         ("excluded", f"FIB-4: not with Acute hepatitis {SCARS}")),
        ([FATTY, *labs(), problem("Acute hepatitis")],
         ("excluded", f"FIB-4: not with Acute hepatitis {SCARS}")),
        ([FATTY, *labs(201)],
         ("excluded", "FIB-4: AST 201 U/L (2026-11-10) is over five times normal (200 U/L): an acute injury.")),
        ([FATTY, *labs(80, 1201)],
         ("excluded", "FIB-4: ALT 1,201 U/L (2026-11-10) is over five times normal (200 U/L): an acute injury.")),
        ([FATTY, *labs(80, 50, 140, 10, 102.1, 102.1)], APART),
        ([FATTY, *labs(80, 50, 140, 10, 10, 102.1)], APART),
        ([FATTY, *labs(), problem("Acute hepatitis", days_ago(102))],
         ("excluded", f"FIB-4: not with Acute hepatitis {SCARS}")),
        ([FATTY, *labs(), problem("Immune thrombocytopenia", days_ago(900))],
         ("excluded", f"FIB-4: not with Immune thrombocytopenia {SCARS}")),
        ([FATTY, *labs(30, 30, 300)], ("below-threshold", "FIB-4 is low for this age.")),
    ],
)  # fmt: skip
def test_why_no_second_test_of_the_liver_is_proposed(resources: list[Json], reason: tuple[str, str]) -> None:
    assert why_silent(decided(LIVER, call_about(*resources))) == [reason]


@for_rows(
    ("resources", "on_record"),
    [
        ([FATTY, *labs(200)], "condition K76.0"),
        ([FATTY, *labs(80, 50, 140, 10, 102, 102)], "condition K76.0"),
        ([problem("Fatty liver"), *labs()], "Fatty liver"),
        ([problem("Fatty liver", "2024-05-06"), *labs()], "Fatty liver"),
        ([observation("39156-5", 30, "kg/m2", "2026-11-10"), *labs()], "body mass index 30 kg/m² (2026-11-10)"),
        ([condition("K76.0", ICD10, onsetDateTime="2024-05-06"), *labs()], "condition K76.0"),
        ([FATTY, *labs(), problem("Acute hepatitis", days_ago(102.1))], "condition K76.0"),
    ],
)
def test_the_index_is_worked_out_up_to_its_limits(resources: list[Json], on_record: str) -> None:
    assert _lines(decided(LIVER, call_about(*resources)))[0].endswith(f"On record: {on_record}.")


def test_without_the_problem_list_there_is_no_reason_for_the_index() -> None:
    text = "The problem list is not available: whether there is a reason for FIB-4 or against it is not known."
    advice = decided(LIVER, call_about(*labs(), searched=SEARCHED - {"Condition"}))
    assert why_silent(advice) == [("input-missing", text)]


def test_the_test_that_the_index_lacks_is_offered_in_a_visit() -> None:
    advice = decided(LIVER, call_about(FATTY, *labs()[:2], visit()))
    card = the_card(advice)
    assert card.summary == (
        "FIB-4 for liver fibrosis cannot be worked out: no complete blood count. Consider ordering it."
    )
    assert _lines(advice)[0] == ("On record: condition K76.0. All else is there.")
    assert "Nothing is assumed in its place." in (card.detail or "")
    assert [label for label, _, _ in offered(card)] == ["Order complete blood count"]
    assert why_silent(decided(LIVER, call_about(FATTY, visit())))[0][0] == "input-missing"


# Atrial fibrillation


RHYTHM = "anticoagulation-discussion"
AF = condition("I48.20", ICD10, onsetDateTime="2025-02-03")
NOT_READ = "not readable on the medication list: pill from abroad"


@for_rows(
    ("resources", "more", "reason"),
    [
        ([], {}, ("outside-population", "CHA2DS2-VASc: for adults with non-valvular atrial fibrillation; atrial "
                  "fibrillation is not found in the chart.")),
        ([AF], {"patient": DEAD}, ("deceased", "The patient has died.")),
        ([AF, referral("Shared decision: anticoagulation in atrial fibrillation")], {},
         ("already-done", "The talk is planned or was held (ServiceRequest/s1).")),
        ([AF], {"searched": SEARCHED - {"Condition"}},
         ("input-missing", "The problem list is not available: atrial fibrillation is not known.")),
        ([AF], {"searched": SEARCHED - {"MedicationRequest"}},
         ("input-missing", "Whether an anticoagulant is active is not known: nothing is said.")),
        ([AF, request("pill from abroad")], {},
         ("input-missing", f"Whether an anticoagulant is active is not known ({NOT_READ}): nothing is said.")),
        ([AF, request("apixaban 5 MG Oral Tablet")], {}, ("already-done", "An anticoagulant is active (apixaban).")),
        ([AF, condition("Z79.01", ICD10, onsetDateTime=days_ago(100))], {},
         ("already-done", "The problem list has long-term use of an anticoagulant (condition Z79.01, 2026-08-12).")),
        ([condition("I48.20", ICD10, **PROVISIONAL)], {},
         ("outside-population",
          "CHA2DS2-VASc: condition I48.20 is on record as provisional only, which is no diagnosis yet.")),
        ([AF], {"patient": WOMAN | {"birthDate": "1990-01-01"}},
         ("below-threshold", "CHA2DS2-VASc is under 2 points: under 2 strokes in 100 a year.")),
    ],
)  # fmt: skip
def test_why_no_anticoagulant_is_discussed(resources: list[Json], more: Json, reason: tuple[str, str]) -> None:
    assert why_silent(decided(RHYTHM, call_about(*resources, **more))) == [reason]


TALK = (
    "Plan a talk about anticoagulation",
    "Draft order: benefits, bleeding and wishes.",
    draft("01", "Shared decision: anticoagulation in atrial fibrillation"),
)
STOPPED = request("apixaban 5 MG Oral Tablet", status="stopped", authoredOn="2026-09-01")


BLEEDS = "; alone no reason to withhold."


def test_bleeding_stands_beside_the_score_where_it_can_be_worked_out() -> None:
    lacking = _lines(decided(RHYTHM, call_about(AF)))
    assert any(line.startswith("**HAS-BLED** could not be worked out: HAS-BLED: Systolic") for line in lacking)
    pressure = observation("8480-6", 170, "mm[Hg]", days_ago(10))
    advice = decided(RHYTHM, call_about(AF, pressure, searched=SEARCHED | frozenset(ANALYTES)))
    (line,) = (line for line in _lines(advice) if line.startswith("**HAS-BLED"))
    # Systolic pressure over 160 and age over 65: 2 points; Pisters 2010 had 1.88 bleeds in 100 a year of them.
    assert line == (
        "**HAS-BLED 2 of 9** (systolic pressure over 160, age over 65), about 1.9 major bleeds in 100 people a year"
        f"{BLEEDS}"
    )
    (beside,) = the_card(advice).own_extension.beside
    assert (beside.model or {})["id"] == "has_bled"


RECOMMENDED = (
    "With a mechanical valve or moderate to severe mitral stenosis warfarin is recommended whatever CHA2DS2-VASc says; "
    "a direct oral anticoagulant (DOAC) is not."
)
RHYTHM_TOO = "and **condition I48.20** (2025-02-03) are on record"


@for_rows(
    ("valve", "short", "words", "degree"),
    [
        (condition("Z95.2", ICD10), "a prosthetic heart valve", "condition Z95.2",
         " The code is also given for valves of tissue, to which this does not apply: see which one it is."),
        (problem("Mechanical mitral valve", "2019-04-05"), "a mechanical valve", "Mechanical mitral valve", ""),
        (problem("Mitral stenosis"), "mitral stenosis", "Mitral stenosis",
         " Warfarin is for moderate to severe stenosis (rheumatic): the code does not say more."),
    ],
)  # fmt: skip
@for_rows(("ended", "finding"), [([], "no anticoagulant found"), ([STOPPED], None)])
def test_with_such_a_valve_warfarin_is_named_whatever_the_score(
    valve: Json, short: str, words: str, degree: str, ended: list[Json], finding: str | None
) -> None:
    advice = decided(RHYTHM, call_about(AF, valve, *ended))
    card, finding = the_card(advice), finding or "apixaban stopped (ordered 2026-09-01)"
    assert card.summary == f"Atrial fibrillation with {short}: {finding}. Consider warfarin."
    since = " (2019-04-05)" if "onsetDateTime" in valve else ""
    assert _lines(advice)[0] == f"**{words}**{since} {RHYTHM_TOO}; {finding}. {RECOMMENDED}{degree}"
    assert offered(card) == [
        ("Plan a talk about warfarin", "Draft order.",
         draft("01", "Shared decision: anticoagulation in atrial fibrillation")),
    ]  # fmt: skip
    assert [(fact.name, fact.value) for fact in card.own_extension.facts] == [
        ("valve", words),
        ("rhythm", "condition I48.20"),
    ]


@pytest.mark.parametrize(
    ("ended", "finding"), [([], "no anticoagulant found"), ([STOPPED], "apixaban stopped (ordered 2026-09-01)")]
)
def test_with_a_thick_heart_an_anticoagulant_is_named_whatever_the_score(ended: list[Json], finding: str) -> None:
    advice = decided(RHYTHM, call_about(AF, problem("Hypertrophic cardiomyopathy"), *ended))
    assert the_card(advice).summary == (
        f"Atrial fibrillation with hypertrophic cardiomyopathy: {finding}. Consider a talk."
    )
    assert _lines(advice)[0] == (
        f"**Hypertrophic cardiomyopathy** {RHYTHM_TOO}; {finding}. With both an anticoagulant is "
        "recommended whatever CHA2DS2-VASc says (class 1)."
    )
    assert offered(the_card(advice)) == [TALK]


@pytest.mark.parametrize(
    ("rhythm", "begins"),
    [
        (problem("Atrial flutter"), "Atrial flutter with"),
        (problem("Atrial fibrillation and flutter"), "Atrial fibrillation with"),
    ],
)
def test_flutter_has_its_own_name_where_there_is_no_fibrillation(rhythm: Json, begins: str) -> None:
    card = the_card(decided(RHYTHM, call_about(rhythm, problem("Hypertrophic cardiomyopathy", id="c2"))))
    assert card.summary.startswith(begins)


# Statins


STATIN = "statin-discussion"
NEVER_SMOKED = {
    "resourceType": "Observation", "id": "smoking", "status": "final", "subject": SUBJECT,
    "code": {"coding": [{"system": "http://loinc.org", "code": "72166-2"}]}, "effectiveDateTime": days_ago(20),
    "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "266919005"}]},
}  # fmt: skip
ARTERIES = condition("I25.10", ICD10)
LIPIDS = (observation("2093-3", 240, "mg/dL", days_ago(10)), observation("2085-9", 40, "mg/dL", days_ago(10)))
MEASURED = (
    observation("8480-6", 150, "mm[Hg]", days_ago(10)),
    egfr(80),
    observation("39156-5", 30, "kg/m2", days_ago(10)),
    NEVER_SMOKED,
)


@for_rows(
    ("resources", "more", "reason"),
    [
        ([], {"patient": DEAD}, ("deceased", "The patient has died.")),
        ([referral("Shared decision: statin for primary prevention")], {},
         ("already-done", "The talk is planned or was held (ServiceRequest/s1).")),
        ([referral("Shared decision: statin in atherosclerotic disease")], {},
         ("already-done", "The talk is planned or was held (ServiceRequest/s1).")),
        ([EXPECTING], {"patient": PREGNANT},
         ("contraindicated", "A pregnancy is on record: a statin is not discussed.")),
        ([condition("K72.10", ICD10)], {},
         ("contraindicated", "Severe or acute liver disease is on record: a statin is not discussed.")),
        ([{"resourceType": "AllergyIntolerance", "id": "a1", "code": {"text": "atorvastatin"}, "patient": SUBJECT}], {},
         ("contraindicated", "A reaction to a statin is on record.")),
        ([problem("Statin intolerance")], {}, ("contraindicated", "A reaction to a statin is on record.")),
        ([problem("Myalgia due to atorvastatin")], {},
         ("contraindicated", "Harm by a statin is on record (adverse effect or myopathy).")),
        ([condition("T46.6X5A", ICD10)], {},
         ("contraindicated", "Harm by a statin is on record (adverse effect or myopathy).")),
        ([condition("M62.82", ICD10)], {},
         ("contraindicated", "Rhabdomyolysis is on record: a statin is not discussed now.")),
        ([condition("C78.7", ICD10)], {},
         ("outside-population", "condition C78.7 is on record: prevention that pays after years is not discussed.")),
        ([condition("Z99.2", ICD10)], {},
         ("contraindicated", "Dialysis is on record: KDIGO 2013 (lipids, 2.3.1) suggests not to start a statin.")),
        ([request("evolocumab 140 mg")], {}, ("already-done", "A PCSK9 inhibitor is active.")),
        ([request("atorvastatin 20 MG Oral Tablet")], {}, ("already-done", "A statin is active.")),
        ([request("pill from abroad")], {},
         ("input-missing", f"Whether a statin is active is not known ({NOT_READ}): nothing is said.")),
        ([], {"searched": SEARCHED - {"MedicationRequest"}},
         ("input-missing", "Whether a statin is active is not known: nothing is said.")),
        ([*LIPIDS, *MEASURED], {"patient": WOMAN | {"birthDate": "1981-11-20"}},
         ("below-threshold", "The 10-year risk is below the intermediate band (5 %).")),
    ],
)  # fmt: skip
def test_why_no_statin_is_discussed(resources: list[Json], more: Json, reason: tuple[str, str]) -> None:
    assert why_silent(decided(STATIN, call_about(visit(), *resources, **more))) == [reason]


@pytest.mark.parametrize(("more", "offers"), [([], ["Order lipid panel"]), ([condition("C50.911", ICD10)], None)])
def test_lipids_are_not_ordered_for_the_risk_where_a_cancer_is_treated(
    more: list[Json], offers: list[str] | None
) -> None:
    lacks_egfr = (value for value in MEASURED if value is not MEASURED[1])
    assert why_silent(decided(STATIN, call_about(visit(), *LIPIDS, *lacks_egfr)))[0][0] == "input-missing"
    advice = decided(STATIN, call_about(visit(), *MEASURED, *more))
    if offers is None:
        assert [reason for reason, _ in why_silent(advice)] == ["input-missing"]
    else:
        assert [label for label, _, _ in offered(the_card(advice))] == offers


KEPT = WorklistEntry(test="A talk about a statin", purpose="prevent_base", because="no-visit")
KEPT_TALK = "Kept for the worklist, because this "


@for_rows(
    ("visits", "disease", "kept"),
    [
        ([visit()], ARTERIES, None),
        ([], ARTERIES, None),
        ([visit(type=[{"text": "Sick visit"}])], ARTERIES, None),
        ([visit("AMB", "finished")], ARTERIES,
         f"{KEPT_TALK}call is not of a practitioner within an ambulatory visit that goes on."),
        ([visit()], condition("E11.9", ICD10), None),
        ([visit(type=[{"text": "Sick visit"}])], condition("E11.9", ICD10),
         f"{KEPT_TALK}visit is for another purpose."),
        ([visit(type=[{"text": "Sick visit"}])], condition("E78.01", ICD10), None),
        ([visit(type=[{"text": "Sick visit"}])], condition("B20", ICD10), f"{KEPT_TALK}visit is for another purpose."),
        ([visit(type=[{"text": "Sick visit"}])], observation("13457-7", 190, "mg/dL", days_ago(9)), None),
    ],
)  # fmt: skip
def test_a_talk_that_prevents_has_its_place_and_one_that_treats_only_needs_the_patient(
    visits: list[Json], disease: Json, kept: str | None
) -> None:
    advice = decided(STATIN, call_about(*visits, disease))
    if kept is None:
        assert advice.reminders == {the_card(advice).uuid: replace(KEPT, because="offered-before")}
        assert (advice.silences, advice.worklist) == ([], [])
    else:
        assert (why_silent(advice), advice.worklist) == ([("worklist", kept)], [KEPT])


ASK = "The guideline names a statin here without a risk score. Ask first whether one was tried and not tolerated."


@for_rows(
    ("disease", "summary", "charted", "talk"),
    [
        (ARTERIES, "Known atherosclerotic disease", "known atherosclerotic disease (**condition I25.10**)",
         "Shared decision: statin in atherosclerotic disease"),
        (condition("E78.01", ICD10, recordedDate="2020-05-06"), "Familial hypercholesterolaemia",
         "familial hypercholesterolaemia (**condition E78.01**, 2020-05-06)",
         "Shared decision: statin for primary prevention"),
        (observation("13457-7", 190, "mg/dL", days_ago(9)), "LDL cholesterol 190 mg/dL (2026-11-11)",
         "LDL cholesterol 190 mg/dL (2026-11-11)", "Shared decision: statin for primary prevention"),
        (condition("E11.9", ICD10), "Diabetes, age 70", "diabetes, age 70 (**condition E11.9**)",
         "Shared decision: statin for primary prevention"),
    ],
)  # fmt: skip
def test_the_card_of_a_reason_for_a_statin_without_a_score(
    disease: Json, summary: str, charted: str, talk: str
) -> None:
    advice = decided(STATIN, call_about(visit(), disease))
    card = the_card(advice)
    assert card.summary == f"{summary}, no statin found. Consider talking about one."
    assert _lines(advice) == [
        f"On record: {charted}; no active statin. {ASK}",
        "",
        "For prevention, not for emergencies.",
    ]
    assert offered(card) == [
        ("Plan a talk about a statin", "Draft order: benefits, harms and wishes.",
         draft("01", talk)),
    ]  # fmt: skip


@pytest.mark.parametrize(("days", "more"), [(10, []), (365, []), (367, ["Order new lipids first"])])
def test_the_card_of_a_risk_has_both_sides_of_it_and_asks_for_new_lipids(days: float, more: list[str]) -> None:
    lipids = [observation(code, value, "mg/dL", days_ago(days)) for code, value in (("2093-3", 240), ("2085-9", 40))]
    advice = decided(STATIN, call_about(visit(), *lipids, *MEASURED))
    card = the_card(advice)
    match = re.fullmatch(
        r"Heart attack or stroke within 10 years: about (\d) in 100 \(intermediate risk\); no statin found\. "
        r"Consider talking about one\.",
        card.summary,
    )
    assert match is not None
    people = int(match[1])
    assert _lines(advice)[0].startswith(
        f"**About {people} in 100** people like this have a heart attack or a stroke within 10 years; {100 - people} "
        "do not (PREVENT). **Intermediate** risk: 5 to under 10 in 100 ("
    )
    assert [label for label, _, _ in offered(card)] == ["Plan a talk about a statin", *more]
    assert advice.reminders == {"u1": replace(KEPT, because="offered-before")}


@pytest.mark.parametrize("gender", ["unknown", "other", None])
def test_where_the_sex_is_not_known_the_results_of_both_are_said_and_recorded(gender: str | None) -> None:
    def of(gender: str | None) -> Any:
        return decided(NEPHROLOGY, call_about(*CHRONIC, albumin(290), patient=WOMAN | {"gender": gender}))

    woman, man, either = of("female").scores, of("male").scores, of(gender)
    assert [either.scores["value"], either.scores["of_the_other_sex"]["value"]] == sorted(
        [woman["value"], man["value"]]
    )
    card = the_card(either)
    said = f"{100 * woman['value']:.1f} % as a woman and {100 * man['value']:.1f} % as a man"
    assert f"The sex is not recorded: {said}." in (card.detail or "")
    lower, higher = (round(100 * score["value"]) for score in sorted((woman, man), key=lambda score: score["value"]))
    assert f"{lower} in 100 to {higher} in 100" in card.summary
    assert "sex" not in [factor.feature for factor in card.own_extension.contributions or ()]


def test_where_the_sex_decides_whether_there_is_a_card_the_reason_says_both_results() -> None:
    woman, man = (
        decided(NEPHROLOGY, call_about(*CHRONIC, albumin(290), patient=patient)).scores or {}
        for patient in (WOMAN, MAN)
    )
    between = (woman["value"] + man["value"]) / 2
    call = call_about(*CHRONIC, albumin(290), patient=WOMAN | {"gender": "other"}, referral_risk=between)
    ((reason, text),) = why_silent(decided(NEPHROLOGY, call))
    assert reason == "input-missing"
    assert f"{100 * woman['value']:.1f} % as a woman and {100 * man['value']:.1f} % as a man" in text


def test_a_result_says_that_the_charted_sex_was_used_where_the_gender_does_not_say_it() -> None:
    birth = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "valueCode": "F"}
    patient = WOMAN | {"gender": "male", "extension": [birth]}
    advice = decided(NEPHROLOGY, call_about(*CHRONIC, albumin(290), patient=patient))
    assert "Worked out with the charted sex: female." in (the_card(advice).detail or "")
