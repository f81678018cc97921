"""The page of interfaces in numbers: what came of each feed, what was expected, incidents, and what each form says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cds_hooks.events.declaration import Declaration, read_declaration
from cds_hooks.events.inbox import Inbox, Incoming
from cds_hooks.events.watch.incidents import Incident
from cds_hooks.events.watch.running import EXPECTED
from cds_hooks.pages.interfaces.views import _ahead, _feeds, _incidents, _moment, _plot
from cds_hooks.services import find_services
from tests.cds_hooks.calls import client
from tests.cds_hooks.events.messages import NOW, result, run_async
from tests.cds_hooks.pages.given import kept_values
from tests.cds_hooks.pages.test_interfaces import DECLARED, PAGE

END = int(NOW // 300)
FIRST = 5_983_650
"""The step with which the first quarter of an hour of the day before NOW begins: (END - 288) down to a third one."""


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    opened = Inbox(tmp_path / "events.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def declaration(tmp_path: Path) -> Declaration:
    path = tmp_path / "events.toml"
    path.write_text(DECLARED.format(file=tmp_path / "events.sqlite3"), encoding="utf-8")
    return read_declaration(path, find_services())


def _count(inbox: Inbox, counts: Mapping[tuple[int, str], float], feed: str = "lab") -> None:
    with inbox.transaction() as connection:
        for (step, name), count in counts.items():
            connection.execute("INSERT INTO counts VALUES (?, ?, ?, ?)", (feed, step, name, count))


def _store(inbox: Inbox, *incidents: Incident) -> None:
    with inbox.transaction() as connection:
        for incident in incidents:
            row = (incident.number, incident.opened, incident.closed, msgspec.json.encode(incident))
            connection.execute("INSERT INTO incidents (number, opened, closed, content) VALUES (?, ?, ?, ?)", row)


def test_a_day_is_drawn_by_the_quarter_of_an_hour_from_nothing_to_the_most(inbox: Inbox) -> None:
    _count(inbox, {(FIRST, "messages"): 2, (FIRST + 1, "messages"): 1, (FIRST + 287, "messages"): 6})
    flat = [f"{number * 180 / 95:.1f},39.0" for number in range(96)]
    drawn = " ".join(["0.0,20.0", *flat[1:95], "180.0,1.0"])
    plot = {"came": drawn, "expected": "", "words": "9 messages, not learned yet", "width": 180.0, "height": 40.0}
    assert _plot(inbox, "lab", NOW) == plot
    _count(inbox, {(FIRST, EXPECTED): 4.0, (FIRST + 287, EXPECTED): 8.0, (FIRST + 100, "late"): 5000})
    learned = _plot(inbox, "lab", NOW)
    assert learned["words"] == "9 messages, 8 where 12 were expected"
    assert learned["expected"] == " ".join(["0.0,20.0", *flat[1:95], "180.0,1.0"])
    assert learned["came"] == " ".join(["0.0,24.8", *flat[1:95], "180.0,10.5"])
    assert _plot(inbox, "other", NOW)["came"] == " ".join(flat)


def test_a_feed_has_its_newest_message_its_dead_letters_and_the_counts_of_a_day(
    inbox: Inbox, declaration: Declaration
) -> None:
    (feed,) = _feeds(inbox, declaration, NOW)
    assert {name: feed[name] for name in ("name", "newest", "messages", "dead", "counts", "words")} == {
        "name": "lab",
        "newest": "never",
        "messages": 0,
        "dead": 0,
        "counts": {},
        "words": "0 messages, not learned yet",
    }
    inbox.take([Incoming("lab", "1", "ORU^R01", b"x", NOW - 600, fault="it was cut off")])
    day_ago = END - 288
    _count(inbox, {(day_ago, "unmapped"): 2, (day_ago - 1, "unmapped"): 7, (END - 5, "late"): 1})
    _count(inbox, {(END - 5, "latency:3"): 4, (END - 5, "state:done"): 4, (END - 5, "messages"): 4})
    (feed,) = _feeds(inbox, declaration, NOW)
    assert (feed["newest"], feed["messages"], feed["dead"]) == ("2026-11-20 13:30 UTC", 5, 1)
    assert list(feed["counts"].items()) == [("late", 1), ("unmapped", 2)]


def test_incidents_have_their_times_at_the_end_of_a_step_and_what_a_person_may_do(
    inbox: Inbox, declaration: Declaration
) -> None:
    _store(
        inbox,
        Incident("silent", ["lab"], "", "high", END - 20, END - 12, number=1, effects=["orders low", "visits low"]),
        Incident("errors", ["lab", "gone"], "", "medium", END - 9, END - 8, number=2, closed=END - 1),
        Incident("unmapped", ["lab"], "2823-3", "low", END - 7, END - 6, number=3, closed=END - 2, is_accepted=True),
        Incident("errors", ["lab", "gone"], "", "medium", END - 30, END - 24, number=4),
    )
    cut = {"effects": "", "is_accepted": False}
    silent = "Is the sender running, and does its interface engine hold messages for this server?"
    errors = "Why are messages refused? The dead letters are listed below."
    codes = "Which codes are new? Map them in the file that the feed names as codes."
    assert _incidents(inbox, declaration, {"gone"}) == [
        {
            **{"number": 1, "cause": "lab: silent", "severity": "high", "opened": "2026-11-20 12:45 UTC"},
            **{"closed": "", "effects": "orders low, visits low", "check": silent, "pause": [], "replay": []},
            "is_accepted": False,
        },
        {
            **{"number": 4, "cause": "lab, gone: errors", "severity": "medium", "opened": "2026-11-20 11:45 UTC"},
            **{"closed": "", "check": errors, "pause": ["lab"], "replay": ["gone"]},
            **cut,
        },
        {
            **{"number": 3, "cause": "lab: unmapped (2823-3)", "severity": "low", "opened": "2026-11-20 13:15 UTC"},
            **{"closed": "2026-11-20 13:35 UTC", "effects": "", "check": codes, "pause": [], "replay": []},
            "is_accepted": True,
        },
        {
            **{"number": 2, "cause": "lab, gone: errors", "severity": "medium", "opened": "2026-11-20 13:05 UTC"},
            **{"closed": "2026-11-20 13:40 UTC", "check": errors, "pause": ["lab"], "replay": ["gone"]},
            **cut,
        },
    ]
    (unmapped,) = [row for row in _incidents(inbox, declaration, {"lab"}) if row["number"] == 3]
    assert unmapped["replay"] == ["lab"]


def test_of_many_incidents_the_last_thirty_are_shown(inbox: Inbox, declaration: Declaration) -> None:
    _store(inbox, *(Incident("silent", ["lab"], "", "low", step, step, number=step) for step in range(1, 33)))
    assert [row["number"] for row in _incidents(inbox, declaration, set())] == list(range(32, 2, -1))


def test_what_will_be_reached_soon_is_said_in_sentences(inbox: Inbox, declaration: Declaration) -> None:
    declaration.queue = 700
    _count(inbox, {(END - 5 + step, "queue"): 100.0 + 100 * step for step in range(6)}, "this server")
    sentence = "The queue of messages that wait to be stored reaches its bound in 5 minutes at this pace."
    assert sentence in _ahead(inbox, declaration, NOW)
    assert _moment(0.0) == "1970-01-01 00:00 UTC"


@run_async
async def test_each_act_says_what_was_done_and_a_letter_is_shown_whole_in_lines(
    tmp_path: Path, declaration: Declaration
) -> None:
    with pytest.MonkeyPatch.context() as patch, kept_values(patch) as values:
        async with client(tmp_path, events_file=tmp_path / "events.toml") as calls:

            async def opened(query: str = "") -> dict[str, Any]:
                assert (await calls.get(f"/interfaces{query}", headers=PAGE)).status_code == 200
                return values

            inbox = Inbox(tmp_path / "events.sqlite3")
            inbox.take([Incoming("lab", "1", "ORU^R01", b"MSH|\rOBX|\xff\r", NOW, fault="it was cut off")])
            inbox.take([Incoming("gone", "2", "ORU^R01", b"MSH|", NOW, fault="no such feed")])
            inbox.close()
            for did, words in (
                ("replayed", "The message was taken in."),
                ("dropped", "The message was dropped."),
                (
                    "accept",
                    "The incident is taken as usual from now on. Its feeds are learned anew, which takes two weeks.",
                ),
                ("pause", "The feed is paused. Its sender keeps its messages."),
                ("resume", "The feed is taken in again."),
                ("replay-all", "The dead letters that can be read now were taken in."),
                ("other", ""),
            ):
                assert (await opened(f"?did={did}"))["did"] == words
            assert (values["letter"], values["content"], values["problem"], values["declared"]) == (None, "", "", True)
            assert [(letter.sequence, at) for letter, at in values["letters"]] == [
                (1, "2026-11-20 13:40 UTC"),
                (2, "2026-11-20 13:40 UTC"),
            ]
            assert (await opened("?letter=1"))["content"] == "MSH|\nOBX|\ufffd\n"
            assert values["letter"].sequence == 1
            for wrong in ("3", "x", "-1", "000000000001"):
                assert (await opened(f"?letter={wrong}"))["letter"] is None, wrong
            assert (await opened("?letter=00000000001"))["letter"].sequence == 1
            for act, paused in (("pause", ["lab"]), ("resume", [])):
                form = {"act": act, "feed": "lab"}
                answer = await calls.post("/interfaces", data=form, headers=PAGE)
                assert (answer.status_code, answer.headers["location"]) == (303, f"interfaces?did={act}")
                assert (await opened())["paused"] == paused


@run_async
async def test_an_open_incident_is_taken_as_usual_once_and_lines_of_a_browser_are_mended(
    tmp_path: Path, declaration: Declaration
) -> None:
    inbox = Inbox(tmp_path / "events.sqlite3")
    _store(
        inbox,
        Incident("silent", ["lab"], "", "high", END - 20, END - 12, number=1),
        Incident("silent", ["lab"], "", "high", END - 9, END - 9, number=2, closed=END - 2),
    )
    inbox.take([Incoming("lab", "1", "ORU^R01", b"MSH|", NOW, fault="it was cut off")])
    inbox.close()
    async with client(tmp_path, events_file=tmp_path / "events.toml") as calls:

        async def sent(**form: str) -> tuple[int, str]:
            answer = await calls.post("/interfaces", data=form, headers=PAGE)
            return answer.status_code, answer.headers.get("location", "")

        assert await sent(act="accept", incident="2") == (404, "")
        assert await sent(act="accept", incident="1") == (303, "interfaces?did=accept")
        browser = result("1", "4.4").decode().replace("\r", "\r\n")
        assert await sent(act="replay", letter="1", content=browser) == (303, "interfaces?did=replayed")
