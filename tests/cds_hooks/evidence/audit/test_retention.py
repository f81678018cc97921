"""Retention: old decisions are exported and taken out, the chain holds across the cut, and what is held stays."""

import lzma
from pathlib import Path

import pytest
from msgspec import structs
from sqlalchemy import insert, text

from cds_hooks.evidence.audit.holds import Hold, hold, holds, release
from cds_hooks.evidence.audit.retention import remove_old, retention_runs, verify_file
from cds_hooks.evidence.audit.seals import add_seal, read_seals
from cds_hooks.evidence.audit.transfer import back_up, restore
from cds_hooks.evidence.audit.verification import Audit, audit
from cds_hooks.evidence.storage.database import engine_for, parse_url
from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable
from cds_hooks.evidence.storage.queries import feedback_on, get_decision
from cds_hooks.evidence.storage.tables import removals
from models_onnx.artifact.keys import Signer, local_signer
from tests.cds_hooks.evidence.storage.samples import a_decision, store
from tests.recorded import list_decisions

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


def _audit(url: str, tmp_path: Path, signer: Signer) -> Audit:
    keys = {signer.public.id: signer.public}
    return audit(url, read_seals(tmp_path / "seals.ndjson", keys), keys=keys)


def test_old_decisions_of_a_client_are_taken_out_and_the_chain_holds_across_the_cut(
    url: str, tmp_path: Path, signer: Signer
) -> None:
    old = _write(url, ("a", OLD), ("b", OLD), ("a", OLD), ("a", OLD), ("a", NEW))
    _write(url, ("a", OLD), ("a", OLD))
    _write(url, ("a", NEW))
    add_seal(url, tmp_path / "seals.ndjson", signer)
    answers = feedback_on(url, old[0].id)
    run = remove_old(url, "a", NEW, tmp_path / "a.xz", "Ann", signer)
    assert run is not None
    assert (run.decisions, run.feedback, run.outcomes) == (5, 5, 0)
    assert (tmp_path / "a.xz").stat().st_mode & 0o777 == 0o600
    assert verify_file(tmp_path / "a.xz", {signer.public.id: signer.public}) == run
    assert [decision.client for decision in list_decisions(url)] == ["a", "a", "b"]
    assert feedback_on(url, old[0].id) == []
    assert feedback_on(url, old[1].id) != []
    for report in (audit(url), _audit(url, tmp_path, signer)):
        assert (report.findings, report.decisions, report.removed) == ([], 3, 5)
    _write(url, ("a", NEW))  # the record goes on
    add_seal(url, tmp_path / "seals.ndjson", signer)
    assert _audit(url, tmp_path, signer).findings == []
    assert remove_old(url, "a", NEW, tmp_path / "again.xz", "Ann", signer) is None

    other = f"sqlite:///{tmp_path}/other.sqlite3"
    assert restore(tmp_path / "a.xz", other) == 20, "each row with its link"
    assert get_decision(other, old[0].id) == old[0]
    assert feedback_on(other, old[0].id) == answers


def test_a_second_run_takes_what_became_old_since(url: str, tmp_path: Path, signer: Signer) -> None:
    _write(url, ("a", OLD), ("a", OLD + 5), ("a", NEW))
    add_seal(url, tmp_path / "seals.ndjson", signer)
    # what was decided at the very time stays
    for before, count in ((OLD, 0), (OLD + 1, 1), (OLD + 5, 0), (OLD + 6, 1), (NEW + 1, 1)):
        run = remove_old(url, "a", before, tmp_path / f"{before}.xz", "Ann", signer)
        assert (run.decisions if run is not None else 0) == count, before
    report = _audit(url, tmp_path, signer)
    assert (report.findings, report.removed) == ([], 3)


def test_the_record_is_sealed_on_after_a_run_took_the_rows_that_were_sealed_last(
    url: str, tmp_path: Path, signer: Signer
) -> None:
    _write(url, ("a", OLD), ("a", OLD))
    add_seal(url, tmp_path / "seals.ndjson", signer)
    _write(url, ("a", NEW))
    assert remove_old(url, "a", NEW, tmp_path / "a.xz", "Ann", signer) is not None
    add_seal(url, tmp_path / "seals.ndjson", signer)
    assert _audit(url, tmp_path, signer).findings == []


def test_what_is_held_stays_until_the_hold_is_released(url: str, tmp_path: Path, signer: Signer) -> None:
    mine = _write(url, ("a", OLD), ("a", OLD))
    _write(url, ("a", OLD), patient="p2")
    _write(url, ("a", NEW))
    held = [
        hold(url, "decision", mine[0].id, "case 1", "Ann"),
        hold(url, "patient", "p2", "case 2", "Ann"),
        hold(url, "client", "a", "case 3", "Ann"),
    ]
    first, *_ = in_force = holds(url)
    assert [each.id for each in in_force] == held
    assert first == Hold(held[0], "decision", mine[0].id, "case 1", "Ann", first.at)
    assert remove_old(url, "a", NEW, tmp_path / "none.xz", "Ann", signer) is None
    assert not (tmp_path / "none.xz").exists()
    release(url, held[2], "closed", "Ben")
    run = remove_old(url, "a", NEW, tmp_path / "a.xz", "Ann", signer)
    assert run is not None
    assert run.decisions == 1
    assert get_decision(url, mine[0].id) is not None
    assert get_decision(url, mine[1].id) is None
    with pytest.raises(RecordUnavailable, match="there is no hold"):
        release(url, held[2], "again", "Ben")


