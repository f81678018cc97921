"""The page of the worklist follows the record, and what people do to its findings is recorded and undone."""

import re
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from cds_hooks.evidence.storage.decision import Decision, new_decision_id
from cds_hooks.people.pages.worklist.views import finding_digest
from tests.cds_hooks.call.services.equation_calls import NOW
from tests.cds_hooks.calls import client
from tests.cds_hooks.evidence.storage.samples import store
from tests.cds_hooks.people.access.browsing import BROWSER, entries, form_token, visit, with_account
from tests.cds_hooks.people.worklist.test_worklist import decision
from tests.live import record_in


def a_row(patient: str, tests: tuple[str, ...] = ("Lipid panel",), days: float = 10, **more: object) -> Decision:
    """A decision with an id of its own."""
    made = decision(patient, tests, days, **more)  # type: ignore[arg-type]
    return msgspec.structs.replace(made, id=new_decision_id())


def keep(folder: Path, *decisions: Decision) -> None:
    """Puts decisions into the record of a folder."""
    store(record_in(folder), *decisions)


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


async def test_the_page_says_what_an_estimate_is_of_and_never_that_it_is_higher_than_everybodys(tmp_path: Path) -> None:
    keep(tmp_path, a_row("ann", percentile=99.8))
    async with client(tmp_path, as_of=NOW) as calls:
        page = (await calls.get("/worklist", headers=BROWSER)).text
    assert "higher than for 99 in 100 people" in page
    assert "100 in 100" not in page
    assert ">Death within 5 years, adults of 40 and over</a>" in page
    assert "Why this was found" in page


FINDING = finding_digest("Lipid panel")


async def test_what_was_done_is_named_on_the_page_that_follows(tmp_path: Path) -> None:
    ann = a_row("ann")
    keep(tmp_path, ann, a_row("ben"))
    until = NOW + timedelta(days=7)
    async with client(tmp_path, as_of=NOW) as calls:
        calls.headers.update(BROWSER)
        form = {"decision": ann.id, "finding": FINDING, "act": "snooze", "days": "7", "client": "ehr", "start": "50"}
        answer = await calls.post("/worklist", data=form)
        address = f"worklist?client=ehr&start=50&did={FINDING}#list"
        assert (answer.status_code, answer.headers["location"]) == (303, address)
        done = f"Lipid panel: off the list until {until.date()}"
        for query, is_named in ((f"?did={FINDING}", True), (f"?did={'0' * 16}", False), ("", False)):
            page = (await calls.get(f"/worklist{query}")).text
            assert (done in re.sub("<[^>]*>", "", page)) is is_named
            assert "Put back: Lipid panel, patient ann" in page
    ((actor, detail),) = entries(tmp_path, "worklist-act")
    assert actor == "anyone"
    assert detail == {"decision": ann.id, "finding": FINDING, "act": "snooze", "until": until.timestamp()}


@pytest.mark.parametrize("days", ["-7", "2", "", "x"])
async def test_a_finding_rests_for_one_seven_or_thirty_days(tmp_path: Path, days: str) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        form = {"decision": new_decision_id(), "finding": FINDING, "act": "snooze", "days": days}
        answer = await calls.post("/worklist", data=form, headers=BROWSER)
    assert answer.status_code == 400
    assert re.search("an entry is snoozed for 1, 7 or 30 days|days: must be a whole number", answer.text)
    assert "Nothing was changed. Open the page again" in answer.text


@pytest.mark.parametrize(
    "wrong", [{"finding": "a" * 15}, {"finding": "a" * 17}, {"finding": "A" * 16}, {"decision": "x"}]
)
async def test_a_form_names_a_finding_by_sixteen_hexadecimal_digits(tmp_path: Path, wrong: dict[str, str]) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        form = {"decision": new_decision_id(), "finding": FINDING, "act": "done", **wrong}
        answer = await calls.post("/worklist", data=form, headers=BROWSER)
    assert (answer.status_code, f"{next(iter(wrong))}: " in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("client", "c" * 201),
        ("what", "w" * 101),
        ("kind", "other"),
        ("start", "1000001"),
        ("start", "²"),
        ("start", "-1000001"),
    ],
)
async def test_a_wrong_field_of_an_address_is_named_and_not_repeated(tmp_path: Path, name: str, text: str) -> None:
    async with client(tmp_path) as calls:
        answer = await calls.get("/worklist", params={name: text}, headers={"accept": "text/html"})
    assert (answer.status_code, f"{name}: " in answer.text, text in answer.text) == (400, True, False)


async def test_a_page_shows_fifty_patients_and_the_last_page_where_the_address_is_beyond_it(tmp_path: Path) -> None:
    keep(tmp_path, *(a_row(f"p{number:03}", days=1 + number / 100) for number in range(51)))
    async with client(tmp_path, as_of=NOW) as calls:
        shown = [
            (await calls.get(f"/worklist?start={start}")).text.count("Lipid panel") for start in (0, 49, 50, 51, 500)
        ]
    assert [count / shown[-1] for count in shown] == [50, 2, 1, 1, 1]
