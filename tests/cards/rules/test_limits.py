"""Near every limit: one unit below, on it, one unit above, and the smallest step either side."""

import math
from datetime import datetime
from typing import Any

import msgspec
import pytest

from cards.casebook.patients import PATIENT_ID, bundle_of
from fhir.record.record import read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import check, findings
from tests.cards.rules.patients import draft_of, drafts_of, record_of

Json = dict[str, Any]

METFORMIN: Json = {"drug": "861007", "dose": "2 tablet", "times": 2}
NAPROXEN: Json = {"drug": "198014", "dose": "1 tablet", "times": 2, "days": 10}
KETOROLAC: Json = {"drug": "834022", "dose": "1 tablet", "times": 4, "days": 5}
DABIGATRAN: Json = {"drug": "1037045", "dose": "1 capsule", "times": 2}
RIVAROXABAN: Json = {"drug": "1232086", "dose": "1 tablet", "times": 1}
EDOXABAN: Json = {"drug": "edoxaban 60 MG Oral Tablet", "dose": "1 tablet", "times": 1}
NITROFURANTOIN: Json = {"drug": "1648755", "dose": "1 capsule", "times": 2, "days": 10}
VERAPAMIL = "verapamil hydrochloride 120 MG Oral Tablet"
DRONEDARONE = "dronedarone 400 MG Oral Tablet"

# Draft, patient, and for each limit the bands (None: silent) below it, on it, above it.
EGFR: list[tuple[str, Json, Json, dict[float, tuple[str | None, str | None, str | None]]]] = [
    ("metformin, new", METFORMIN, {}, {30: ("lt30", "30to45_new", "30to45_new"), 45: ("30to45_new", None, None)}),
    ("metformin, continued", METFORMIN, {"active": ["861007"]},
     {30: ("lt30", "30to45_cont", "30to45_cont"), 45: ("30to45_cont", None, None)}),
    ("ketorolac", KETOROLAC, {}, {30: ("ketorolac_lt30", None, None)}),
    ("naproxen", NAPROXEN, {}, {30: ("lt30", "30to60_long", "30to60_long"), 60: ("30to60_long", None, None)}),
]  # fmt: skip
AF, VTE = {"conditions": ["afib"]}, {"conditions": ["vte"]}
CRCL: list[tuple[str, Json, Json, dict[float, tuple[str | None, str | None, str | None]]]] = [
    ("dabigatran in AF", DABIGATRAN, AF, {15: ("lt15", "15to30", "15to30"), 30: ("15to30", "15to30", None)}),
    ("dabigatran for VTE", DABIGATRAN, VTE, {15: ("lt15", "vte_le30", "vte_le30"), 30: ("vte_le30", "vte_le30", None)}),
    ("dabigatran, no indication", DABIGATRAN, {},
     {15: ("lt15", "le30_indication", "le30_indication"), 30: ("le30_indication", "le30_indication", None)}),
    ("dabigatran in AF with dronedarone", DABIGATRAN, AF | {"active": [DRONEDARONE]},
     {30: ("pgp_lt30", "15to30", "30to50_pgp"), 50: ("30to50_pgp", "30to50_pgp", None)}),
    ("dabigatran for VTE with verapamil", DABIGATRAN, VTE | {"active": [VERAPAMIL]},
     {30: ("vte_le30", "vte_le30", "vte_pgp_lt50"), 50: ("vte_pgp_lt50", None, None)}),
    ("rivaroxaban in AF", RIVAROXABAN, AF, {15: ("af_lt15", "af_le50", "af_le50"), 50: ("af_le50", "af_le50", None)}),
    ("rivaroxaban for VTE", RIVAROXABAN, VTE, {15: ("vte_lt15", None, None)}),
    ("rivaroxaban, no indication", RIVAROXABAN, {},
     {15: ("lt15_indication", "le50_indication", "le50_indication"), 50: ("le50_indication", "le50_indication", None)}),
    ("edoxaban in AF", EDOXABAN, AF,
     {15: ("lt15", "15to50", "15to50"), 50: ("15to50", "15to50", None), 95: (None, None, "gt95")}),
    ("nitrofurantoin", NITROFURANTOIN, {},
     {30: ("lt30", "30to60_long", "30to60_long"), 60: ("30to60_long", None, None)}),
]  # fmt: skip


def _steps(limit: float) -> list[tuple[int, float]]:
    """Below (0), on (1) and above (2): one unit, and the nearest number."""
    near = [(0, limit - 0.001), (1, limit), (2, limit + 0.001)]
    return [(0, limit - 1), *near, (2, limit + 1)]


def _sweeps(table: list[Any]) -> list[Any]:
    return [
        pytest.param(draft, patient, value, bands[side], id=f"{name} at {value:g}")
        for name, draft, patient, limits in table
        for limit, bands in limits.items()
        for side, value in _steps(limit)
    ]


def _band(patient: Json, draft: Json, as_of: datetime) -> str | None:
    found = findings(check(record_of(patient, as_of), drafts_of(draft_of(draft))))
    return found[0][1] if found else None


@pytest.mark.parametrize(("draft", "patient", "value", "band"), _sweeps(EGFR))
def test_a_reported_egfr_near_a_limit(
    draft: Json, patient: Json, value: float, band: str | None, as_of: datetime
) -> None:
    assert _band(patient | {"labs": [["egfr", value]]}, draft, as_of) == band


