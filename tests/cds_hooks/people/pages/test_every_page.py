"""What holds for every page that is found: its door is enforced, its routes are behind it, it renders, it is whole."""

import re
from collections import Counter
from html import unescape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import msgspec
import pytest

from cds_hooks.add_ons.events.inbox import Inbox
from cds_hooks.add_ons.events.outbox import add_to_outbox
from cds_hooks.add_ons.events.v2.intake import read_frame
from cds_hooks.people.access.roles import ASSIGNABLE
from cds_hooks.people.pages.doors import DOORS, Door
from cds_hooks.people.web.site import HEADERS
from tests.cds_hooks.add_ons.events.messages import NOW, feed, result, run_async
from tests.cds_hooks.calls import client
from tests.cds_hooks.people.access.browsing import Person, visit, with_account
from tests.cds_hooks.people.pages.tester.test_orders import OPERATOR, behind_a_trust_file
from tests.contracts.markup import faults
from tests.each import some_of

HTML = {"accept": "text/html"}


@pytest.mark.sampled
@pytest.mark.parametrize("role", some_of(ASSIGNABLE, 3))
async def test_the_navigation_has_at_most_seven_entries_and_no_link_of_a_page_is_dead(
    tmp_path: Path, role: str
) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        page = (await person.open("/docs/")).text
        links = re.findall(r'href="([^"]*)"', page[page.index("<nav") : page.index("</nav>")])
        assert 2 <= len(links) <= 7
        assert await dead_links(person) == []


async def dead_links(person: Person) -> list[str]:
    """Follow every link from the documentation, two of each kind of address; return those that do not open."""
    waiting, seen = ["/docs/"], {"/docs/", "/"}  # which leads on
    dead: list[str] = []
    kinds: Counter[tuple[str, int]] = Counter()
    while waiting:
        address = waiting.pop(0)
        answer = await person.open(address)
        if answer.status_code != 200:
            dead.append(f"{address}: {answer.status_code}")
        elif answer.headers["content-type"].startswith("text/html"):
            for link in re.findall(r'<a\b[^>]*\bhref="([^"#]+)', answer.text):
                target = urlsplit(urljoin(f"http://test{address}", unescape(link)))
                kind = (target.path.split("/")[1], target.path.count("/"))
                found = f"{target.path}?{target.query}" if target.query else target.path
                if target.netloc != "test" or kind[0] == "docs" or found in seen or kinds[kind] == 2:
                    continue
                kinds[kind] += 1
                seen.add(found)
                waiting.append(found)
    return dead


def _opens(door: Door) -> bool:
    """Whether there is a page at the path of the door itself, for whoever may open it."""
    return door.roles is not None and bool(door.title)


@pytest.mark.parametrize("door", [door for door in DOORS if _opens(door)], ids=lambda door: door.path)
async def test_a_page_of_the_navigation_is_whole_and_loads_nothing_from_elsewhere(tmp_path: Path, door: Door) -> None:
    async with client(tmp_path) as calls:
        answer = await calls.get(door.path, headers=HTML, follow_redirects=True)
    if door.path == "/docs" and answer.status_code == 404:
        pytest.skip("the documentation is not written in this checkout (make docs)")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    if door.path != "/docs":
        assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
        assert faults(answer.text) == []


@pytest.mark.sampled
@pytest.mark.parametrize("role", some_of(ASSIGNABLE, 3))
async def test_a_door_is_open_to_its_roles_alone(tmp_path: Path, role: str) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path) as person:
        assert (await person.log_in("ann")).status_code == 303
        for door in DOORS:
            if door.roles is not None:
                status = (await person.open(door.path)).status_code
                assert (status != 403) is (role in door.roles), (door.path, status)


async def test_behind_a_trust_file_without_a_login_the_pages_of_the_operator_are_closed(tmp_path: Path) -> None:
    """Those of single decisions may be open to everyone."""
    doors = [door for door in DOORS if door.roles is not None]
    async with client(tmp_path, **behind_a_trust_file(tmp_path), explain_pages="everyone") as calls:
        for door in doors:
            status = (await calls.get(door.path, headers=HTML, follow_redirects=True)).status_code
            is_open = door.is_public or door.by_link
            assert (status == 403) is not is_open, (door.path, status)
            assert is_open or (await calls.post(door.path, headers=HTML)).status_code == 403, door.path
        calls.headers["authorization"] = f"Bearer {OPERATOR}"
        for door in doors:
            page = await calls.get(door.path, headers=HTML, follow_redirects=True)
            assert page.status_code != 403, door.path
            assert "Open development profile" not in page.text


DECLARED = """
database = "{file}"
[feed.lab]
kind = "mllp"
listen = "127.0.0.1:2575"
authority = "SOUTH"
"""
PAGE = {"accept": "text/html", "origin": "http://localhost"}


def declared_feed(folder: Path) -> Path:
    path = folder / "events.toml"
    path.write_text(DECLARED.format(file=folder / "events.sqlite3"), encoding="utf-8")
    inbox = Inbox(folder / "events.sqlite3")
    cut = result("1", "4.4")[:-60]
    inbox.take([reading.incoming for reading in read_frame(cut, feed(), NOW)])
    inbox.close()
    return path


def _states(folder: Path) -> list[tuple[str, str]]:
    inbox = Inbox(folder / "events.sqlite3")
    rows = inbox.query("SELECT message_id, state FROM inbox ORDER BY sequence")
    inbox.close()
    return [(row[0], row[1]) for row in rows]


