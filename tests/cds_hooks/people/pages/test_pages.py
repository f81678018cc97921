"""The pages over HTTP: statuses, headers, what happens when there is nothing to show."""

import asyncio
import re
import sqlite3
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.people.governance.releases import Releases
from cds_hooks.people.web.site import HEADERS, static_file
from fhir.terminology.importing import import_releases
from tests.cds_hooks.calls import PLANNING, client, ours, request_for
from tests.cds_hooks.people.access.browsing import Person, form_token, visit, with_account
from tests.cds_hooks.people.governance.clicking import Desk
from tests.cds_hooks.people.pages.test_decisions import trust_file_in
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.contracts.markup import Page, faults
from tests.live import record_in

RECORD = "decisions.sqlite3"


def _get(folder: Path, *paths: str, **settings: Any) -> list[httpx.Response]:
    async def call() -> list[httpx.Response]:
        async with client(folder, **settings) as calls:
            return [await calls.get(path) for path in paths]

    return asyncio.run(call())


def _decided(folder: Path, sample: str = "planning-talk") -> str:
    async def call() -> str:
        async with client(folder, as_of=AS_OF) as calls:
            body = request_for(PLANNING, "patient-view", sample, AS_OF)
            answer = await calls.post(f"/cds-services/{PLANNING}", json=body)
        decision: str = ours(answer)["decision"]
        return decision

    return asyncio.run(call())


def _assert_is_a_page(answer: httpx.Response, status: int) -> Page:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert faults(answer.text) == []
    assert "Traceback" not in answer.text
    return Page(answer.text)


@pytest.mark.parametrize(
    "name",
    [
        "01a1f871-513f-7b63-a58e-fcb1f8a00000",
        "89938f15-5883-4d76-b44e-81cfb1a2a47e",
        "x",
        "0" * 36,
        "a" * 5000,
        "%00",
        "..%2f..%2fetc%2fpasswd",
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "01a1f856-45a1-7a77-9274-222cd53a0000%00",
        "01a1f856-45a1-7a77-9274-222cd53a000g",
        "٠1a1f856-45a1-7a77-9274-222cd53a0000",
        "' OR 1=1 --",
    ],
)
def test_an_unknown_or_malformed_id_is_not_found_and_not_repeated(tmp_path: Path, name: str) -> None:
    (answer,) = _get(tmp_path, f"/explain/{name}")
    if answer.headers["content-type"] == "application/json":  # %2f makes another address of it
        assert answer.status_code == 404
        return
    page = _assert_is_a_page(answer, 404)
    assert "No decision with this number is on record here." in page.text
    assert "alert(1)" not in answer.text


@pytest.mark.parametrize("name", ["nobody", "%2e%2e", "mortality_5y%00", "a" * 5000])
def test_an_unknown_model_is_not_found(tmp_path: Path, name: str) -> None:
    (answer,) = _get(tmp_path, f"/models/{name}")
    assert answer.status_code == 404


def test_a_record_that_is_away_is_said_and_is_not_the_readers_fault(tmp_path: Path) -> None:
    decision = _decided(tmp_path)

    async def call() -> httpx.Response:
        async with client(tmp_path) as calls:
            for file in tmp_path.glob(f"{RECORD}*"):
                file.rename(file.with_suffix(".away"))
            return await calls.get(f"/explain/{decision}")

    page = _assert_is_a_page(asyncio.run(call()), 503)
    assert "The record cannot be read" in page.text
    assert str(tmp_path) not in page.text


@pytest.mark.parametrize("column", ["basis", "response", "models"])
def test_a_record_in_another_form_is_said_and_not_guessed(tmp_path: Path, column: str) -> None:
    decision = _decided(tmp_path)
    with sqlite3.connect(tmp_path / RECORD) as connection:
        connection.executescript("".join(f"DROP TRIGGER {name};" for (name,) in _triggers(connection)))
        connection.execute(f"UPDATE decisions SET {column} = ? WHERE id = ?", (b'{"as_of": 7}', decision))  # noqa: S608 - our own names
    connection.close()
    (answer,) = _get(tmp_path, f"/explain/{decision}")
    assert "This record cannot be shown" in _assert_is_a_page(answer, 500).text


