"""The page of the worklist follows the record, and what people do to its findings is recorded and undone."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import orjson
import pytest

from cards.extension import EXTENSION_KEY, RestingFinding, WorklistEntry
from cds_hooks.pages.record_counts import CountKeeper
from cds_hooks.pages.worklist.views import (
    DONE_DAYS,
    Filter,
    FindingLine,
    PatientLine,
    Work,
    WorklistKeeper,
    _findings,
    finding_digest,
    make_lists,
    record_act,
)
from cds_hooks.record_views import open_follower
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import Decision, RecordUnavailable, new_decision_id
from cds_hooks.worklist.worklist import WorklistRow
from tests.cds_hooks.access.browsing import BROWSER, entries, form_token, visit, with_account
from tests.cds_hooks.calls import client
from tests.cds_hooks.pages.given import kept_values
from tests.cds_hooks.pages.tester.test_orders import behind_a_trust_file
from tests.cds_hooks.services.equation_calls import NOW
from tests.cds_hooks.storage.samples import store
from tests.cds_hooks.worklist.test_worklist import decision
from tests.each import for_rows
from tests.live import record_in

DAY = 86_400.0


def a_row(patient: str, tests: tuple[str, ...] = ("Lipid panel",), days: float = 10, **more: object) -> Decision:
    """A decision with an id of its own."""
    made = decision(patient, tests, days, **more)  # type: ignore[arg-type]
    return msgspec.structs.replace(made, id=new_decision_id())


def keep(folder: Path, *decisions: Decision) -> None:
    """Puts decisions into the record of a folder."""
    store(record_in(folder), *decisions)


def keeper_of(folder: Path) -> WorklistKeeper:
    """A keeper at NOW."""
    url = record_in(folder)
    return WorklistKeeper(open_follower(Settings(database_url=url, as_of=NOW)), lambda: NOW)


def waiting(keeper: WorklistKeeper, wanted: Filter | None = None, now: float = NOW.timestamp()) -> list[str]:
    """Patient and finding of each line of the list."""
    keeper._follower.catch_up()
    lines = make_lists(keeper, wanted or Filter(), now).waiting
    return [f"{line.row.patient}: {one.text}" for line in lines for one in line.findings]


def test_the_page_has_the_newest_word_of_each_service_and_follows_the_record(tmp_path: Path) -> None:
    keep(tmp_path, a_row("ann"), a_row("ben", ("Blood count",), percentile=80.0))
    keeper = keeper_of(tmp_path)
    assert waiting(keeper) == ["ben: Blood count", "ann: Lipid panel"]
    keep(tmp_path, a_row("ann", (), days=1), a_row("cy", days=1))
    assert waiting(keeper) == ["ben: Blood count", "cy: Lipid panel"]
    keep(tmp_path, a_row("ben", days=0.5, service="another", reason="palliative"))
    assert waiting(keeper) == ["cy: Lipid panel"]


def test_calls_of_more_than_ninety_days_ago_are_left_out(tmp_path: Path) -> None:
    keep(tmp_path, a_row("ann", days=91), a_row("ben", days=89))
    assert waiting(keeper_of(tmp_path)) == ["ben: Lipid panel"]


def test_a_finding_that_is_done_or_snoozed_is_off_the_list_until_its_day_or_until_it_is_put_back(
    tmp_path: Path,
) -> None:
    first, second = a_row("ann"), a_row("ben")
    keep(tmp_path, first, second)
    keeper, url, at = keeper_of(tmp_path), record_in(tmp_path), NOW.timestamp()
    digest = finding_digest("Lipid panel")
    record_act(url, "account cleo", first.id, digest, "done", at)
    record_act(url, "account cleo", second.id, digest, "snooze", at, 7)
    assert waiting(keeper) == []
    assert waiting(keeper, now=at + 7 * DAY) == ["ben: Lipid panel"]
    assert len(waiting(keeper, now=at + DONE_DAYS * DAY)) == 2
    record_act(url, "account cleo", first.id, digest, "back", at)
    assert waiting(keeper) == ["ann: Lipid panel"]
    assert waiting(keeper_of(tmp_path)) == ["ann: Lipid panel"], "after a restart, too"


@for_rows(("act", "days"), [("snooze", 0), ("snooze", 3650), ("delete", 0), ("", 0)])
def test_there_is_no_other_act(act: str, days: int) -> None:
    with pytest.raises(ValueError, match=r"1, 7 or 30|'done', 'snooze' or 'back'"):
        Work(decision=new_decision_id(), finding="0" * 16, act=cast("Any", act), days=days)


def test_the_filters_narrow_the_list(tmp_path: Path) -> None:
    keep(tmp_path, a_row("ann"), a_row("ben", ("Blood count",)))
    keeper = keeper_of(tmp_path)
    assert waiting(keeper, Filter(what="BLOOD")) == ["ben: Blood count"]
    assert waiting(keeper, Filter(client="ehr", kind="missing")) != []
    assert waiting(keeper, Filter(client="other")) == []
    assert waiting(keeper, Filter(kind="said")) == []


def test_a_record_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/nowhere.sqlite3"
    with pytest.raises(RecordUnavailable):
        CountKeeper(url, open_follower(Settings(database_url=url))).counted()


async def test_a_form_without_the_token_or_for_nothing_on_the_list_changes_nothing(tmp_path: Path) -> None:
    with_account(tmp_path, "cleo", "clinician")
    async with visit(tmp_path, as_of=NOW) as person:
        await person.log_in("cleo")
        token = form_token(await person.open("/worklist"))
        known = {"decision": new_decision_id(), "finding": "0" * 16, "act": "done"}
        assert (await person.send("/worklist", **known)).status_code == 403
        for wrong in ({"decision": "x"}, {"finding": "'; DROP"}, {"finding": "z" * 16}, {"act": "delete"}):
            answer = await person.send("/worklist", form_token=token, **{**known, **wrong})
            assert answer.status_code == 400, wrong
            assert "Nothing was changed" in answer.text
        assert entries(tmp_path, "worklist-act") == []
        answer = await person.send("/worklist", form_token=token, **known)
        assert answer.status_code == 303
        assert re.match(r"worklist\?did=0{16}#list", answer.headers["location"])
    assert [actor for actor, _ in entries(tmp_path, "worklist-act")] == ["account cleo"]


async def test_behind_a_trust_file_without_a_login_only_the_operator_sees_the_list(tmp_path: Path) -> None:
    settings = behind_a_trust_file(tmp_path)
    async with client(tmp_path, **settings) as calls:
        for path in ("/worklist", "/worklist/list.csv"):
            assert (await calls.get(path, headers=BROWSER)).status_code == 403
        assert (await calls.post("/worklist", headers=BROWSER, data={"act": "done"})).status_code == 403
        calls.headers["authorization"] = f"Bearer {settings['operator_token']}"
        assert (await calls.get("/worklist", headers=BROWSER)).status_code == 200
    assert entries(tmp_path, "page-view") == [("operator", {"page": "/worklist"})]


async def test_the_page_says_what_an_estimate_is_of_and_never_that_it_is_higher_than_everybodys(tmp_path: Path) -> None:
    keep(tmp_path, a_row("ann", percentile=99.8))
    async with client(tmp_path, as_of=NOW) as calls:
        page = (await calls.get("/worklist", headers=BROWSER)).text
    assert "higher than for 99 in 100 people" in page
    assert "100 in 100" not in page
    assert ">Death within 5 years, adults of 40 and over</a>" in page
    assert "Why this was found" in page


FINDING = finding_digest("Lipid panel")


@asynccontextmanager
async def _opened(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, Any]]]:
    with kept_values(patch) as values:
        async with client(folder, as_of=NOW) as calls:
            calls.headers.update(BROWSER)
            yield calls, values


async def test_an_empty_list_begins_at_its_first_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _opened(tmp_path, monkeypatch) as (calls, values):
        await calls.get("/worklist?start=50")
    assert (values["start"], values["shown"], values["did"]) == (0, (), None)
    assert (values["snoozes"], values["now"]) == ((1, 7, 30), f"{NOW:%Y-%m-%d %H:%M} UTC")
    assert values["title_of"]("mortality_5y") == "Death within 5 years, adults of 40 and over"
    assert values["title_of"]("none") == "none"


async def test_what_was_done_is_named_on_the_page_that_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = a_row("ann")
    keep(tmp_path, ann, a_row("ben"))
    async with _opened(tmp_path, monkeypatch) as (calls, values):
        form = {"decision": ann.id, "finding": FINDING, "act": "snooze", "days": "7", "client": "ehr", "start": "50"}
        answer = await calls.post("/worklist", data=form)
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"worklist?client=ehr&start=50&did={FINDING}#list",
        )
        await calls.get(f"/worklist?did={FINDING}")
        assert (values["did"].text, values["did"].until) == ("Lipid panel", f"{(NOW + timedelta(days=7)).date()}")
        assert [line.row.patient for line in values["lists"].off] == ["ann"]
        await calls.get(f"/worklist?did={'0' * 16}")
        assert values["did"] is None
        await calls.get("/worklist")
        assert values["did"] is None
    ((actor, detail),) = entries(tmp_path, "worklist-act")
    assert actor == "anyone"
    assert detail == {"decision": ann.id, "finding": FINDING, "act": "snooze", "until": NOW.timestamp() + 7 * 86_400}


@pytest.mark.parametrize("days", ["-7", "2", "", "x"])
async def test_a_finding_rests_for_one_seven_or_thirty_days(tmp_path: Path, days: str) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        form = {"decision": new_decision_id(), "finding": FINDING, "act": "snooze", "days": days}
        answer = await calls.post("/worklist", data=form, headers=BROWSER)
    assert answer.status_code == 400
    assert re.search("an entry is snoozed for 1, 7 or 30 days|days: Input should be a valid integer", answer.text)
    assert "Nothing was changed. Open the page again" in answer.text


@pytest.mark.parametrize(
    "wrong", [{"finding": "a" * 15}, {"finding": "a" * 17}, {"finding": "A" * 16}, {"decision": "x"}]
)
async def test_a_form_names_a_finding_by_sixteen_hexadecimal_digits(tmp_path: Path, wrong: dict[str, str]) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        form = {"decision": new_decision_id(), "finding": FINDING, "act": "done", **wrong}
        answer = await calls.post("/worklist", data=form, headers=BROWSER)
    assert (answer.status_code, f"{next(iter(wrong))}: " in answer.text) == (400, True)


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
    row = WorklistRow("ehr", "ann", entries, risk, "", days, (), (SHOWN,))
    return PatientLine(1, row, tuple(_findings(row)))


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
