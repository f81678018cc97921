"""Archives and exports part by part: spans, what is signed, where a decision can be, and the lines of an export."""

import hashlib
import json
import lzma
from pathlib import Path
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from cds_hooks.audit.archive import (
    Archive,
    Span,
    _spans,
    archive,
    archives,
    digest_of_spans,
    find_archived,
    is_archive,
    read_archive,
    removed_spans,
    restore_archive,
    verified_archives,
)
from cds_hooks.audit.holds import Hold, hold, holds
from cds_hooks.audit.transfer import _csv_line, _everything, _version_of, audit_event, row_as_json, row_from_json
from cds_hooks.audit.verification import Audit, _Gaps, audit
from cds_hooks.storage.decision import Decision, RecordUnavailable
from cds_hooks.storage.queries import read_rows
from models_onnx.artifact.keys import Signer, local_signer
from tests.cds_hooks.audit.test_archive import NEW, OLD, _write, signer
from tests.cds_hooks.storage.conftest import sqlite_url

__all__ = ["signer", "sqlite_url"]

A, B, C, D = (bytes([number]) * 2 for number in range(1, 5))


def test_rows_that_follow_each_other_are_one_span_unless_a_chain_began_after_one() -> None:
    rows = [("x", 1, b"", A), ("x", 2, A, B), ("x", 4, C, D), ("y", 5, b"", A), ("y", 6, A, B)]
    assert _spans(rows, set()) == [
        Span("x", 1, 2, "", "0202"), Span("x", 4, 4, "0303", "0404"), Span("y", 5, 6, "", "0202"),
    ]  # fmt: skip
    assert _spans(rows[:2], {A}) == [Span("x", 1, 1, "", "0101"), Span("x", 2, 2, "0101", "0202")]
    assert _spans(rows[:2], {B}) == [Span("x", 1, 2, "", "0202")]
    assert _spans([], set()) == []


def test_the_digest_of_spans_does_not_depend_on_their_order() -> None:
    spans = [Span("y", 1, 2, "a", "b"), Span("x", 3, 4, "c", "d"), Span("x", 1, 2, "e", "f")]
    written = b'[["x",1,2,"e","f"],["x",3,4,"c","d"],["y",1,2,"a","b"]]'
    assert digest_of_spans(spans) == hashlib.sha256(written).hexdigest()


DAY = 86_400_000_000
MADE = Archive(
    name="a.xz", path="/a.xz", sha256="0", client="ehr", before=9, decisions=3, feedback=0, first_at=DAY,
    last_at=2 * DAY - 1, spans="s",
)  # fmt: skip


def test_an_archive_is_called_by_its_days() -> None:
    assert MADE.words == "a.xz (3 decisions of ehr, 1970-01-02 to 1970-01-02)"
    assert replace(MADE, last_at=2 * DAY).words == "a.xz (3 decisions of ehr, 1970-01-02 to 1970-01-03)"


def test_what_an_archive_has_and_what_is_signed_of_it(sqlite_url: str, tmp_path: Path, signer: Signer) -> None:
    old = _write(sqlite_url, ("a", OLD), ("b", OLD), ("a", OLD + 7), ("a", NEW))
    file = tmp_path / "a.xz"
    made = archive(sqlite_url, "a", NEW, file, "Ann", signer)
    assert made == Archive(
        name="a.xz", path=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest(), client="a", before=NEW,
        decisions=2, feedback=2, first_at=OLD, last_at=OLD + 7,
        spans=digest_of_spans(removed_spans(sqlite_url)["a.xz"]),
    )  # fmt: skip
    assert made is not None
    assert [(span.first, span.last) for span in sorted(removed_spans(sqlite_url)["a.xz"])[:2]] == [(1, 1), (3, 3)]
    assert archives(sqlite_url) == [made]
    assert verified_archives(sqlite_url, {signer.public.id: signer.public}) == {"a.xz": made}
    stranger = local_signer(tmp_path / "stranger.pem", "x")[0]
    assert verified_archives(sqlite_url, {stranger.public.id: stranger.public}) == {}
    assert verified_archives(sqlite_url, {signer.public.id: stranger.public}) == {}
    assert [row["id"] for name, row in read_archive(file) if name == "decisions"] == [old[0].id, old[2].id]
    assert archive(sqlite_url, "a", OLD, tmp_path / "none.xz", "Ann", signer) is None
    assert archive(sqlite_url, "nobody", NEW, tmp_path / "none.xz", "Ann", signer) is None
    with pytest.raises(FileExistsError):
        archive(sqlite_url, "b", NEW, file, "Ann", signer)
    assert restore_archive(file, sqlite_url, "Ben") == made
    (entry,) = (row for row in read_rows(sqlite_url, _events()) if row.kind == "restore")
    assert (entry.actor, orjson.loads(entry.detail)) == ("Ben", {"archive": "a.xz", "sha256": made.sha256})


