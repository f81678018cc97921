"""Terminologies in force: whose act counts, what is taken back, what is never used, and that no call sees a change."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds_hooks.call.computing import CallUnderWay, Computing
from cds_hooks.people.governance.acts import ApprovalRefused
from cds_hooks.people.governance.releases import Releases
from cds_hooks.people.governance.terminology import (
    index_in_force,
    keep_in_force,
    use_by_acts,
    use_terminology,
    whole_indexes,
)
from cds_hooks.settings import Settings
from fhir.terminology.conditions import condition_groups_of
from fhir.terminology.imported import WrongIndex, in_use
from fhir.terminology.importing import import_releases
from tests.cds_hooks.people.governance.clicking import ANN, BEN, Desk, put_command
from tests.live import record_in
from tests.waiting import until_async

HEART, GOUT = "system,code,group\nurn:ours,1,hf\n", "system,code,group\nurn:ours,1,gout\n"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    use_terminology(None)


def _index(folder: Path, text: str) -> str:
    folder.mkdir(exist_ok=True)
    table = folder.parent / "ours.csv"
    table.write_text(text)
    place = import_releases([table], folder, lambda *_: None).index
    assert place is not None
    return place.stem


def _settings(tmp_path: Path) -> Settings:
    return Settings(database_url=record_in(tmp_path), terminology=tmp_path / "terms")


def _groups() -> tuple[str, ...]:
    return condition_groups_of("urn:ours", "1")[:1]


def test_two_people_put_an_index_in_force_and_one_takes_it_back(tmp_path: Path) -> None:
    first, second = (_index(tmp_path / "terms", text) for text in (HEART, GOUT))
    desk, configured = Desk(record_in(tmp_path)), _settings(tmp_path)
    desk.served(indexes=lambda: whole_indexes(configured))

    def act(state: str, name: str) -> list[str]:
        for person in (ANN, BEN) if state == "active" else (ANN,):
            desk.click(person, state, kind="terminology", name=name, version="")
        return desk.releases().current.terminologies

    assert "another person in another role" in desk.click(BEN, "active", kind="terminology", name=first).missing
    assert desk.releases().current.terminologies == []
    desk.click(ANN, "active", kind="terminology", name=first)
    assert act("active", second) == [first, second]
    assert index_in_force(configured, desk.releases().current) == tmp_path / "terms" / f"{second}.idx"
    assert act("off", second) == [first]
    with pytest.raises(ApprovalRefused, match="is not active and cannot become off"):
        act("off", second)
    with pytest.raises(ApprovalRefused, match="can be active or off"):
        desk.click(ANN, "canary", kind="terminology", name=first)
    with pytest.raises(ApprovalRefused, match="there is no whole index none"):
        desk.click(ANN, "active", kind="terminology", name="none")


def test_an_index_that_was_changed_is_never_used(tmp_path: Path) -> None:
    name = _index(tmp_path / "terms", HEART)
    configured = _settings(tmp_path)
    assert list(whole_indexes(configured)) == [name]
    put_command(configured.database_url, "active", "terminology", name)
    use_by_acts(configured)
    assert _groups() == ("hf",)
    path = tmp_path / "terms" / f"{name}.idx"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert whole_indexes(configured) == {}
    with pytest.raises(WrongIndex, match="was changed after it was written"):
        use_by_acts(configured)
    assert _groups() == ("hf",)
    path.unlink()
    with pytest.raises(WrongIndex, match="is not there"):
        use_by_acts(configured)


async def test_a_server_changes_between_two_calls_within_a_second_and_stays_where_an_index_is_wrong(
    tmp_path: Path,
) -> None:
    first, second = (_index(tmp_path / "terms", text) for text in (HEART, GOUT))
    configured, url = _settings(tmp_path), record_in(tmp_path)
    releases, computing = Releases(), Computing(60)

    def put(state: str, name: str) -> None:
        put_command(url, state, "terminology", name)  # type: ignore[arg-type]
        releases.read(url)

    keeping = asyncio.create_task(keep_in_force(configured, releases, computing.between_calls))
    await asyncio.sleep(0)
    put("active", first)
    await until_async(lambda: _groups() == ("hf",))
    async with CallUnderWay(computing, "a") as call:
        put("active", second)
        await asyncio.sleep(0.6)
        assert await call.compute(_groups) == ("hf",), "a call that is under way sees no change"
    await until_async(lambda: _groups() == ("gout",))
    assert in_use().index == second
    put("off", second)
    await until_async(lambda: _groups() == ("hf",))
    index = tmp_path / "terms" / f"{second}.idx"
    index.rename(tmp_path / "away")
    put("active", second)
    await asyncio.sleep(0.6)
    assert _groups() == ("hf",)
    (tmp_path / "away").rename(index)
    await until_async(lambda: _groups() == ("gout",))
    keeping.cancel()
