"""Whoever owns the database changes it; the seals, which are elsewhere, show each manipulation."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, select, text

from cds_hooks.evidence.audit.seals import RecordCut, Sealing, SealsUnusable, add_seal, read_seals
from cds_hooks.evidence.audit.verification import Audit, audit
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.monitor.verifying import verify
from cds_hooks.evidence.storage.chain import NOTHING_BEFORE, link_hash, row_digest
from cds_hooks.evidence.storage.database import engine_for, parse_url, reading_engine
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.tables import chain, decisions, plain_table
from cds_hooks.telemetry.metrics import Metrics
from cds_hooks.telemetry.metrics.page import page_of
from models_onnx.artifact.keys import Keys, Signer, local_signer
from tests.cds_hooks.evidence.decision_views.followed import follow
from tests.cds_hooks.evidence.storage.samples import a_decision, store
from tests.constants import settings_with
from tests.each import each_row, some_of
from tests.program import run_program
from tests.receiver import receiving

_PRETEND_RETENTION = "INSERT INTO removals (first_number, last_number, run) VALUES (5, 5, 'a')"
_ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return local_signer(tmp_path / "seal-key.pem", "record")[0]


@pytest.fixture
def seals(url: str, tmp_path: Path, signer: Signer) -> Path:
    """Two seals: after three decisions with feedback, and after three more and an approval."""
    file = tmp_path / "seals.ndjson"
    for _ in range(2):
        write_decisions(url, 3)
        assert add_seal(url, file, signer) is not None
    add_event(url, "approval", "A. Person", {"rule": "renal-metformin"})
    assert add_seal(url, file, signer) is not None
    assert add_seal(url, file, signer) is None, "nothing new, no seal"
    return file


def write_decisions(url: str, many: int) -> None:
    store(url, *(a_decision(decided_at=1_000, user_id="k:u") for _ in range(many)), answered=True)


def _audit(url: str, seals: Path, signer: Signer) -> Audit:
    return audit(url, read_seals(seals, key_files(signer)))


def key_files(signer: Signer) -> Keys:
    return {signer.public.id: signer.public}


def tamper_with(url: str, *statements: str, **values: Any) -> None:
    """As the owner of the database would: the triggers go first."""
    parsed = parse_url(url)
    off = []
    for table in ("decisions", "feedback", "chain"):
        if parsed.get_backend_name() == "sqlite":
            off += [f"DROP TRIGGER IF EXISTS {table}_refuse_{verb}" for verb in ("update", "delete")]
        else:
            off += [f"DROP TRIGGER IF EXISTS {table}_{name} ON {table}" for name in ("refuse", "refuse_row")]
    with engine_for(parsed).begin() as connection:
        for statement in (*off, *statements):
            connection.execute(text(statement), values)


def _rehash(url: str) -> None:
    """Recomputes every link after a change of decisions, so that the chain holds by itself again."""
    previous, plain = NOTHING_BEFORE, plain_table(decisions)
    with reading_engine(parse_url(url)).connect() as connection:
        rows = {row.sequence: row for row in connection.execute(select(plain))}
        links = connection.execute(select(chain).order_by(chain.c.sequence)).all()
    for link in links:
        row = rows.get(link.sequence)
        digest = row_digest("decisions", row) if row is not None else bytes(link.digest)
        previous = link_hash(previous, link.of_table, digest)
        change = "UPDATE chain SET digest = :digest, hash = :hash WHERE sequence = :sequence"
        tamper_with(url, change, digest=digest, hash=previous, sequence=link.sequence)


def _rewrite(url: str) -> None:
    tamper_with(url, "UPDATE decisions SET patient = 'another' WHERE sequence = 3")
    _rehash(url)


@each_row("statement")
def test_a_record_that_was_cut_is_not_sealed_on(url: str, seals: Path, signer: Signer, statement: str) -> None:
    tamper_with(url, statement)
    with pytest.raises(RecordCut, match="cut, rolled back or changed"):
        add_seal(url, seals, signer)
    if "UPDATE" in statement:  # a record without links takes no row that has the number of one
        write_decisions(url, 3)
    with pytest.raises(RecordCut):
        add_seal(url, seals, signer)


def _put_in(url: str) -> None:
    write_decisions(url, 1)


@pytest.mark.parametrize(
    ("manipulate", "finding"),
    some_of(
        [
            (_rewrite, "was rewritten after seal 1"),
            (lambda url: tamper_with(url, "DELETE FROM decisions WHERE sequence = 5"), "row 5 of decisions is missing"),
            (lambda url: tamper_with(url, "DELETE FROM chain WHERE sequence = 13"), "row 13, in seal 3"),
            (lambda url: tamper_with(url, "DELETE FROM chain WHERE sequence >= 4"), "row 12, in seal 2"),
            (lambda url: tamper_with(url, "DELETE FROM decisions"), "row 11 of decisions is missing"),
            (lambda url: tamper_with(url, "DELETE FROM feedback WHERE sequence = 6"), "row 6 of feedback is missing"),
            (
                lambda url: tamper_with(url, "UPDATE feedback SET client = 'x' WHERE sequence = 2"),
                "row 2 of feedback is not as",
            ),
            (_put_in, "it was put in afterwards"),
            (
                lambda url: tamper_with(url, "UPDATE feedback SET outcome_timestamp = X'FF' WHERE sequence = 2"),
                "feedback",
            ),
            (
                lambda url: tamper_with(url, _PRETEND_RETENTION, "DELETE FROM decisions WHERE sequence = 5"),
                "were taken out as",
            ),
        ],
        3,
    ),
)
@pytest.mark.sampled
def test_each_manipulation_is_found(
    url: str, seals: Path, signer: Signer, manipulate: Callable[[str], None], finding: str
) -> None:
    before = _audit(url, seals, signer)
    assert (before.findings, before.decisions, before.feedback, before.events, before.unsealed) == ([], 6, 6, 1, 0)
    manipulate(url)
    assert any(finding in one for one in _audit(url, seals, signer).findings), _audit(url, seals, signer).findings


def test_seals_that_were_changed_left_out_or_made_with_another_key_are_refused(
    sqlite_url: str, tmp_path: Path, signer: Signer
) -> None:
    file = tmp_path / "seals.ndjson"
    for _ in range(3):
        write_decisions(sqlite_url, 1)
        add_seal(sqlite_url, file, signer)
    lines = file.read_bytes().splitlines(keepends=True)
    other = local_signer(tmp_path / "other.pem", "other")[0]
    for changed, keys, reason in (
        (lines[:1] + lines[2:], signer, "seal 2 is missing"),
        ([lines[0].replace(b'"number":1', b'"number":2'), *lines[1:]], signer, "the signature of seal 1"),
        (lines, other, "which is not trusted here"),
        ([b"{}\n"], signer, "line 1 of the seals is not a seal"),
    ):
        file.write_bytes(b"".join(changed))
        with pytest.raises(SealsUnusable, match=reason):
            read_seals(file, key_files(keys))


def test_a_copied_file_that_lost_its_tail_is_found_by_the_command(
    sqlite_url: str, tmp_path: Path, signer: Signer
) -> None:
    file = tmp_path / "seals.ndjson"
    write_decisions(sqlite_url, 5)
    add_seal(sqlite_url, file, signer)
    words = ("record", "verify", "--against", str(file), "--key", str(tmp_path / "seal-key.pub.json"))
    whole = run_program(*words, "--database", sqlite_url)
    assert (whole.returncode, "is as it was sealed: 5 decisions" in whole.stdout) == (0, True)
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(Path(make_url(sqlite_url).database or ""), copy)
    tamper_with(f"sqlite:///{copy}", "DELETE FROM decisions WHERE sequence > 3")
    cut = run_program(*words, "--database", f"sqlite:///{copy}", "--json")
    assert cut.returncode == 1
    assert "is missing" in json.loads(cut.stdout)["findings"][0]


@pytest.mark.slow
def test_the_daily_verification_notes_a_fault_also_of_a_record_that_cannot_be_read(sqlite_url: str) -> None:
    write_decisions(sqlite_url, 5)
    book, configured = CountBook(follow(sqlite_url)), settings_with(database_url=sqlite_url)
    file = Path(make_url(sqlite_url).database or "")

    def noted(exit_code: int) -> str:
        assert asyncio.run(verify(configured)) == exit_code
        last = book.last_verification()
        assert last is not None
        return last.fault

    assert noted(0) == ""
    tamper_with(sqlite_url, "DELETE FROM decisions WHERE sequence = 3")
    assert "row 3 of decisions is missing" in noted(1)
    for beside in file.parent.glob(f"{file.name}*"):
        beside.unlink()
    file.write_bytes(b"no database at all" * 1000)
    assert "cannot be read" in noted(1)


@pytest.mark.slow
def test_the_right_to_insert_and_read_is_enough_in_postgres(postgres_url: str, tmp_path: Path, signer: Signer) -> None:
    """The role of docs/operations/evidence.md: it serves, takes feedback, and is audited by one that can only read."""
    asyncio.run(open_decision_log(postgres_url).close())
    grants = (_ROOT / "docs/operations/insert-only-role.sql").read_text(encoding="utf-8")
    name = make_url(postgres_url).database
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for role in ("cds_hooks", "cds_auditor"):
            connection.execute(f"DROP ROLE IF EXISTS {role}")
        connection.execute(grants.replace("DATABASE_NAME", str(name)))
    serves = make_url(postgres_url).set(username="cds_hooks").render_as_string(hide_password=False)
    audits = make_url(postgres_url).set(username="cds_auditor").render_as_string(hide_password=False)
    write_decisions(serves, 4)
    file = tmp_path / "seals.ndjson"
    add_seal(audits, file, signer)
    assert _audit(audits, file, signer).findings == []
    for statement in (
        "UPDATE decisions SET patient = 'x'",
        "DELETE FROM feedback",
        "TRUNCATE decisions",
        "DROP TRIGGER decisions_refuse ON decisions",
        "ALTER TABLE decisions DISABLE TRIGGER ALL",
    ):
        with psycopg.connect(serves) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY cds_hooks, cds_auditor")
        connection.execute("DROP ROLE cds_hooks, cds_auditor")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights")
def test_the_right_to_read_is_enough_for_an_sqlite_file(sqlite_url: str, tmp_path: Path, signer: Signer) -> None:
    file = tmp_path / "seals.ndjson"
    write_decisions(sqlite_url, 3)
    add_seal(sqlite_url, file, signer)
    folder = Path(tempfile.mkdtemp(prefix="cds-readonly-"))
    for source in (Path(make_url(sqlite_url).database or ""), file, tmp_path / "seal-key.pub.json"):
        shutil.copy(source, folder)
        (folder / source.name).chmod(0o444)
    folder.chmod(0o555)
    program = (
        "import sys; from cds_hooks.evidence.audit.seals import read_seals; "
        "from cds_hooks.evidence.audit.verification import audit; "
        "from models_onnx.artifact.keys import read_keys; from pathlib import Path; import os; "
        "os.setgid(65534); os.setuid(65534); f = Path(sys.argv[1]); "
        "found = audit(f'sqlite:///{f}/decisions.sqlite3', read_seals(f / 'seals.ndjson', "
        "read_keys(f / 'seal-key.pub.json'))); print(found.decisions, found.findings)"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, cwd=_ROOT)
    assert (ran.stdout.strip(), ran.stderr) == ("3 []", "")
    shutil.rmtree(folder)


_SENDER = """
import sys, urllib.request
line = sys.stdin.buffer.read().strip()
with open(sys.argv[1], "ab") as away:
    away.write(line + b"\\n")
