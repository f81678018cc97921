"""Backup, restore and export: from one database into the other, with every hash and seal as before."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from cds_hooks.audit.seals import add_seal, read_seals
from cds_hooks.audit.transfer import back_up, export, restore
from cds_hooks.audit.verification import audit
from cds_hooks.storage import RecordUnavailable
from cds_hooks.storage.queries import DecisionFilter, feedback_on, list_decisions
from models_onnx.artifact.keys import local_signer
from tests.cds_hooks.storage.conftest import postgres_server, postgres_url, sqlite_url
from tests.cds_hooks.storage.samples import a_decision, store
from tests.program import run_program

__all__ = ["postgres_server", "postgres_url", "sqlite_url"]


def _write(url: str) -> None:
    store(url, *(a_decision(user_id="k:u", patient=f"=p{number}") for number in range(3)), answered=True)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["to postgres", "to sqlite"])
def test_a_backup_is_restored_into_the_other_database_and_its_seals_hold(
    sqlite_url: str, postgres_url: str, tmp_path: Path, way: str
) -> None:
    source, target = (sqlite_url, postgres_url) if way == "to postgres" else (postgres_url, sqlite_url)
    signer = local_signer(tmp_path / "key.pem", "record")[0]
    seals, file = tmp_path / "seals.ndjson", tmp_path / "backup.xz"
    _write(source)
    add_seal(source, seals, signer)
    assert back_up(source, file) == 6
    assert file.stat().st_mode & 0o777 == 0o600
    assert restore(file, target) == 6
    assert list_decisions(target) == list_decisions(source)
    assert feedback_on(target, list_decisions(target)[0].id) == feedback_on(source, list_decisions(source)[0].id)
    with pytest.raises(RecordUnavailable, match="not empty"):
        restore(file, target)
    _write(target)  # the record goes on where the backup ended
    found = audit(target, read_seals(seals, {signer.public.id: signer.public}))
    assert (found.decisions, found.unsealed) == (6, 3)
    assert [one for one in found.findings if "put in afterwards" not in one] == []


def test_a_backup_that_cannot_be_finished_is_no_file(sqlite_url: str, tmp_path: Path) -> None:
    _write(sqlite_url)
    file = tmp_path / "backup.xz"
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("ALTER TABLE outcomes RENAME TO elsewhere")  # the last table that is read
        connection.commit()
        with pytest.raises(RecordUnavailable):
            back_up(sqlite_url, file)
        assert not file.exists()
        connection.execute("ALTER TABLE elsewhere RENAME TO outcomes")
        connection.commit()
    assert back_up(sqlite_url, file) == 6
    whole = file.read_bytes()
    with pytest.raises(FileExistsError):
        back_up(sqlite_url, file)
    assert file.read_bytes() == whole


def test_a_torn_backup_restores_nothing(sqlite_url: str, tmp_path: Path) -> None:
    _write(sqlite_url)
    file, other = tmp_path / "backup.xz", f"sqlite:///{tmp_path}/other.sqlite3"
    back_up(sqlite_url, file)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(RecordUnavailable, match="nothing was restored"):
        restore(file, other)
    assert list_decisions(other) == []


def test_exports_are_what_others_read(sqlite_url: str) -> None:
    _write(sqlite_url)
    found = list_decisions(sqlite_url)
    texts = {}
    for form in ("ndjson", "csv", "fhir"):
        texts[form] = io.BytesIO()
        assert export(sqlite_url, DecisionFilter(), form, texts[form]) == 3
    lines = [json.loads(line) for line in texts["ndjson"].getvalue().splitlines()]
    assert [line["id"] for line in lines] == [one.id for one in found]
    assert lines[0]["response"]["cards"][0]["indicator"] == "info"
    rows = list(csv.DictReader(io.StringIO(texts["csv"].getvalue().decode())))
    assert [row["id"] for row in rows] == [one.id for one in found]
    assert rows[0]["patient"].startswith("'="), "a spreadsheet takes it for text"
    for line in texts["fhir"].getvalue().splitlines():
        AuditEvent.model_validate_json(line)
        assert json.loads(line)["agent"][1]["who"]["identifier"]["value"] == "k:u"


def test_the_commands_write_and_refuse(sqlite_url: str, tmp_path: Path) -> None:
    _write(sqlite_url)
    file = tmp_path / "b.xz"
    assert run_program("record", "backup", str(file), "--database", sqlite_url).returncode == 0
    assert run_program("record", "backup", str(file), "--database", sqlite_url).returncode == 1
    restored = f"sqlite:///{tmp_path}/r.sqlite3"
    assert "6 rows restored" in run_program("record", "restore", str(file), "--database", restored).stdout
    printed = run_program("record", "export", "--format", "fhir", "--database", restored).stdout
    assert len(printed.splitlines()) == 3
