"""Parts of a replay by themselves: what is compared, counted, put back in time, and remembered."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec

from cds_hooks.configuration import Content
from cds_hooks.hold_back.releases import Released
from cds_hooks.replay.basis import Basis, read_basis
from cds_hooks.replay.candidates import Change, ChangeReport, NotReplayed, _group
from cds_hooks.replay.replaying import (
    Difference,
    Replayed,
    _short,
    causes,
    differences_in,
)
from cds_hooks.replay.simulated_orders import (
    SimulatedOrders,
    _as_it_was,
    _is_known,
    _known_since,
    group_of,
)
from cds_hooks.replay.site import _without_rules
from fhir.record.resources import Patient
from tests.cds_hooks.storage.samples import a_decision
from tests.each import for_rows
from tests.fhir.builders import encounter

Json = dict[str, Any]


def instant(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


# Orders put back


def test_the_group_of_a_patient_needs_a_whole_date_of_birth() -> None:
    on = date(2026, 11, 20)
    assert group_of("male", "1961-11-20", on) == "male, 40 to 64"
    assert group_of("male", "1961-11-19", on) == "male, 65 to 74"
    assert group_of(None, "1990-01-01", on) == "sex not known, 18 to 39"
    assert group_of("male", "1961", on) == group_of("male", None, on) == "not known"


def test_a_rate_is_per_hundred_orders() -> None:
    assert SimulatedOrders(orders=50).per_100(3) == 6.0
    assert SimulatedOrders().per_100(3) == 0.0


NOON = instant("2026-11-20T12:00:00")


@for_rows(
    ("resource", "is_known"),
    [
        ({"resourceType": "Patient"}, True),
        ({"resourceType": "Medication"}, True),
        ({"resourceType": "Group"}, False),
        ({"resourceType": "Observation", "effectiveDateTime": "2026-11-20T12:00:00Z"}, True),
        ({"resourceType": "Observation", "effectiveDateTime": "2026-11-20T12:00:01Z"}, False),
        ({"resourceType": "Observation", "issued": "2026-11-20T12:00:00Z"}, True),
        ({"resourceType": "Observation", "effectivePeriod": {"start": "2026-11-20T12:00:00Z"}}, True),
        ({"resourceType": "Observation", "effectivePeriod": "x"}, False),
        ({"resourceType": "Observation"}, False),
        ({"resourceType": "Condition"}, True),
        ({"resourceType": "AllergyIntolerance"}, True),
        ({"resourceType": "Condition", "recordedDate": "2026-11-21"}, False),
        ({"resourceType": "Condition", "onsetDateTime": "2026-11-19", "recordedDate": "2026-11-21"}, False),
        ({"resourceType": "Encounter", "period": {"start": "2026-11-20T11:00:00Z"}}, True),
        ({"resourceType": "Encounter"}, False),
    ],
)
def test_a_fact_is_known_from_its_first_date_on(resource: Json, *, is_known: bool) -> None:
    assert _is_known(resource, NOON) is is_known


def test_a_problem_without_a_date_was_always_there() -> None:
    assert _known_since({"resourceType": "Condition"}) == float("-inf")
    assert _known_since({"resourceType": "Procedure"}) is None


def _ordered(end: Any, status: str = "stopped") -> Json:
    supply = {"dispenseRequest": {"validityPeriod": {"end": end}}} if end is not None else {}
    return {"resourceType": "MedicationRequest", "status": status, **supply}


@for_rows(
    ("resource", "changed"),
    [
        (_ordered("2026-11-20T12:00:01Z"), {"status": "active"}),
        (_ordered("2026-11-20T12:00:00Z"), {"status": "completed"}),
        (_ordered("2026-11-20T12:00:01Z", "completed"), {"status": "active"}),
        (_ordered("2026-11-20T11:00:00Z", "active"), {"status": "completed"}),
        (_ordered("2026-11-20T12:00:01Z", "on-hold"), {}),
        (_ordered(None), {}),
        (
            encounter(None, "finished", patient=None, period={"start": "a", "end": "2026-11-20T12:00:01Z"}),
            {"status": "in-progress", "period": {"start": "a"}},
        ),
        (encounter(None, "finished", patient=None, period={"end": "2026-11-20T12:00:00Z"}), {}),
        (encounter(None, "finished", patient=None, period={"end": 7}), {}),
        (encounter(None, "finished", patient=None), {}),
        ({"resourceType": "Condition", "status": "stopped", "period": {"end": "2026-11-20T12:00:01Z"}}, {}),
    ],
)
def test_what_had_not_ended_by_then_was_going_on(resource: Json, changed: Json) -> None:
    assert _as_it_was(resource, NOON) == resource | changed


# What differs


def test_every_place_where_two_answers_differ_is_named() -> None:
    recorded = {"a": 1, "b": [1, 2], "c": {"d": None}, "e": "x"}
    replayed = {"a": 1, "b": [1, 3, 4], "c": {"d": 0}, "f": "y"}
    assert list(differences_in("", recorded, replayed)) == [
        Difference("b[1]", 2, 3),
        Difference("b[2]", None, 4),
        Difference("c.d", None, 0),
        Difference("e", "x", None),
        Difference("f", None, "y"),
    ]
    assert list(differences_in("scores", {"a": 1}, [1])) == [Difference("scores", {"a": 1}, [1])]
    assert list(differences_in("scores", [1], [])) == [Difference("scores[0]", 1, None)]
    assert list(differences_in("x", 1.0, 1.0)) == []


def test_a_difference_is_said_with_both_values_shortened() -> None:
    assert Difference("a", None, {"b": 1}).words == 'a: recorded nothing, replayed {"b":1}'
    assert _short("x" * 160) == "x" * 160
    assert _short("x" * 161) == "x" * 160 + "…"


# Candidates


def test_a_report_counts_changes_by_service_card_and_group_with_few_examples() -> None:
    report = ChangeReport()
    report.take(NotReplayed("x"))
    for number in range(12):
        report.take(Change(f"d{number}", "s", "g", more=("a", "b"), fewer=("c",)))
    report.take(Change("other", "s", "h", is_other=True))
    assert (report.decisions, report.not_replayed) == (13, 1)
    assert report.by_service == {"s": {"decisions": 13, "more": 24, "fewer": 12, "other": 1}}
    assert report.by_group == {
        "g": {"decisions": 12, "more": 24, "fewer": 12, "other": 0},
        "h": {"decisions": 1, "more": 0, "fewer": 0, "other": 1},
    }
    assert report.by_card == {"a": {"more": 12}, "b": {"more": 12}, "c": {"fewer": 12}}
    assert report.examples["other s"] == ["other"]
    kept = len(report.examples["more a"])
    assert report.examples["more a"] == [f"d{number}" for number in range(kept)]
    assert kept == 5


# What was another when a decision was made, in sentences, and what a replay at a site of its own settings has.


DAY, NEXT = datetime(2026, 11, 20, 23, 59, tzinfo=UTC), datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
THEN: Content = {
    "model": {"m": "1", "other": "1"}, "rule": {"r": "a", "s": "a"}, "setting": {"CDS_ALERT_SHARE": 0.1},
    "knowledge": {"b.csv": "1", "a.csv": "1", "c.csv": "1"}, "code": {"cards": "1"}, "site": {"quiet": "1"},
    "release": {"model m": "shadow"},
}  # fmt: skip


def test_of_models_and_rules_those_that_the_decision_mentions_are_causes() -> None:
    now: Content = {
        "model": {"m": "2", "other": "2"}, "rule": {"r": "b"}, "setting": {},
        "knowledge": {"b.csv": "2", "a.csv": "2", "c.csv": "1"}, "code": {"cards": "2", "fhir": "1"},
        "site": {"quiet": "2"}, "release": {"model m": "live"},
    }  # fmt: skip
    assert causes(THEN, now, ("m", "s"), NEXT, DAY) == (
        "day: recorded as of 2026-11-21, replayed as of 2026-11-20", "model m: was 1, is 2",
        "rule s: was a, is not there", "rules file quiet: was 1, is 2", "release of model m: was shadow, is live",
        "setting CDS_ALERT_SHARE: was 0.1, is not set", "knowledge changed: a.csv, b.csv", "code changed: cards, fhir",
    )  # fmt: skip


def test_rules_that_are_tried_are_as_if_nobody_had_ever_said_anything_of_them() -> None:
    states: dict[tuple[str, str], Any] = {("rule", "r"): "s1", ("rule", "q"): "s2", ("model", "r"): "s3"}
    released = Released(states=states)
    found: Any = _without_rules(released, {"r"})
    assert found.states == {("rule", "q"): "s2", ("model", "r"): "s3"}


# What two sites are compared by: the group of the patient, and what each card is about.


def basis(features: Json | None = None, scores: Json | None = None, silence: Any = ()) -> Basis:
    """What a decision recorded of itself."""
    values = {name: [value, "", ""] for name, value in (features or {}).items()}
    document = {"as_of": "2026-11-20T09:00:00Z", "features": values, "scores": scores, "silence": list(silence)}
    return read_basis(msgspec.json.encode(document))


@for_rows(
    ("features", "patient", "group"),
    [
        ({"age_years": 39.0, "sex_male": 1.0}, None, "male, 18 to 39"),
        ({"age_years": 75.0, "sex_male": 0.0}, Patient(gender="male"), "female, 75 and over"),
        ({"age_years": 75.0}, None, "not known"),
        ({"sex_male": 0.0}, None, "not known"),
        ({"age_years": 75.0}, Patient(gender="male", birthDate="1980-01-01"), "male, 40 to 64"),
        ({}, Patient(gender="female"), "not known"),
        ({}, None, "not known"),
    ],
)
def test_the_group_is_that_of_the_values_else_of_the_patient(
    features: Json, patient: Patient | None, group: str
) -> None:
    assert _group(Replayed(a_decision(), basis(features), patient=patient)) == group
