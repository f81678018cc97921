"""The user in the record: found with the key, not to be guessed without it, found again after the key was changed."""

import asyncio
from pathlib import Path

import pytest

from cds_hooks.storage import RecordUnavailable, open_decision_log
from cds_hooks.storage.content import open_user_names
from cds_hooks.storage.queries import DecisionFilter, find_decisions
from tests.cds_hooks.storage.samples import a_decision


def test_a_user_is_found_by_the_key_before_and_after_it_was_changed(url: str, tmp_path: Path) -> None:
    file = tmp_path / "keys" / "user-keys.txt"
    before = open_user_names("hashed", file)
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("ab" * 32 + "\n" + file.read_text())
    after = open_user_names("hashed", file)
    given = [
        a_decision(user_id=names.recorded("a hospital", user))
        for names in (before, after)
        for user in ("Practitioner/1", "Practitioner/2")
    ]

    async def scenario() -> None:
        log = open_decision_log(url)
        for decision in given:
            await log.append(decision)
        await log.close()

    asyncio.run(scenario())
    assert len({decision.user_id for decision in given}) == 4
    assert not any("Practitioner" in (decision.user_id or "") for decision in given)
    found = find_decisions(url, DecisionFilter(users=after.possible("a hospital", "Practitioner/1")))
    assert [one.id for one in found] == [given[2].id, given[0].id]
    other = find_decisions(url, DecisionFilter(users=after.possible("another", "Practitioner/1")))
    assert list(other) == []


def test_the_forms_that_a_site_can_choose(tmp_path: Path) -> None:
    file = tmp_path / "user-keys.txt"
    assert open_user_names("clear", file).recorded("c", "Practitioner/1") == "Practitioner/1"
    assert open_user_names("none", file).recorded("c", "Practitioner/1") == ""
    assert not file.exists()
    assert open_user_names("hashed", file).recorded("c", None) == ""
    file.write_text("no key")
    with pytest.raises(RecordUnavailable, match="cannot be read"):
        open_user_names("hashed", file)
