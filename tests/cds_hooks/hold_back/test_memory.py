"""What is remembered of a patient, to the second: until when a turn holds, which answer counts, what is forgotten."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw, structs

from cards.extension import CardExtension, Fact, FindingReference, VaccineForecast, VaccineForecasts
from cards.rules.engine.governance import Override
from cds_hooks.decision_views.file import Views, make_tables
from cds_hooks.decision_views.follow import AnswerRow, Batch, DecisionRow
from cds_hooks.hold_back.memory import (
    LONGEST_ID,
    Accepted,
    Memory,
    PatientMemories,
    PatientMemory,
    ShownFinding,
    Turn,
)
from cds_hooks.hold_back.sent_cards import (
    FOLLOW_UP,
    Caller,
    PatientFinding,
    SentAction,
    SentCard,
    SentCardAnswer,
    SentSuggestion,
    patient_finding,
)
from cds_hooks.storage import card_uuid
from tests.cds_hooks.storage.samples import a_decision, some_feedback
from tests.each import for_rows

NOW, DAY = 1_800_000_000.0, 86_400.0
TEST = PatientFinding("missing uacr", "kfre_4", asks=True)
DISCHARGE = PatientFinding(FOLLOW_UP, "m")
REFERRAL = PatientFinding("referral", "referral", number=40.0)


def _answer(at: float = NOW, how: str = "patient-declines", **members: Any) -> SentCardAnswer:
    card = SentCard(uuid="c", indicator="warning")
    card.extension.ours = members.pop("extension", CardExtension(output="referral", facts=(Fact("egfr", value=40.0),)))
    card.suggestions = members.pop("offers", ())
    return structs.replace(SentCardAnswer("ehr", "p1", "a-service", "patient-view", card, how, at, at), **members)


@pytest.mark.parametrize(("finding", "days"), [(TEST, 90), (DISCHARGE, 1)])
def test_a_turn_goes_to_another_service_from_the_second_after_its_days(finding: PatientFinding, days: int) -> None:
    for seconds, owner in ((days * DAY, "first"), (days * DAY + 1, "second")):
        memory = PatientMemory()
        memory.take_shown("first", [finding], NOW, NOW, 14)
        memory.take_shown("second", [finding], NOW + seconds, NOW + seconds, 14)
        assert ([turn.owner for turn in memory.turns.values()], memory.shown) == ([owner], {})
        kept = memory.without_old(NOW + seconds, 14, 0.0).turns
        assert len(kept) == 1
        left = PatientMemory(turns={kind: Turn("first", NOW) for kind in kept}).without_old(NOW + seconds, 14, 0.0)
        assert len(left.turns) == (owner == "first")


@pytest.mark.parametrize(
    ("first", "second", "since"),
    [(NOW, NOW + 14 * DAY, NOW), (NOW, NOW + 14 * DAY + 1, NOW + 14 * DAY + 1), (NOW + DAY, NOW, NOW)],
    ids=["within the days", "after them", "the first is in the future"],
)
def test_a_finding_was_shown_first_within_the_period_that_counts(first: float, second: float, since: float) -> None:
    memory = PatientMemory()
    memory.take_shown("a-service", [REFERRAL], first, first, 14)
    memory.take_shown("a-service", [REFERRAL], second, second, 14)
    assert (memory.shown["referral"].at, memory.turns) == (since, {})
    for part in "ab":  # only what is shown once is remembered part by part
        memory.take_shown("a-service", [structs.replace(REFERRAL, parts=frozenset(part))], NOW, NOW, 14)
    assert memory.shown["referral"].finding.parts == {"b"}


@pytest.mark.parametrize(
    ("first", "second", "now", "counts"),
    [
        (NOW, NOW, NOW, "wrong-time-workflow"),
        (NOW, NOW - 1, NOW, "patient-declines"),
        (NOW, NOW - 1, NOW - 0.5, "wrong-time-workflow"),
    ],
    ids=["of one second the later", "an earlier one that came late", "the first is in the future"],
)
def test_of_two_answers_the_newest_counts(first: float, second: float, now: float, counts: str) -> None:
    memory = PatientMemory()
    memory.take_answer(_answer(first), now)
    memory.take_answer(_answer(second, "wrong-time-workflow"), now)
    assert memory.answers["referral"].how == counts


def test_the_same_answer_taken_twice_is_one_and_a_draft_without_an_id_is_none() -> None:
    facts = (Fact("draft"), Fact("draft", source="MedicationRequest/1"), Fact("egfr", source="Observation/1"))
    said = CardExtension(findings=(FindingReference("a-rule", "a-band"),), facts=facts)
    offer = SentSuggestion("Stop it", "s", (SentAction(Raw(b'{"resourceType":"MedicationRequest","id":"1"}')),))
    memory = PatientMemory()
    for _ in range(2):
        memory.take_answer(
            _answer(
                how="accepted", extension=said, offers=(offer, structs.replace(offer, uuid="t")), suggestions=("s",)
            ),
            NOW,
        )
        memory.take_answer(_answer(how="patient-ineligible", extension=said, reason="No"), NOW)
    (accepted,), (override,) = memory.accepted, memory.overrides["a-rule a-band"]
    assert accepted.draft == override.drafts == {"MedicationRequest/1"}
    memory.take_answer(_answer(NOW + 1, "patient-ineligible", extension=said, reason="No"), NOW + 1)
    assert [kept.at for kept in memory.overrides["a-rule a-band"]] == [NOW + 1]  # counts for all the earlier one does


def test_what_can_count_no_more_is_left_out_kind_by_kind() -> None:
    def memory(age: float) -> PatientMemory:
        return PatientMemory(overrides={"a b": (Override(NOW - age, "info", "r"),)})

    assert memory(365 * DAY).without_old(NOW, 14, 0.0) == memory(365 * DAY)
    assert memory(365 * DAY + 1).without_old(NOW, 14, 0.0) == PatientMemory()
    accepted = [Accepted(NOW - age, "", frozenset(), frozenset(), frozenset()) for age in (3601, 3600)]
    assert PatientMemory(accepted=tuple(accepted)).without_old(NOW, 14, 0.0).accepted == (accepted[1],)
    shown = PatientMemory(shown={"referral": ShownFinding(NOW, "shown", REFERRAL)})
    assert (shown.without_old(NOW, 14, NOW).shown, shown.without_old(NOW, 14, NOW + 1).shown) == (shown.shown, {})


@pytest.mark.parametrize(
    ("days", "length", "is_kept"),
    [
        (0, LONGEST_ID, True), (0, LONGEST_ID + 1, False),
        (365, LONGEST_ID, True), (365 + 1 / DAY, LONGEST_ID, False),
    ],
)  # fmt: skip
def test_the_record_of_a_year_is_remembered_of_patients_with_an_id_of_200_characters(
    tmp_path: Path, days: float, length: int, *, is_kept: bool
) -> None:
    patient, at = "p" * length, NOW - days * DAY
    as_of = datetime.fromtimestamp(at, UTC).isoformat()
    facts = [{"name": "egfr", "text": "", "value": 40.0}]
    decision = a_decision(patient=patient, outcome="cards", basis=json.dumps({"as_of": as_of}).encode())
    card = {"uuid": card_uuid(decision.id, 1), "extension": {"org.cds-hooks-onnx": {"output": "o", "facts": facts}}}
    decision = structs.replace(decision, response=json.dumps({"cards": [card]}).encode(), decided_at=int(at * 1e6))
    answer = some_feedback(decision.id, received_at=int(at * 1e6))
    entry = DecisionRow(1, decision)
    row = AnswerRow(structs.replace(answer, accepted_suggestions="[]"), entry)
    views, memory = Views(tmp_path / "views.sqlite3"), Memory(lambda: NOW)
    with views.open() as connection:
        make_tables(connection, PatientMemories.tables)
        PatientMemories(lambda: NOW).take(connection, Batch(decisions=[entry]))
        PatientMemories(lambda: NOW).take(connection, Batch(answers=[row]))
    memory.read_from(views)
    kept = memory.of_patient("a hospital", patient)
    assert (bool(kept.shown), bool(kept.answers)) == (is_kept, is_kept)
    memory = Memory(lambda: NOW)
    memory.note_answer(structs.replace(_answer(), patient=patient))
    assert bool(memory.of_patient("ehr", patient).answers) is (length <= LONGEST_ID)


@pytest.mark.parametrize(("seconds", "calls"), [(14 * DAY, True), (14 * DAY + 1, False)])
def test_a_service_that_was_not_called_for_two_weeks_is_not_called(seconds: float, *, calls: bool) -> None:
    now = [NOW]
    memory, caller = Memory(lambda: now[0]), Caller("ehr", "p9", "ours", "patient-view")
    memory.note_call(structs.replace(caller, service="theirs"))
    now[0] += seconds
    for number in range(5):
        memory.note_call(structs.replace(caller, patient=f"p{number}"))
    assert memory.does_not_call(caller, "theirs") is not calls


@for_rows(
    ("earliest", "recommended", "parts"),
    [
        ("2026-11-20", "2026-11-20", {"HepB 2 due"}),
        ("2026-11-20", "2026-11-21", {"HepB 2 possible"}),
        ("2026-11-20", None, {"HepB 2 possible"}),
        ("2026-11-21", "2026-11-21", set()),
    ],
)
def test_a_dose_is_possible_from_its_earliest_day_and_due_from_the_recommended_one(
    earliest: str | None, recommended: str | None, parts: set[str]
) -> None:
    dates = {"earliest": earliest, "recommended": recommended}
    forecast = VaccineForecast(group="HepB", type="", status="Not Complete", series=(), dose=2, **dates)
    due = VaccineForecasts(release="r", released="", as_of="2026-11-20", forecasts=(forecast,))
    finding = patient_finding(CardExtension(vaccines=due), "patient-view")
    assert finding is not None
    assert finding.parts == parts
