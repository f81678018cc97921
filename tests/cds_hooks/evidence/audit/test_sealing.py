"""What a seal says in whole, what of its file is refused in which words, and when a server seals and sends."""

from pathlib import Path

import pytest

from cds_hooks.evidence.audit.seals import RecordCut, Sealing, SealsUnusable, add_seal, sent_count_file
from cds_hooks.settings import Settings
from models_onnx.artifact.keys import Signer, local_signer
from tests.cds_hooks.evidence.audit.test_seals import signer, tamper_with, write_decisions
from tests.constants import settings_with

__all__ = ["signer"]


def sealed(url: str, file: Path, signer: Signer) -> bytes:
    """The line of the seal that is added."""
    line = add_seal(url, file, signer)
    assert line is not None
    return line


def test_rows_that_a_retention_run_names_are_no_cut_and_others_that_are_gone_and_an_end_are(
    sqlite_url: str, tmp_path: Path, signer: Signer
) -> None:
    file = tmp_path / "seals.ndjson"
    write_decisions(sqlite_url, 2)
    sealed(sqlite_url, file, signer)
    tamper_with(sqlite_url, "DELETE FROM decisions WHERE sequence = 1")
    with pytest.raises(RecordCut, match="does not hold row 1 as seal 1"):
        add_seal(sqlite_url, file, signer)
    tamper_with(sqlite_url, "INSERT INTO removals (first_number, last_number, run) VALUES (1, 1, 'a run')")
    assert add_seal(sqlite_url, file, signer) is None
    write_decisions(sqlite_url, 1)
    sealed(sqlite_url, file, signer)
    tamper_with(sqlite_url, "DELETE FROM chain WHERE sequence > 5")
    with pytest.raises(RecordCut) as cut:
        add_seal(sqlite_url, file, signer)
    assert str(cut.value) == (
        "the record does not hold row 6 as seal 2 sealed it: it was cut, rolled back or changed, "
        "and no further seal is made (docs/operations/evidence.md)"
    )


def settings_in(folder: Path, url: str, **more: object) -> Settings:
    """Settings with a key, and seals in the folder."""
    local_signer(folder / "key.pem", "record")
    given = {"seal_key": folder / "key.pem", "seal_file": folder / "seals.ndjson", "database_url": url} | more
    return settings_with(**given)


def test_what_a_server_needs_to_seal_is_looked_for_when_it_starts(tmp_path: Path, sqlite_url: str) -> None:
    with pytest.raises(SealsUnusable) as refused:
        Sealing(settings_in(tmp_path, sqlite_url, seal_file=tmp_path / "none" / "seals.ndjson"))
    assert str(refused.value) == (
        f"the folder {tmp_path / 'none'} of the seals is not there: mount its volume, or make it for new seals"
    )
    with pytest.raises(SealsUnusable) as refused:
        Sealing(settings_in(tmp_path, sqlite_url, seal_command="no-such-program --now"))
    assert str(refused.value) == "the program that CDS_SEAL_COMMAND begins with is not there, or cannot be run"


def test_a_cut_is_said_until_it_is_mended(tmp_path: Path, sqlite_url: str) -> None:
    sealing = Sealing(settings_in(tmp_path, sqlite_url))
    write_decisions(sqlite_url, 1)
    assert sealing.seal()
    tamper_with(sqlite_url, "DELETE FROM decisions", "DELETE FROM feedback", "DELETE FROM chain")
    assert not sealing.seal()
    assert sealing.cut.startswith("the record does not hold row 2 as seal 1 sealed it")
    (tmp_path / "seals.ndjson").rename(tmp_path / "kept")
    (tmp_path / "seals.ndjson").write_bytes(b"no seal")
    assert not sealing.seal()  # another failure says nothing of the cut
    assert (sealing.cut != "", sealing.failures) == (True, 2)
    (tmp_path / "seals.ndjson").unlink()
    assert sealing.seal()
    assert sealing.cut == ""


def test_seals_that_were_not_sent_are_sent_next_time_in_their_order_and_once(tmp_path: Path, sqlite_url: str) -> None:
    program = tmp_path / "send"
    program.write_text(f"#!/bin/sh\ntest -e {tmp_path}/away && exit 3\ncat >> {tmp_path}/received\n")
    program.chmod(0o700)
    file = tmp_path / "seals.ndjson"
    sealing = Sealing(settings_in(tmp_path, sqlite_url, seal_command=f"{program} 'a b'"))
    (tmp_path / "away").touch()
    for number in range(1, 3):
        write_decisions(sqlite_url, 1)
        assert not sealing.seal()
        assert sealing.failures == number
    assert sent_count_file(file) == tmp_path / "seals.ndjson.sent"
    assert sent_count_file(file).read_text() == ""
    assert len(file.read_bytes().splitlines()) == 2
    (tmp_path / "away").unlink()
    assert sealing.seal()
    assert sent_count_file(file).read_text() == "2"
    write_decisions(sqlite_url, 1)
    assert sealing.seal()
    assert (tmp_path / "received").read_bytes() == file.read_bytes()
    assert (sent_count_file(file).read_text(), sealing.failures) == ("3", 2)
