"""The form of the list of decisions: what is taken, what is refused in which words, and what each row says."""

from typing import Any

import orjson
import pytest

from cds_hooks.hold_back.checks import SUPPRESSED
from cds_hooks.metrics.page import _parent_of, workers_of
from cds_hooks.pages.decisions.search import IN_FORM, Asked, Listing, _microseconds, _row, file_rows, read_asked
from cds_hooks.storage.queries import DecisionFilter
from tests.cds_hooks.storage.samples import a_decision

NINE = 1_795_165_200_000_000
NO_TIME = "Write a day as 2026-11-20, or a time (UTC) as 2026-11-20 09:14."


@pytest.mark.parametrize(
    ("form", "faults"),
    [
        ({}, {}),
        ({"client": "x" * 200}, {}),
        ({"client": "x" * 201, "since": "y" * 201}, dict.fromkeys(("client", "since"), "Longer than 200 characters.")),
        ({"since": "yesterday", "until": "2026-13-01"}, {"since": NO_TIME, "until": NO_TIME}),
        ({"until": "9999-12-31"}, {"until": NO_TIME}),
        ({"since": "2026-11-20 09:14", "until": "2026-11-20"}, {}),
        ({"outcome": "other", "severity": "grave", "answer": "maybe"}, {
            "outcome": "There is no such outcome.", "severity": "There is no such severity.",
            "answer": "There is no such answer.",
        }),
        ({"outcome": "cards", "severity": "info", "answer": "accepted"}, {}),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_read_says_why(form: dict[str, str], faults: dict[str, str]) -> None:
    asked = read_asked(form)
    assert (dict(asked.faults), asked.get("client")) == (faults, form.get("client", ""))
    assert list(asked.fields) == list(IN_FORM)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("5.7", (5, 7)), ("", None), ("5", None), ("5.", None), (".7", None), ("a.7", None), ("5.b", None),
        (f"{'1' * 33}.7", (int("1" * 33), 7)), (f"{'1' * 34}.7", None),
    ],
)  # fmt: skip
def test_a_list_goes_on_from_a_place_alone(text: str, place: Any) -> None:
    asked = read_asked({"before": text})
    assert (asked.before, dict(asked.faults)) == (place, {})


def test_what_is_of_a_patient_stands_in_no_address() -> None:
    asked = read_asked({"service": " planning ", "since": "2026-11-20", "before": "5.7", "rule": ""})
    assert asked.address == "service=planning&since=2026-11-20"
    assert asked.is_restricted
    assert not read_asked({}).is_restricted
    for name in ("patient", "hook_instance", "card"):
        assert read_asked({"service": "planning", name: "x"}).address == ""


def test_the_form_is_a_filter() -> None:
    form = {name: f"of {name}" for name in IN_FORM} | {"since": "2026-11-20", "until": "2026-11-20"}
    asked = Asked(form | {"patient": "Patient/p1"})
    assert asked.wanted == DecisionFilter(
        service="of service", outcome="of outcome", client="of client", patient="p1",
        since=NINE - 9 * 3_600_000_000, until=NINE + 15 * 3_600_000_000, rule="of rule", held_back=SUPPRESSED,
        hook_instance="of hook_instance", reason="of reason", severity="of severity", answer="of answer",
        override="of override",
    )  # fmt: skip
    assert Asked({}).wanted == DecisionFilter()


def test_a_day_in_whatever_form_ends_with_its_last_moment() -> None:
    midnight, day = NINE - 9 * 3_600_000_000, 86_400_000_000
    for text in ("2026-11-20", "20261120", "2026-W47-5"):
        assert [_microseconds(text, is_end=is_end) for is_end in (False, True)] == [midnight, midnight + day], text
    for text in ("2026-11-20 09", "2026-11-20T10:00+01:00"):
        assert [_microseconds(text, is_end=is_end) for is_end in (False, True)] == [NINE, NINE], text


def a_card(summary: str, indicator: str) -> dict[str, Any]:
    return {"summary": summary, "indicator": indicator, "source": {"label": "s"}}


def row(cards: list[dict[str, Any]], silence: Any = (), outcome: str = "cards", **more: Any) -> Any:
    """What a row says: its texts, how many there are, and its mark."""
    basis = {"as_of": "2026-11-20T09:00:00Z", "silence": silence}
    given = {"response": orjson.dumps({"cards": cards}), "basis": orjson.dumps(basis), "outcome": outcome} | more
    made = _row(a_decision(**given))
    return made.texts, made.count, made.sign


def test_a_row_has_the_worst_card_first_and_three_at_most() -> None:
    cards = [a_card("a", "info"), a_card("b", "critical"), a_card("c", "warning"), a_card("d", "warning")]
    assert row(cards) == (("b", "c", "d"), 4, ("critical", "Critical"))
    assert row(cards[2:]) == (("c", "d"), 2, ("warning", "Warning"))
    assert row([a_card("x", "hard-stop")]) == (("x",), 1, ("info", "Info"))


def test_a_row_without_a_card_says_why() -> None:
    unreadable = ("The record has another form than this version reads.",)
    assert row([], basis=b"{") == (unreadable, 1, ("none", "Not readable"))
    assert row([], outcome="error", basis=b"{") == (unreadable, 1, ("critical", "Failed"))
    why = [["planning", "refused", "The chart was too large."]]
    assert row([a_card("x", "info")], why, "error") == (("The chart was too large.",), 1, ("critical", "Failed"))
    held = row([], [["planning", "budget", "Held."], ["planning", "other", "Low."], ["x", "other", "Low."]], "silent")
    assert (set(held[0]), held[1]) == ({"Held.", "Low."}, 2)
    assert held[2][1].startswith("No card: ")
    assert held[2][1] == f"No card: {held[2][1][9:].lower()}"


def test_the_file_has_a_line_for_each_card() -> None:
    cards = [a_card("a", "info") | {"uuid": "1"}, a_card("b", "info") | {"uuid": "2"}]
    decision = a_decision(decided_at=NINE, response=orjson.dumps({"cards": cards}))
    head, *lines = file_rows(Listing((_row(decision),)), lambda _: ())
    assert head == (
        "time", "decision", "service", "hook", "client", "patient", "outcome", "mark",
        "units", "card", "rules", "answer", "reason", "texts",
    )  # fmt: skip
    about = (
        "2026-11-20 09:00:00 UTC", decision.id, "planning", "patient-view", "a hospital", decision.patient,
        "cards", "Info",
    )  # fmt: skip
    assert lines == [(*about, "", "1", "", "", "", "a"), (*about, "", "2", "", "", "", "b")]


def test_the_workers_of_a_process_are_its_children_alone() -> None:
    import os

    assert _parent_of(os.getpid()) == os.getppid()
    assert _parent_of(2**30) is None
    assert workers_of(os.getppid(), [os.getpid(), 2**30, 1]) == [os.getpid()]
