"""Reports for machines."""

from typing import Any

import pytest
from rich.console import Console

from cds_hooks.kit.contract.document import Fault, Level, Subject
from cds_hooks.kit.contract.registry import Check, rows
from cds_hooks.kit.contract.report import Outcome, Report, print_report, report_document
from tests.cds_hooks.kit.contract.conftest import Run
from tests.each import for_rows


@pytest.mark.slow
def test_json_says_how_much_of_the_checklist_was_seen(run: Run) -> None:
    document = report_document(run())
    coverage = document["coverage"]
    assert coverage["rowsThatBindAService"] == 157
    assert coverage["visibleFromOutside"] == coverage["withACheck"] == 134
    assert coverage["held"] + coverage["failed"] + coverage["advice"] + coverage["not_seen"] == 134
    unseen = [row for row in document["rows"] if row["result"] == "not visible"]
    assert len(unseen) == 157 - 134
    assert all(row["reason"] for row in unseen)


# A report of five checks, worked out by hand: its findings and rows, the JSON and what is printed.


def _check(name: str, row_ids: tuple[str, ...], level: Level = "must", group: str = "cards") -> Check:
    return Check(name, row_ids, level, Subject.CARD, lambda _: iter(()), f"advice on {name}", group)


FAULTS = [
    Fault("too long", "cards[0].summary", "POST /a"), Fault("empty", "cards[1].summary"),
    Fault("none", request="POST /b"), Fault("bad\x00 \x1b[1msign\nnext"), Fault("5"), Fault("6"),
    Fault("a word", "cards[0].indicator", row="CARD-08"),
]  # fmt: skip
FAILED = Outcome(_check("a_summary_is_short", ("CARD-03", "CARD-01")), FAULTS, judged=9, seconds=1.23456)
ADVISED = Outcome(_check("charset_is_utf8", ("GEN-11",), "should", "general"), [Fault("latin1", "header")], judged=2)
HELD = Outcome(_check("a_card_has_a_source", ("CARD-10",)), judged=4, seconds=0.0004)
UNSEEN = Outcome(_check("a_link_has_a_label", ("CARD-12",)), reasons=["no card has links", "later"])
NEVER = Outcome(_check("a_link_has_a_type", ("CARD-14",)))
REPORT = Report("https://cds.example.org", [HELD, ADVISED, FAILED, UNSEEN, NEVER], 17, 2.3456)


@for_rows(
    ("outcomes", "more", "code"),
    [
        ([HELD], {}, 0), ([ADVISED], {}, 0), ([FAILED], {}, 1), ([FAILED], {"cut_short": "time"}, 1),
        ([HELD], {"cut_short": "time"}, 2), ([FAILED], {"stopped": "no answer"}, 2),
    ],
)  # fmt: skip
def test_the_exit_code(outcomes: list[Outcome], more: dict[str, Any], code: int) -> None:
    assert Report("x", outcomes, **more).exit_code == code


def test_the_document() -> None:
    document = report_document(REPORT)
    assert {name: document[name] for name in document if name not in ("coverage", "rows", "findings")} == {
        "subject": "https://cds.example.org", "dialect": "standard", "requests": 17, "seconds": 2.346, "exitCode": 1,
        "mustsFailed": 2, "shouldsFailed": 1, "checks": 5,
        "tests": [{"check": "a_card_has_a_source", "row": "CARD-10", "result": "held", "seconds": 0.0},
                  {"check": "charset_is_utf8", "row": "GEN-11", "result": "advice", "seconds": 0.0},
                  {"check": "a_summary_is_short", "row": "CARD-03", "result": "failed", "seconds": 1.235},
                  {"check": "a_link_has_a_label", "row": "CARD-12", "result": "not seen", "seconds": 0.0,
                   "reason": "no card has links"},
                  {"check": "a_link_has_a_type", "row": "CARD-14", "result": "not seen", "seconds": 0.0,
                   "reason": f"no {Subject.CARD.value} was seen"}],
    }  # fmt: skip
    first = document["findings"][0]
    assert {name: first[name] for name in first if name != "places"} == {
        "row": "CARD-03", "level": "must", "check": "a_summary_is_short", "statement": rows()["CARD-03"].statement,
        "advice": "advice on a_summary_is_short", "times": 6,
    }  # fmt: skip
    assert first["places"][:3] == [
        {"found": "too long", "where": "cards[0].summary", "request": "POST /a"},
        {"found": "empty", "where": "cards[1].summary"},
        {"found": "none", "request": "POST /b"},
    ]
    assert [row for row in document["rows"] if row["row"] == "CARD-01"] == [
        {"row": "CARD-01", "section": document["rows"][0]["section"], "strength": rows()["CARD-01"].strength,
         "bindsService": True, "statement": rows()["CARD-01"].statement, "result": "not seen",
         "reason": "its check found faults of CARD-03"} | {"section": "Card"},
    ]  # fmt: skip
    ended = report_document(Report("x", [], stopped="no answer", cut_short="time"))
    assert (ended["stopped"], ended["cutShort"], ended["exitCode"]) == ("no answer", "time", 2)


# Printed


def _printed(report: Report, **more: Any) -> str:
    console = Console(width=300, color_system=None, force_terminal=False)
    with console.capture() as capture:
        print_report(console, report, **more)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def test_three_faults_are_shown_without_how_often() -> None:
    few = Outcome(FAILED.check, FAULTS[:3], judged=1)
    assert "times in all" not in _printed(Report("x", [few]))
    four = Outcome(FAILED.check, FAULTS[:4], judged=1)
    assert "… 4 times in all" in _printed(Report("x", [four]))


def test_every_row_that_was_not_judged_is_listed_with_its_reason() -> None:
    lines = [line.split("  ") for line in _printed(REPORT, every_row=True).splitlines()]
    listed = {line[0].strip() or line[1].strip() for line in lines if len(line) > 1}
    assert {"CARD-01", "CARD-12", "CARD-14"} <= listed


def test_what_ended_early_and_what_are_documents_say_so() -> None:
    assert _printed(Report("x", [], stopped="no answer")) == "no answer"
    last = _printed(Report("file.json", [HELD], cut_short="time is over")).splitlines()[-4:]
    assert last[:2] == ["Not complete: time is over.", "file.json: 1 checks of documents, dialect standard"]
    assert last[3] == "every must that was seen holds, 0 pieces of advice"
