"""Backup, restore and export: from one database into the other, with every hash and seal as before."""

import csv
import io
import json
import lzma
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from msgspec.structs import replace

from cds_hooks.evidence.audit.seals import add_seal, read_seals
from cds_hooks.evidence.audit.transfer import audit_event, back_up, export, restore
from cds_hooks.evidence.audit.verification import audit
from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable
from cds_hooks.evidence.storage.queries import DecisionFilter, feedback_on
from cds_hooks.people.web.files import csv_of
from models_onnx.artifact.keys import local_signer
from tests.cds_hooks.evidence.storage.samples import a_decision, store
from tests.program import run_program
from tests.recorded import list_decisions


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
    assert back_up(source, file) == 12, "each row with its link"
    assert file.stat().st_mode & 0o777 == 0o600
    assert restore(file, target) == 12
    assert list_decisions(target) == list_decisions(source)
    assert feedback_on(target, list_decisions(target)[0].id) == feedback_on(source, list_decisions(source)[0].id)
    with pytest.raises(RecordUnavailable, match="not empty"):
        restore(file, target)
    _write(target)  # the record goes on where the backup ended
    found = audit(target, read_seals(seals, {signer.public.id: signer.public}))
    assert (found.decisions, found.unsealed) == (6, 6)
    assert [one for one in found.findings if "put in afterwards" not in one] == []


def test_a_backup_that_cannot_be_finished_is_no_file(sqlite_url: str, tmp_path: Path) -> None:
    _write(sqlite_url)
    file = tmp_path / "backup.xz"
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("ALTER TABLE events RENAME TO elsewhere")  # the last table that is read
        connection.commit()
        with pytest.raises(RecordUnavailable):
            back_up(sqlite_url, file)
        assert not file.exists()
        connection.execute("ALTER TABLE elsewhere RENAME TO events")
        connection.commit()
    assert back_up(sqlite_url, file) == 12
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
    assert "14 rows restored" in run_program("record", "backup", "--restore", str(file), "--database", restored).stdout
    printed = run_program("record", "export", "--format", "fhir", "--database", restored).stdout
    assert len(printed.splitlines()) == 3


DECIDED = Decision(
    id="d1", decided_at=1_795_182_000_500_400, hook="patient-view", service="s", hook_instance="h1", client="ehr",
    patient="Patient/p1", outcome="cards", input_digest="x", models=b'[{"id":"m"}]', response=b'{"cards":[]}',
    basis=b'{"as_of":"x"}', user_id="Practitioner/1", facts=b"secret",
)  # fmt: skip
EVENT: dict[str, Any] = {
    "resourceType": "AuditEvent", "id": "d1",
    "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
    "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": "operation"}], "action": "E",
    "recorded": "2026-11-20T13:40:00.500+00:00", "outcome": "0",
    "agent": [{"who": {"display": "ehr"}, "requestor": False},
              {"who": {"identifier": {"value": "Practitioner/1"}}, "requestor": True}],
    "source": {"observer": {"display": "cds-hooks service s"}},
    "entity": [{"what": {"identifier": {"value": "p1"}}, "type": {"code": "1"}},
               {"what": {"identifier": {"value": "h1"}}, "name": "hook patient-view"}],
}  # fmt: skip


def test_a_decision_as_an_event_says_who_was_told_something_and_not_what() -> None:
    assert audit_event(DECIDED) == EVENT
    unknown = replace(DECIDED, client="", service="", patient="", hook_instance="", user_id="", outcome="error")
    assert audit_event(unknown) == EVENT | {
        "outcome": "4", "agent": [{"who": {"display": "unknown"}, "requestor": True}],
        "source": {"observer": {"display": "cds-hooks service unknown"}},
        "entity": [{"what": {"identifier": {"value": "unknown"}}, "type": {"code": "1"}},
                   {"what": {"identifier": {"value": "unknown"}}, "name": "hook patient-view"}],
    }  # fmt: skip


def test_a_spreadsheet_is_given_no_formulas() -> None:
    assert csv_of([["=1", "+1", "-1", "@x", "\tx", "a=1", "", 5, None]]) == b"'=1,'+1,'-1,'@x,'\tx,a=1,,5,\r\n"
    assert csv_of([["\rx"]]) == b'"\'\rx"\r\n'


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (lzma.compress(b'{"record":"9999"}\n'), "this version reads"),
        (lzma.compress(b'{"seals":"x"}\n'), "is not a complete backup of a record; nothing was restored"),
        (lzma.compress(b"5\n"), "is not a complete backup of a record; nothing was restored"),
        (
            lzma.compress(b'{"record":"0004"}\n["accounts",{}]\n'),
            "has rows of 'accounts', which is not a table of the record",
        ),
        (b"x", "is not a complete backup of a record; nothing was restored"),
    ],
)
def test_what_is_no_backup_of_this_version_is_refused(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(RecordUnavailable, match=text):
        restore(tmp_path / "b", f"sqlite:///{tmp_path}/r.sqlite3")