@pytest.mark.parametrize(("draft", "patient", "value", "band"), _sweeps(CRCL))
def test_a_clearance_near_a_limit(draft: Json, patient: Json, value: float, band: str | None, as_of: datetime) -> None:
    assert _band(patient | {"crcl": value}, draft, as_of) == band


@pytest.mark.parametrize(("value", "shown"), [(29.96, "29.96"), (29.9996, "29.9996"), (29.4, "29.4"), (30.04, "30.04")])
def test_a_value_is_never_shown_on_the_other_side_of_a_limit(value: float, shown: str, as_of: datetime) -> None:
    (card,) = check(record_of({"labs": [["egfr", value]]}, as_of), drafts_of(draft_of(METFORMIN))).cards
    assert f"eGFR {shown} mL/min on" in card.summary
    assert f"eGFR {shown} mL/min" in (card.detail or "")


@pytest.mark.parametrize(
    ("creatinine", "kilograms", "born_days_off", "band"),
    [
        (1.5, 60, 0, "needs_reduction"),
        (1.49, 60, 0, "needs_reduction"),
        (1.49, 60.1, 0, None),
        (1.5, 60.1, 0, "needs_reduction"),
        (1.49, 60, -1, None),
        (1.5, 60, -1, "needs_reduction"),
    ],
)
def test_the_apixaban_criteria_are_met_on_their_limits(
    creatinine: float, kilograms: float, born_days_off: int, band: str | None, as_of: datetime
) -> None:
    born = {"age": 80, "days_older": 0} if born_days_off == 0 else {"age": 79, "days_older": 364}
    labs = [["creatinine", creatinine], ["body_weight", kilograms]]
    draft = {"drug": "1364445", "dose": "1 tablet", "times": 2}
    assert _band(AF | born | {"labs": labs}, draft, as_of) == band


@pytest.mark.parametrize(
    ("drug", "dose", "times", "band"),
    [
        ("metformin", "500 mg", 2, None),
        ("metformin", "501 mg", 2, "30to45_cont"),
        ("metformin", "1000 mg", 1, None),
        ("metformin", "1 g", 2, "30to45_cont"),
        ("metformin", "850 mg", 1, None),
        ("metformin", "850 mg", 2, "30to45_cont"),
    ],
)
def test_the_dose_of_metformin_near_its_limit(
    drug: str, dose: str, times: int, band: str | None, as_of: datetime
) -> None:
    patient = {"labs": [["egfr", 40]], "active": ["861007"]}
    assert _band(patient, {"drug": drug, "dose": dose, "times": times}, as_of) == band


@pytest.mark.parametrize(("age_days", "indicator"), [(364, "critical"), (365, "critical"), (366, "warning")])
def test_a_value_is_old_after_a_year(age_days: int, indicator: str, as_of: datetime) -> None:
    outcome = check(record_of({"labs": [["egfr", 20, age_days]]}, as_of), drafts_of(draft_of(METFORMIN)))
    assert findings(outcome) == [("renal-metformin", "lt30", indicator)]


@pytest.mark.parametrize(("age_days", "indicator"), [(30, "critical"), (31, "warning")])
def test_in_hospital_it_is_old_after_thirty_days(age_days: int, indicator: str, as_of: datetime) -> None:
    patient = {"labs": [["egfr", 20, age_days]], "inpatient": True}
    outcome = check(record_of(patient, as_of), drafts_of(draft_of(METFORMIN)))
    assert findings(outcome) == [("renal-metformin", "lt30", indicator)]


@pytest.mark.parametrize(("started_days_ago", "band"), [(1, "30to45_cont"), (179, "30to45_cont"), (181, "30to45_new")])
def test_a_start_is_new_after_half_a_year(started_days_ago: int, band: str, as_of: datetime) -> None:
    chart = bundle_of({"labs": [["egfr", 40]], "active": [["861007", started_days_ago]]}, as_of)
    for entry in chart["entry"]:
        if entry["resource"]["resourceType"] == "MedicationRequest":
            entry["resource"]["status"] = "completed"
    record = read_record({"chart": decoder.decode(msgspec.json.encode(chart))}, PATIENT_ID, as_of)
    outcome = check(record, drafts_of(draft_of(METFORMIN)))
    assert [found[1] for found in findings(outcome)] == [band]


@pytest.mark.parametrize("umol", [False, True])
@pytest.mark.parametrize("egfr", [20.0, 29.0, 31.0, 44.0, 46.0, 60.0])
def test_the_unit_of_creatinine_makes_no_difference(egfr: float, umol: bool, as_of: datetime) -> None:
    creatinine = _creatinine_for(egfr)
    lab = ["creatinine", creatinine / 0.0113122, 3, "umol/L"] if umol else ["creatinine", creatinine]
    expected = "lt30" if egfr < 30 else "30to45_new" if egfr < 45 else None
    assert _band({"labs": [lab]}, METFORMIN, as_of) == expected


def _creatinine_for(egfr: float) -> float:
    """CKD-EPI 2021 turned round for a man of 60 with a creatinine over 0.9."""
    return 0.9 * math.exp(math.log(egfr / (142.0 * 0.9938**60)) / -1.2)