def _events() -> Any:
    from sqlalchemy import select

    from cds_hooks.storage.tables import events

    return select(events)


def _id_at(microseconds: int, end: str = "7000-8000-000000000000") -> str:
    digits = f"{microseconds // 1000:012x}"
    return f"{digits[:8]}-{digits[8:]}-{end}"


def test_a_decision_can_be_in_an_archive_of_its_time(sqlite_url: str, tmp_path: Path, signer: Signer) -> None:
    begin = 1_000_000_000_000_000
    _write(sqlite_url, ("a", begin), ("a", begin + DAY), ("b", NEW))
    made = archive(sqlite_url, "a", NEW, tmp_path / "a.xz", "Ann", signer)
    assert find_archived(sqlite_url, _id_at(begin)) == ([], False)  # the file is here, and has it not
    (tmp_path / "a.xz").rename(tmp_path / "away.xz")
    minute = 60_000_000
    for at, is_possible in (
        (begin, True), (begin - minute, True), (begin - minute - 1000, False), (begin + DAY + minute, True),
        (begin + DAY + minute + 1000, False),
    ):  # fmt: skip
        assert find_archived(sqlite_url, _id_at(at)) == ([made] if is_possible else [], False)
    assert find_archived(sqlite_url, "no id") == ([], False)


def test_a_file_is_an_archive_by_its_first_line(tmp_path: Path) -> None:
    file = tmp_path / "f"
    for content, expected in (
        (lzma.compress(b'{"archive":"x"}\n'), False),
        (lzma.compress(b"[]\n"), False),
        (lzma.compress(b"no json\n"), False),
        (b"no archive", False),
        (b"", False),
    ):
        file.write_bytes(content)
        assert is_archive(file) is expected
    with pytest.raises(FileNotFoundError):
        is_archive(tmp_path / "none")


def test_a_hold_says_what_it_is_about_and_who_set_it(sqlite_url: str) -> None:
    _write(sqlite_url, ("a", OLD))
    first = hold(sqlite_url, "patient", "p1", "case 1", "Ann")
    (found,) = holds(sqlite_url)
    assert found == Hold(first, "patient", "p1", "case 1", "Ann", found.at)
    assert len(first) == 8


# Verification


def test_of_very_many_findings_the_first_fifty_are_kept() -> None:
    report = Audit(0)
    for number in range(52):
        report.say(str(number))
    assert report.findings == [str(number) for number in range(50)]


def test_rows_that_no_server_writes_are_findings(sqlite_url: str) -> None:
    import sqlite3
    from contextlib import closing

    progress: list[int] = []
    _write(sqlite_url, ("a", OLD), ("a", OLD))
    assert audit(sqlite_url, on_progress=progress.append).findings == []
    assert progress == []
    for statement, finding in (
        ("UPDATE feedback SET previous = zeroblob(32) WHERE position = 2",
         ["row 2 of feedback does not follow the row before it", "row 2 of feedback was changed"]),
        ("UPDATE feedback SET position = NULL WHERE position = 2",
         ["a row of feedback (number 2) is in no chain: no server wrote it"]),
        ("UPDATE decisions SET basis = 5 WHERE position = 2",
         ["a row of decisions holds what no server writes there, and the rows after it were not compared"]),
    ):  # fmt: skip
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection:
            for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {trigger}")
            connection.execute(statement)
            connection.commit()
        found = audit(sqlite_url).findings
        assert set(finding) <= set(found), found


