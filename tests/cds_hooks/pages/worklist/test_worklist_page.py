"""The page of the worklist follows the record, and what people do to its findings is recorded and undone."""

import re
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from cds_hooks.pages.kept_run import CountKeeper
from cds_hooks.pages.worklist.views import (
    DONE_DAYS,
    Filter,
    Work,
    WorklistKeeper,
    finding_digest,
    make_lists,
    record_act,
)
from cds_hooks.record_views import open_follower
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import Decision, RecordUnavailable, new_decision_id
from tests.cds_hooks.access.browsing import BROWSER, entries, form_token, visit, with_account
from tests.cds_hooks.calls import client
from tests.cds_hooks.pages.tester.test_access import _behind_a_trust_file
from tests.cds_hooks.services.equation_calls import NOW
from tests.cds_hooks.storage.samples import store
from tests.cds_hooks.worklist.test_worklist import decision
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


@pytest.mark.parametrize(("act", "days"), [("snooze", 0), ("snooze", 3650), ("delete", 0), ("", 0)])
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
    settings = _behind_a_trust_file(tmp_path)
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
