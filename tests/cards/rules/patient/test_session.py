"""One patient for all rules: allergies to a medication, how far back is looked, what is kept for other drafts."""

from datetime import datetime
from typing import Any

from cards.rules.patient.orders import DraftOrder
from cards.rules.patient.session import PatientSession
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows, rows_of

Json = dict[str, Any]


# What a draft meets in one session: orders that it replaces, what has ended, days that are left, changed drafts.
WARFARIN, METFORMIN, ASPIRIN, LISINOPRIL = "11289", "6809", "1191", "29046"
WARFARIN_5: Json = {"drug": "warfarin sodium 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}
METFORMIN_500: Json = {"drug": "metformin hydrochloride 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
ASPIRIN_81: Json = {"drug": "aspirin 81 MG Oral Tablet", "dose": "1 tablet", "times": 1}


def _session(as_of: datetime, *drafts: Json, **patient: Any) -> PatientSession:
    return PatientSession(record_of(patient, as_of), _drafts(*drafts), signing=True)


def _drafts(*drafts: Json) -> list[DraftOrder]:
    return drafts_of(*(draft_of(one, one.get("id", f"draft-{number}")) for number, one in enumerate(drafts)))


def _sources(session: PatientSession) -> list[str]:
    return [medication.source for medication in session.active]


@for_rows(
    ("entry", "days"),
    [
        ({**WARFARIN_5, "ended": -5}, 5.0),
        # Written at midnight of 2026-11-10 for 30 days; asked at 9 o'clock of the 20th.
        ({**WARFARIN_5, "days_ago": 10, "days": 30}, 19.625),
        ({**WARFARIN_5, "days_ago": 10}, float("inf")),
        ({**WARFARIN_5, "undated": True, "days": 30}, float("inf")),
    ],
)
def test_the_days_that_an_order_of_the_chart_still_runs(entry: Json, days: float, as_of: datetime) -> None:
    session = _session(as_of, METFORMIN_500, active=[entry])
    (medication,) = session.active
    assert session.days_left(medication) == days


def test_the_order_that_a_draft_renews_is_not_beside_it(as_of: datetime) -> None:
    renewal = {**WARFARIN_5, "more": {"priorPrescription": {"reference": "MedicationRequest/active-0"}}}
    session = _session(as_of, renewal, ASPIRIN_81, active=[WARFARIN_5, METFORMIN_500])
    drafted = session.drafted[0]
    keys = (WARFARIN, METFORMIN, ASPIRIN)
    beside = ["MedicationRequest/active-1", "MedicationRequest/draft-1"]
    assert [one.source for one in session.medications_beside(drafted, keys)] == beside
    assert [one.source for one in session.medications_beside(drafted, keys, 1)] == beside[:1]
    assert [one.source for one in session.medications_beside(drafted, keys, 4)] == beside
    assert session.medications_beside(drafted, (WARFARIN,)) == []
    assert session.medications_beside(drafted, (LISINOPRIL,)) == []


@for_rows(
    ("draft", "left"),
    rows_of(__file__, "a_draft_with_the_name_and_the_drug_of_an_order_is_that_order"),
)
def test_a_draft_with_the_name_and_the_drug_of_an_order_is_that_order(
    draft: Json, left: list[str], as_of: datetime
) -> None:
    assert _sources(_session(as_of, draft, active=[WARFARIN_5])) == left


def test_the_lists_of_a_changed_session_are_those_of_one_made_anew(as_of: datetime) -> None:
    drafts = [METFORMIN_500, {**WARFARIN_5, "id": "w1"}, {**WARFARIN_5, "id": "w2"}]
    first = _session(as_of, *drafts, active=[WARFARIN_5, ASPIRIN_81])
    assert WARFARIN in first.keys
    (stopped,) = _drafts({**WARFARIN_5, "id": "active-0", "more": {"status": "stopped"}})
    (lisinopril,) = _drafts({"drug": "lisinopril 10 MG Oral Tablet", "id": "l"})
    metformin, w1, w2 = first.drafts
    for kept, warfarins in (
        ([metformin, w2], ["active-0", "w2"]),
        ([metformin, w1, w2, stopped], ["w1", "w2"]),
        ([metformin, lisinopril], ["active-0"]),
        ([metformin, stopped], []),
    ):
        after = first.with_drafts(kept)
        found = [one.source for one in after.medications_beside(after.drafted[0], (WARFARIN,))]
        assert found == [f"MedicationRequest/{name}" for name in warfarins]
        assert (WARFARIN in after.keys) is bool(warfarins)
        assert (LISINOPRIL in after.keys) is (lisinopril in kept)


def test_a_renewal_is_no_new_start_whether_or_not_the_order_came(as_of: datetime) -> None:
    renewal = {**WARFARIN_5, "more": {"priorPrescription": {"reference": "MedicationRequest/elsewhere"}}}
    session = _session(as_of, renewal)
    (drafted,) = session.drafted
    assert session.is_new_start(drafted.medication.ingredients[0], drafted) is False