urllib.request.urlopen(sys.argv[2], line)
"""


def test_each_seal_leaves_the_machine_by_command_and_by_http_and_a_failure_is_made_up_for(
    sqlite_url: str, tmp_path: Path, signer: Signer
) -> None:
    with receiving() as receiver:
        receiver.answers = [500]
        away, url = tmp_path / "away.ndjson", receiver.url
        sender = tmp_path / "send.py"
        sender.write_text(_SENDER)
        sealing = Sealing(
            settings_with(
                database_url=sqlite_url,
                seal_key=tmp_path / "seal-key.pem",
                seal_file=tmp_path / "seals.ndjson",
                seal_command=f"{sys.executable} {sender} {away} {url}",
            )
        )
        write_decisions(sqlite_url, 1)
        began = sealing.sealed_at
        assert not sealing.seal(), "the receiver failed"
        assert (sealing.failures, sealing.sealed_at) == (1, began)
        write_decisions(sqlite_url, 1)
        assert sealing.seal()
        assert sealing.failures == 1
        assert began is not None
        assert (sealing.sealed_at or 0) > began
    lines = (tmp_path / "seals.ndjson").read_bytes().splitlines()
    assert [body for _, body in receiver.posts] == lines
    assert len(lines) == 2
    assert set(away.read_bytes().splitlines()) == set(lines)
    again = Sealing(settings_with(seal_key=tmp_path / "seal-key.pem", seal_file=tmp_path / "seals.ndjson"))
    assert again.sealed_at == read_seals(tmp_path / "seals.ndjson", key_files(signer))[-1].time.timestamp()
    metrics = Metrics()
    metrics.seal_failures, metrics.sealed_at = lambda: sealing.failures, lambda: again.sealed_at
    page = page_of([metrics.snapshot()]).decode()
    assert "cds_seal_failures_total 1.0" in page
    assert float(page.partition("\ncds_sealed_until_timestamp_seconds ")[2].splitlines()[0]) == again.sealed_at
