"""Old decisions move into sealed files: the chain holds with and without them, and what is held stays."""

import json
from pathlib import Path

import pytest
from msgspec import structs
from sqlalchemy import insert, text

from cds_hooks.audit.archive import archive, archives, find_archived, restore_archive
from cds_hooks.audit.holds import hold, holds, release
from cds_hooks.audit.seals import add_seal, read_seals
from cds_hooks.audit.verification import Audit, audit
from cds_hooks.storage import Decision, RecordUnavailable
from cds_hooks.storage.database import engine_for, parse_url
from cds_hooks.storage.queries import feedback_on, get_decision, list_decisions
from cds_hooks.storage.tables import removals
from models_onnx.artifact.keys import Signer, local_signer
from tests.cds_hooks.storage.conftest import postgres_server, postgres_url, sqlite_url, url
from tests.cds_hooks.storage.samples import a_decision, store
from tests.program import run_program

__all__ = ["postgres_server", "postgres_url", "sqlite_url", "url"]

OLD, NEW = 1_000_000, 2_000_000_000_000_000


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return local_signer(tmp_path / "seal-key.pem", "record")[0]


def _write(url: str, *rows: tuple[str, int], patient: str = "p1") -> list[Decision]:
    """One server run: decisions of these clients and times, each with feedback."""
    made = [_dated(a_decision(client=client, decided_at=at, patient=patient, user_id="k:u")) for client, at in rows]
    return store(url, *made, answered=True)


def _dated(decision: Decision) -> Decision:
    """With the time in its id, which is that of this test otherwise."""
    begin = f"{decision.decided_at // 1000:012x}"
    return structs.replace(decision, id=f"{begin[:8]}-{begin[8:]}{decision.id[13:]}")


def _audit(url: str, tmp_path: Path, signer: Signer, folder: Path | None = None) -> Audit:
    keys = {signer.public.id: signer.public}
    return audit(url, read_seals(tmp_path / "seals.ndjson", keys), keys=keys, folder=folder)


def test_old_decisions_of_a_client_are_archived_and_the_chain_holds_with_and_without_the_file(
    url: str, tmp_path: Path, signer: Signer
) -> None:
    old = _write(url, ("a", OLD), ("b", OLD), ("a", OLD), ("a", OLD), ("a", NEW))
    _write(url, ("a", OLD), ("a", OLD))  # another chain, which began after a row of the first
    _write(url, ("a", NEW))
    add_seal(url, tmp_path / "seals.ndjson", signer)
    before = list_decisions(url)
    made = archive(url, "a", NEW, tmp_path / "a.xz", "Ann", signer)
    assert made is not None
    assert (made.decisions, made.feedback) == (5, 5)
    assert (tmp_path / "a.xz").stat().st_mode & 0o777 == 0o600
    assert [each.client for each in list_decisions(url)] == ["a", "a", "b"]
    assert feedback_on(url, old[0].id) == []
    assert feedback_on(url, old[1].id) != []
    verified = audit(url)
    assert (verified.findings, verified.decisions, verified.archived) == ([], 3, 5)
    for folder in (None, tmp_path):
        found = _audit(url, tmp_path, signer, folder)
        assert (found.findings, found.decisions, found.archived, found.unsealed) == ([], 3, 5, 0)
    assert find_archived(url, old[0].id) == ([made], True)
    assert find_archived(url, old[1].id) == ([], False)
    _write(url, ("a", NEW))  # the record goes on
    add_seal(url, tmp_path / "seals.ndjson", signer)
    assert _audit(url, tmp_path, signer, tmp_path).findings == []
    assert archive(url, "a", NEW, tmp_path / "again.xz", "Ann", signer) is None

    restore_archive(tmp_path / "a.xz", url, "Ann")
    assert list_decisions(url)[1:] == before
    assert feedback_on(url, old[0].id) != []
    assert audit(url).findings == []
    assert _audit(url, tmp_path, signer).findings == []
    with pytest.raises(RecordUnavailable, match="was restored; perhaps its rows are in the record already"):
        restore_archive(tmp_path / "a.xz", url, "Ann")
    again = archive(url, "a", NEW, tmp_path / "again.xz", "Ann", signer)
    assert again is not None
    assert again.decisions == 5
    assert [each.name for each in archives(url)] == ["a.xz", "again.xz"]
    assert _audit(url, tmp_path, signer, tmp_path).findings == []


def test_what_is_held_stays_until_the_hold_is_released(url: str, tmp_path: Path, signer: Signer) -> None:
    mine = _write(url, ("a", OLD), ("a", OLD))
    _write(url, ("a", OLD), patient="p2")
    _write(url, ("a", NEW))
    held = [
        hold(url, "decision", mine[0].id, "case 1", "Ann"),
        hold(url, "patient", "p2", "case 2", "Ann"),
        hold(url, "client", "a", "case 3", "Ann"),
    ]
    assert [each.id for each in holds(url)] == held
    assert archive(url, "a", NEW, tmp_path / "none.xz", "Ann", signer) is None
    assert not (tmp_path / "none.xz").exists()
    release(url, held[2], "closed", "Ben")
    made = archive(url, "a", NEW, tmp_path / "a.xz", "Ann", signer)
    assert made is not None
    assert made.decisions == 1
    assert get_decision(url, mine[0].id) is not None
    assert get_decision(url, mine[1].id) is None
    with pytest.raises(RecordUnavailable, match="there is no hold"):
        release(url, held[2], "again", "Ben")


