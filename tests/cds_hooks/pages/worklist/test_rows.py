"""How the worklist is laid out: every line of a patient in words, the filters, what was taken off, and the file."""

from datetime import timedelta
from pathlib import Path

import msgspec
import orjson
import pytest

from cards.extension import EXTENSION_KEY, RestingFinding, WorklistEntry
from cds_hooks.pages.worklist.views import (
    DONE_DAYS,
    Filter,
    FindingLine,
    PatientLine,
    finding_digest,
    make_lists,
    record_act,
)
from cds_hooks.storage.decision import Decision
from cds_hooks.worklist.worklist import WorklistRow
from tests.cds_hooks.calls import client
from tests.cds_hooks.pages.worklist.test_worklist_page import DAY, a_row, keep, keeper_of
from tests.cds_hooks.services.equation_calls import NOW
from tests.live import record_in

SHOWN = RestingFinding("Stop metformin", "shown", "2026-11-01T10:00:00Z", "2026-12-01T10:00:00Z")
MISSING = FindingLine("Lipid panel", "Missing for PREVENT base equations; found outside a visit", "missing")
SAID = FindingLine("Stop metformin", "Shown on 2026-11-01 and not answered; not shown again before 2026-12-01", "said")


def shown_before(decision: Decision, finding: RestingFinding = SHOWN) -> Decision:
    """The decision with something that was said before."""
    answer = orjson.loads(decision.response)
    answer["extension"][EXTENSION_KEY]["resting"] = [msgspec.to_builtins(finding)]
    return msgspec.structs.replace(decision, response=orjson.dumps(answer))


def a_line(days: float = 10, *entries: WorklistEntry, risk: float | None = None) -> PatientLine:
    """The line of a patient about whom the last call was so many days ago."""
    return PatientLine(1, WorklistRow("ehr", "ann", entries, risk, "", days, (), (SHOWN,)))


def test_findings_say_why_they_are_there() -> None:
    entries = [
        WorklistEntry(test="Flu vaccine", purpose="vaccines", because="offered-before"),
        WorklistEntry(test="Blood count", purpose="vaccines", because="from-event"),
        WorklistEntry(test="Urine test", purpose="vaccines", because="another-reason"),
    ]
    assert a_line(10, *entries).findings == (
        FindingLine("Flu vaccine", "Due; another reminder was shown first", "missing"),
        FindingLine("Blood count", "Due; found when a new result or visit arrived", "missing"),
        FindingLine("Urine test", "Due; another-reason", "missing"),
        SAID,
    )
    assert PatientLine(1, a_line().row, ()).findings == ()


def test_an_estimate_is_higher_than_1_to_99_in_100() -> None:
    assert [a_line(risk=risk).higher_than for risk in (None, 0.0, 0.5, 0.999)] == [None, 1, 50, 99]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("client", "c" * 201),
        ("what", "w" * 101),
        ("kind", "other"),
        ("start", "1000001"),
        ("start", "²"),
        ("start", "-707"),
    ],
)
async def test_a_wrong_field_of_an_address_is_named_and_not_repeated(tmp_path: Path, name: str, text: str) -> None:
    async with client(tmp_path) as calls:
        answer = await calls.get("/worklist", params={name: text}, headers={"accept": "text/html"})
    assert (answer.status_code, f"{name}: " in answer.text, text in answer.text) == (400, True, False)


def test_the_lists_of_patients_whose_findings_fit_and_of_what_was_taken_off(tmp_path: Path) -> None:
    ann, ben = shown_before(a_row("ann")), a_row("ben", ("Blood count",))
    cy = msgspec.structs.replace(a_row("cy", days=5), client="clinic")
    keep(tmp_path, ann, ben, cy)
    keeper, at = keeper_of(tmp_path), NOW.timestamp()
    record_act(record_in(tmp_path), "account cleo", ann.id, finding_digest("Lipid panel"), "done", at)
    record_act(record_in(tmp_path), "account cleo", cy.id, finding_digest("Lipid panel"), "snooze", at, 7)
    keeper._follower.catch_up()

    def lines(wanted: Filter, now: float = at) -> tuple[list[tuple[int, str, list[str]]], ...]:
        lists = make_lists(keeper, wanted, now)
        assert lists.clients == ("clinic", "ehr")
        return tuple(
            sorted((line.rank, line.row.patient, [one.text for one in line.findings]) for line in listed)
            for listed in (lists.waiting, lists.off)
        )

    waiting, off = lines(Filter())
    assert sorted(line[1:] for line in waiting) == [("ann", ["Stop metformin"]), ("ben", ["Blood count"])]
    assert sorted(line[1:] for line in off) == [("ann", ["Lipid panel"]), ("cy", ["Lipid panel"])]
    assert [line[0] for line in waiting] == [line[0] for line in off] == [1, 2]
    assert lines(Filter(client="ehr", what="metFORMIN")) == ([(1, "ann", ["Stop metformin"])], [])
    assert lines(Filter(client="clinic")) == ([], [(1, "cy", ["Lipid panel"])])
    assert lines(Filter(what="outside a visit", client="ehr")) == (
        [(1, "ben", ["Blood count"])],
        [(1, "ann", ["Lipid panel"])],
    )
    assert lines(Filter(kind="said")) == ([(1, "ann", ["Stop metformin"])], [])
    assert lines(Filter(kind="missing"))[0] == [(1, "ben", ["Blood count"])]
    assert lines(Filter(client="clinic"), at + 7 * DAY) == ([(1, "cy", ["Lipid panel"])], [])
    lists = make_lists(keeper, Filter(client="ehr"), at)
    finding = lists.finding(finding_digest("Lipid panel"))
    assert finding is not None
    assert finding.why == MISSING.why
    done_until = (NOW + timedelta(days=DONE_DAYS)).date().isoformat()
    assert (finding.acted, finding.until) == (NOW.date().isoformat(), done_until)
    assert (finding.act and finding.act.by, lists.finding("0" * 16)) == ("account cleo", None)
    assert (MISSING.acted, MISSING.until) == ("", "")


async def test_a_page_shows_fifty_patients_and_the_last_page_where_the_address_is_beyond_it(tmp_path: Path) -> None:
    keep(tmp_path, *(a_row(f"p{number:03}", days=1 + number / 100) for number in range(51)))
    async with client(tmp_path, as_of=NOW) as calls:
        shown = [
            (await calls.get(f"/worklist?start={start}")).text.count("Lipid panel") for start in (0, 49, 50, 51, 500)
        ]
    assert [count / shown[-1] for count in shown] == [50, 2, 1, 1, 1]