def _triggers(connection: sqlite3.Connection) -> list[tuple[str]]:
    return connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()


def test_pages_work_under_a_path_because_they_name_each_other_relatively(tmp_path: Path) -> None:
    for answer in _get(tmp_path, "/", "/models/mortality_5y", "/models/nobody"):
        for each in Page(answer.text).all("a", "link"):
            assert not each.attributes["href"].startswith("/")


def test_no_page_names_the_patient_in_its_title_or_address(tmp_path: Path) -> None:
    decision = _decided(tmp_path)
    assert "planning" not in decision
    (answer,) = _get(tmp_path, f"/explain/{decision}")
    (title,) = Page(answer.text).all("title")
    assert "planning-talk" not in title.text
    assert not [each for each in Page(answer.text).all("a", "link") if "planning-talk" in each.attributes["href"]]


# The style sheet: contrast of its tokens, nothing loaded, and no class in a page that it does not know.
CSS = static_file("look.css").decode()
_TOKEN = re.compile(r"--([a-z-]+): (#[0-9a-f]{6});")

TEXT = ("ink", "soft", "link", "info", "warning", "critical", "good", "raise", "lower")
SHAPES = ("edge", "raise", "lower", "ink", "link", "critical", "warning")
GROUNDS = ("paper", "sunk")


def _themes() -> dict[str, dict[str, str]]:
    light, _, rest = CSS.partition("prefers-color-scheme: dark")
    day = dict(_TOKEN.findall(light))
    return {"light": day, "dark": day | dict(_TOKEN.findall(rest.partition("/* Frame */")[0]))}


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_a_contrast_of_5_and_shapes_of_3_point_2_on_every_ground(theme: str) -> None:
    tokens = _themes()[theme]
    pairs = [(text, ground, 5.0) for text, ground in product(TEXT, GROUNDS)]
    pairs += [(shape, ground, 3.2) for shape, ground in product(SHAPES, GROUNDS)]
    pairs += [("warning", "warning-tint", 5.0), ("critical", "critical-tint", 5.0), ("on-link", "link", 5.0)]
    pairs += [("ink", "warning-tint", 5.0), ("ink", "critical-tint", 5.0)]
    weak = [
        (a, b, round(_contrast(tokens[a], tokens[b]), 2))
        for a, b, least in pairs
        if _contrast(tokens[a], tokens[b]) < least
    ]
    assert weak == []


def test_the_policy_lets_nothing_run_and_nothing_load_from_elsewhere() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "form-action": "'self'",
    }


@pytest.mark.slow
async def test_two_people_put_an_index_of_terminologies_in_force_at_rules(tmp_path: Path) -> None:
    folder = tmp_path / "terms"
    folder.mkdir()
    (tmp_path / "ours.csv").write_text("system,code,group\nurn:ours,1,hf\n")
    index = import_releases([tmp_path / "ours.csv"], folder, lambda *_: None).index
    assert index is not None
    Desk(record_in(tmp_path)).account("vera", "add", roles=["approver"])
    for name, role in (("ann", "pharmacist"), ("vera", "approver")):
        with_account(tmp_path, name, role)
    act = {"kind": "terminology", "name": index.stem, "state": "active", "why": "read"}
    async with visit(tmp_path, trust_file=trust_file_in(tmp_path), terminology=folder) as person:
        for name in ("ann", "vera"):
            await person.log_in(name)
            assert _in_force(tmp_path) == []
            assert "Recorded" in await _send(person, **act)
    assert _in_force(tmp_path) == [index.stem]


async def _send(person: Person, **fields: str) -> str:
    data = {"form_token": form_token(await person.open("/rules")), **fields}
    files = {"nothing": ("", "", "text/plain")}
    return (await person.calls.post("/rules", data=data, files=files, headers=person.headers)).text


def _in_force(folder: Path) -> list[str]:
    releases = Releases(by_two_people=True)
    releases.read(record_in(folder))
    return releases.current.terminologies