@run_async
async def test_a_dead_letter_is_shown_mended_and_taken_in(tmp_path: Path) -> None:
    path = declared_feed(tmp_path)
    async with client(tmp_path, events_file=path) as calls:
        page = (await calls.get("/ops", headers=PAGE)).text
        assert "Dead letter 1" in page
        assert "it was cut off" in page
        assert "SAMPLE" not in page
        assert "SAMPLE" in (await calls.get("/ops/interfaces?letter=1", headers=PAGE)).text
        still_cut = {"letter": "1", "act": "replay", "content": ""}
        assert (await calls.post("/ops/interfaces", data=still_cut, headers=PAGE)).status_code == 400
        mended = {"letter": "1", "act": "replay", "content": result("1", "4.4").decode()}
        assert (await calls.post("/ops/interfaces", data=mended, headers=PAGE)).status_code == 303
        assert "Every message was read" in (await calls.get("/ops", headers=PAGE)).text
    assert _states(tmp_path) == [("1", "replayed"), ("1#replay-1", "done")]


@run_async
async def test_what_waits_is_shown_and_what_was_given_up_is_sent_again(tmp_path: Path) -> None:
    path = declared_feed(tmp_path)
    (tmp_path / "secret").write_bytes(b"s" * 32)
    with path.open("a", encoding="utf-8") as file:
        file.write('[webhook.care]\nurl = "http://127.0.0.1:9/"\nsecret_file = "secret"\n')
    inbox = Inbox(tmp_path / "events.sqlite3")
    with inbox.transaction() as connection:
        add_to_outbox(connection, "e1", "decision-made", "500", NOW, {})
        connection.execute("INSERT INTO set_aside VALUES ('care', 1, '500', 10, 0, 1)")
        connection.execute("INSERT INTO counts VALUES ('lab', ?, 'value:2823-3|mmol/L:1048648', 3)", (int(NOW) // 300,))
    inbox.close()
    async with client(tmp_path, events_file=path) as calls:
        page = (await calls.get("/ops", headers=PAGE)).text
        assert "due to be computed" in page
        assert "care refused 1 events" in page
        assert "1048648" not in page
        form = {"act": "resend", "feed": "care"}
        answer = await calls.post("/ops/interfaces", data=form, headers=PAGE)
        assert answer.headers["location"] == "../ops?did=resend#interfaces"
        assert "care refused" not in (await calls.get("/ops", headers=PAGE)).text
        form["feed"] = "other"
        assert (await calls.post("/ops/interfaces", data=form, headers=PAGE)).status_code == 404
        assert "cds_events_waiting" in (await calls.get("/metrics")).text


@run_async
async def test_a_dead_letter_is_dropped_once(tmp_path: Path) -> None:
    path = declared_feed(tmp_path)
    async with client(tmp_path, events_file=path) as calls:
        form = {"letter": "1", "act": "drop"}
        answers = [(await calls.post("/ops/interfaces", data=form, headers=PAGE)).status_code for _ in range(2)]
        assert answers == [303, 404]
        assert (await calls.post("/ops/interfaces", data={"letter": "x"}, headers=PAGE)).status_code == 400
    assert _states(tmp_path) == [("1", "dropped")]


@run_async
async def test_a_merge_of_two_numbers_is_undone_once(tmp_path: Path) -> None:
    path = declared_feed(tmp_path)
    inbox = Inbox(tmp_path / "events.sqlite3")
    with inbox.transaction() as connection:
        connection.execute("INSERT INTO links (merged, survivor, inbox, at) VALUES ('501', '500', 1, ?)", (NOW,))
    inbox.close()
    async with client(tmp_path, events_file=path) as calls:
        assert "Undo the merge" in (await calls.get("/ops", headers=PAGE)).text
        form = {"act": "unmerge", "patient": " 501 "}
        answers = [(await calls.post("/ops/interfaces", data=form, headers=PAGE)).status_code for _ in range(2)]
        assert answers == [303, 404]


@run_async
async def test_a_site_without_feeds_has_nothing_of_them(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        assert "interface" not in (await calls.get("/ops", headers=PAGE)).text
        assert (await calls.get("/ops/interfaces?letter=1", headers=PAGE)).status_code == 404
        listed = await calls.get("/ops/interfaces", headers=PAGE)
        assert listed.status_code == 404
        assert "CDS_EVENTS_FILE" in listed.text


@run_async
async def test_what_a_form_names_is_looked_for_and_what_cannot_be_taken_in_stays(tmp_path: Path) -> None:
    path = declared_feed(tmp_path)
    inbox = Inbox(tmp_path / "events.sqlite3")
    cut = result("2", "4.4")[:-60]
    inbox.take([msgspec.structs.replace(one.incoming, source="gone") for one in read_frame(cut, feed(), NOW)])
    inbox.close()
    async with client(tmp_path, events_file=path) as calls:

        async def sent(**form: str) -> tuple[int, str]:
            answer = await calls.post("/ops/interfaces", data=form, headers=PAGE)
            return answer.status_code, answer.headers.get("location") or " ".join(answer.text.split())

        assert await sent(act="replay-all", feed="lab") == (303, "../ops?did=replay-all#interfaces")
        for form, status, why in (
            ({"act": "replay-all", "feed": "other"}, 404, "The site does not declare it."),
            ({"act": "accept", "incident": "7"}, 404, "There is no such open incident"),
            ({"act": "replay", "letter": "123456789012"}, 400, "must"),
            ({"act": "replay", "letter": "99"}, 404, "It was settled before."),
            ({"act": "other", "letter": "1"}, 400, "must be"),
            ({"act": "replay", "letter": "2"}, 400, "Only messages of HL7 v2 feeds can be taken in again"),
        ):
            answered = await sent(**form)
            assert (answered[0], why in answered[1]) == (status, True), (form, answered)
        assert await sent(act="drop", letter="2") == (303, "../ops?did=drop#interfaces")
    assert [state for _, state in _states(tmp_path)] == ["dead", "dropped"]