def test_rows_that_an_insider_takes_out_under_the_name_of_a_run_are_found(
    url: str, tmp_path: Path, signer: Signer
) -> None:
    _write(url, ("a", OLD), ("a", OLD), ("b", OLD), ("a", NEW))
    add_seal(url, tmp_path / "seals.ndjson", signer)
    stranger = local_signer(tmp_path / "stranger.pem", "x")[0]
    remove_old(url, "b", NEW, tmp_path / "b.xz", "Ann", stranger)
    assert set(retention_runs(url, {stranger.public.id: stranger.public})) == {"b.xz"}
    assert retention_runs(url, {stranger.public.id: signer.public}) == {}, "the signature is of another key"
    assert "b.xz, which no signed entry of the record says" in _audit(url, tmp_path, signer).findings[0]
    remove_old(url, "a", NEW, tmp_path / "a.xz", "Ann", signer)
    assert len(_audit(url, tmp_path, signer).findings) == 1
    with engine_for(parse_url(url)).begin() as connection:  # one span more under the name of a signed run
        connection.execute(insert(removals).values(first_number=8, last_number=8, run="a.xz"))
        connection.execute(text("DELETE FROM feedback WHERE sequence = 8"))
    assert any("a.xz, which no signed entry" in finding for finding in _audit(url, tmp_path, signer).findings)


def test_a_file_of_a_run_that_was_changed_is_found_without_the_record(
    sqlite_url: str, tmp_path: Path, signer: Signer
) -> None:
    _write(sqlite_url, ("a", OLD), ("a", OLD), ("a", NEW))
    remove_old(sqlite_url, "a", NEW, tmp_path / "a.xz", "Ann", signer)
    keys = {signer.public.id: signer.public}
    lines = lzma.decompress((tmp_path / "a.xz").read_bytes()).splitlines(keepends=True)
    other = local_signer(tmp_path / "other.pem", "x")[0]
    for changed, trusted, why in (
        (lines[:-1], keys, "does not have the rows"),
        ([*lines[:-1], lines[-1].replace(b"overridden", b"accepted")], keys, "does not have the rows"),
        ([lines[0].replace(b'"decisions":2', b'"decisions":1'), *lines[1:]], keys, "is not signed by any"),
        (lines, {other.public.id: other.public}, "is not signed by any"),
        ([b'{"record":"0004"}\n', *lines[1:]], keys, "was not written by a retention run"),
    ):
        (tmp_path / "changed.xz").write_bytes(lzma.compress(b"".join(changed)))
        with pytest.raises(RecordUnavailable, match=why):
            verify_file(tmp_path / "changed.xz", trusted)
    with pytest.raises(RecordUnavailable, match="give the new one another name"):
        remove_old(sqlite_url, "a", NEW + 1, tmp_path / "a.xz", "Ann", signer)


@pytest.mark.slow
@pytest.mark.parametrize("was_run_before", [True, False])
def test_retention_runs_over_a_record_that_was_restored_from_a_backup(
    sqlite_url: str, tmp_path: Path, signer: Signer, was_run_before: bool
) -> None:
    """What a backup of before the run brings back is taken out again; a backup of after the run keeps its cuts."""
    old = _write(sqlite_url, ("a", OLD), ("b", OLD), ("a", OLD), ("a", NEW))
    back_up(sqlite_url, tmp_path / "before.xz")
    hold(sqlite_url, "decision", old[2].id, "a case", "Ann")
    assert remove_old(sqlite_url, "a", NEW, tmp_path / "first.xz", "Ann", signer) is not None
    add_seal(sqlite_url, tmp_path / "seals.ndjson", signer)
    back_up(sqlite_url, tmp_path / "after.xz")

    restored = f"sqlite:///{tmp_path}/restored.sqlite3"
    restore(tmp_path / ("after.xz" if was_run_before else "before.xz"), restored)
    assert (get_decision(restored, old[0].id) is None) is was_run_before
    if was_run_before:  # the hold came with it
        assert remove_old(restored, "a", NEW, tmp_path / "none.xz", "Ann", signer) is None
        release(restored, holds(restored)[0].id, "closed", "Ann")
    assert remove_old(restored, "a", NEW, tmp_path / "last.xz", "Ann", signer) is not None
    assert [decision.id for decision in list_decisions(restored)] == [old[3].id, old[1].id]
    if was_run_before:
        assert _audit(restored, tmp_path, signer).findings == []
    _write(restored, ("a", NEW))  # the record goes on
    report = audit(restored)
    assert (report.findings, report.decisions, report.removed) == ([], 3, 2)