def test_spans_are_taken_once(sqlite_url: str, tmp_path: Path, signer: Signer) -> None:
    _write(sqlite_url, ("a", OLD), ("b", OLD), ("a", NEW))
    archive(sqlite_url, "a", NEW, tmp_path / "a.xz", "Ann", signer)
    report = Audit(0)
    gaps = _Gaps(sqlite_url, {signer.public.id: signer.public}, report, tmp_path)
    spans = removed_spans(sqlite_url)["a.xz"]
    assert report.findings == []
    assert gaps.hashes() == {bytes.fromhex(span.hash) for span in spans}
    assert gaps.chains() == {span.chain for span in spans} - {"feedback"}
    assert gaps.inside == {(span.chain, 1): span.hash for span in spans}
    one = spans[0]
    assert gaps.pop(one.chain, 2) is None
    assert gaps.pop(one.chain, 1) == (one, "a.xz")
    assert gaps.pop(one.chain, 1) is None


# Exports


DECIDED = Decision(
    id="d1", decided_at=1_795_182_000_500_400, hook="patient-view", service="s", hook_instance="h1", client="ehr",
    patient="Patient/p1", outcome="cards", input_digest="x", models=b'[{"id":"m"}]', response=b'{"cards":[]}',
    basis=b'{"as_of":"x"}', user_id="Practitioner/1", facts=b"secret",
)  # fmt: skip
EVENT: dict[str, Any] = {
    "resourceType": "AuditEvent",
    "id": "d1",
    "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
    "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": "operation"}],
    "action": "E",
    "recorded": "2026-11-20T13:40:00.500+00:00",
    "outcome": "0",
    "agent": [
        {"who": {"display": "ehr"}, "requestor": False},
        {"who": {"identifier": {"value": "Practitioner/1"}}, "requestor": True},
    ],
    "source": {"observer": {"display": "cds-hooks service s"}},
    "entity": [
        {"what": {"identifier": {"value": "p1"}}, "type": {"code": "1"}},
        {"what": {"identifier": {"value": "h1"}}, "name": "hook patient-view"},
    ],
}


def test_a_decision_as_an_event_says_who_was_told_something_and_not_what() -> None:
    assert audit_event(DECIDED) == EVENT
    unknown = replace(DECIDED, client="", service="", patient="", hook_instance="", user_id=None, outcome="error")
    assert audit_event(unknown) == EVENT | {
        "outcome": "4",
        "agent": [{"who": {"display": "unknown"}, "requestor": True}],
        "source": {"observer": {"display": "cds-hooks service unknown"}},
        "entity": [
            {"what": {"identifier": {"value": "unknown"}}, "type": {"code": "1"}},
            {"what": {"identifier": {"value": "unknown"}}, "name": "hook patient-view"},
        ],
    }


def test_an_export_has_everything_but_the_facts() -> None:
    every = _everything(DECIDED)
    assert "facts" not in every
    assert (every["models"], every["response"], every["basis"]) == ([{"id": "m"}], {"cards": []}, {"as_of": "x"})
    assert (every["id"], every["decided_at"], every["user_id"]) == ("d1", 1_795_182_000_500_400, "Practitioner/1")
    json.dumps(every)


def test_a_spreadsheet_is_given_no_formulas() -> None:
    assert _csv_line(["=1", "+1", "-1", "@x", "\tx", "a=1", "", 5, None]) == b"'=1,'+1,'-1,'@x,'\tx,a=1,,5,\r\n"
    assert _csv_line(["\rx"]) == b'"\'\rx"\r\n'


def test_bytes_of_a_row_are_base64_in_a_backup() -> None:
    row = {"a": b"\x00\x01", "b": 5, "c": None, "d": "x"}
    assert row_as_json(row | {"a": memoryview(b"\x00\x01")}) == {"a": {"base64": "AAE="}, "b": 5, "c": None, "d": "x"}
    assert row_from_json(row_as_json(row)) == row


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (lzma.compress(b'{"record":"9999"}\n'), "newer"),
        (lzma.compress(b'{"record":"4"}\n'), "is not a backup of a record that this version knows"),
        (lzma.compress(b'{"record":4}\n'), "is not a backup of a record that this version knows"),
        (lzma.compress(b'{"archive":"x"}\n'), "is no complete backup of a record; nothing was restored"),
        (lzma.compress(b"5\n"), "is no complete backup of a record; nothing was restored"),
        (b"x", "is no complete backup of a record; nothing was restored"),
    ],
)
def test_a_backup_says_of_which_schema_it_is(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(RecordUnavailable, match=text):
        _version_of(tmp_path / "b")
    (tmp_path / "b").write_bytes(lzma.compress(b'{"record":"0004"}\n'))
    assert _version_of(tmp_path / "b") == "0004"