def test_rows_that_an_insider_calls_archived_and_a_changed_archive_are_found(
    url: str, tmp_path: Path, signer: Signer
) -> None:
    _write(url, ("a", OLD), ("a", OLD), ("b", OLD), ("a", NEW))
    add_seal(url, tmp_path / "seals.ndjson", signer)
    stranger = local_signer(tmp_path / "stranger.pem", "x")[0]
    archive(url, "b", NEW, tmp_path / "b.xz", "Ann", stranger)
    assert "b.xz, which no signed entry of the record says" in _audit(url, tmp_path, signer).findings[0]
    archive(url, "a", NEW, tmp_path / "a.xz", "Ann", signer)
    assert len(_audit(url, tmp_path, signer, tmp_path).findings) == 1
    whole = (tmp_path / "a.xz").read_bytes()
    (tmp_path / "a.xz").write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    assert "the archive a.xz is not as it was written" in _audit(url, tmp_path, signer, tmp_path).findings
    with pytest.raises(RecordUnavailable, match="is none of the archives of this record, or was changed"):
        restore_archive(tmp_path / "a.xz", url, "Ann")
    (tmp_path / "a.xz").unlink()
    assert any("a.xz cannot be read" in one for one in _audit(url, tmp_path, signer, tmp_path).findings)
    with engine_for(parse_url(url)).begin() as connection:  # one span more under the name of a signed archive
        span = {"chain": "feedback", "first_position": 4, "last_position": 4, "archive": "a.xz"}
        connection.execute(insert(removals).values(**span, previous=bytes(32), hash=bytes(32)))
        connection.execute(text("DELETE FROM feedback WHERE position = 4"))
    assert any("a.xz, which no signed entry" in one for one in _audit(url, tmp_path, signer).findings)


def test_the_commands_archive_hold_and_say_where_a_decision_is(sqlite_url: str, tmp_path: Path, signer: Signer) -> None:
    old = _write(sqlite_url, ("a", OLD), ("a", OLD), ("a", NEW))
    add_seal(sqlite_url, tmp_path / "seals.ndjson", signer)
    here = {"CDS_DATABASE_URL": sqlite_url, "CDS_SEAL_KEY": str(tmp_path / "seal-key.pem")}

    def do(*words: str) -> tuple[int, str]:
        done = run_program(*words, folder=tmp_path, environment=here)
        return done.returncode, done.stdout + done.stderr

    assert "Hold " in do("record", "hold", "--decision", old[1].id, "--why", "case 1", "--by", "Ann")[1]
    assert f"decision {old[1].id}" in do("record", "hold")[1]
    (held,) = json.loads(do("record", "hold", "--json")[1])
    assert (held["by"], held["value"], held["actor"]) == ("decision", old[1].id, "Ann")
    assert json.loads(do("record", "archive", "--json")[1]) == []
    assert do("record", "hold", "--why", "x") == (
        2,
        "Give one of --client, --patient, --decision and --end, and --why.\n",
    )
    to_file = ("record", "archive", "--client", "a", "--older-than", "365", "--to", "a.xz")
    assert "1 decisions, 1 rows of feedback and 0 outcomes" in do(*to_file)[1]
    assert "File exists" in do(*to_file)[1] or "Nothing of a is that old" in do(*to_file)[1]
    code, said = do("decisions", "show", old[0].id)
    assert code == 1
    assert f"Decision {old[0].id} is archived in a.xz (1 decisions of a, 1970-01-01 to 1970-01-01)" in said
    assert json.loads(do("decisions", "show", old[0].id, "--json")[1])["certain"] is True
    assert "Archived, and not listed here: a.xz" in do("decisions", "list")[1]
    assert "1 more are archived" in " ".join(do("record", "verify")[1].split())
    against = ("record", "verify", "--against", "seals.ndjson", "--key", "seal-key.pub.json", "--archives", ".")
    assert do(*against)[0] == 0
    (tmp_path / "a.xz").rename(tmp_path / "moved.xz")
    assert "may be archived (the file is not here) in a.xz" in do("decisions", "show", old[0].id)[1]
    assert "a.xz" in do("record", "archive")[1]
    (archived,) = json.loads(do("record", "archive", "--json")[1])
    assert (archived["name"], archived["decisions"], archived["client"]) == ("a.xz", 1, "a")
    assert archived["first_at"].startswith("1970-01-01T")
    assert "Restored: a.xz" in do("record", "restore", "moved.xz", "--by", "Ann")[1]
    assert do("decisions", "show", old[0].id)[0] == 0
