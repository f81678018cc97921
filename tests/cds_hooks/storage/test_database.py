"""How a database is opened, named and blamed, how entries are chained, and how outcomes are read: on SQLite alone."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import OperationalError

from cds_hooks.access.accounts import (
    TRIES_FOR_A_NAME,
    AccountRefused,
    TooManyTries,
    add_account,
    check_login,
    count_try,
    disable_account,
)
from cds_hooks.access.code_flow import UnderWay, come_back, send_away
from cds_hooks.access.roles import Role
from cds_hooks.access.sessions import Lifetimes, Person, Sessions
from cds_hooks.access.store import AccessStore
from cds_hooks.audit.transfer import back_up, restore
from cds_hooks.audit.verification import audit
from cds_hooks.decision_views.file import Mark
from cds_hooks.decision_views.follow import is_there, settled
from cds_hooks.storage import opening
from cds_hooks.storage.database import (
    database_error_reason,
    engine_for,
    make_file,
    parse_url,
    reading_engine,
    sqlite_file,
)
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.opening import open_decision_log, upgrade_schema
from cds_hooks.storage.outcomes import (
    Outcome,
    completed,
    count_outcomes,
    list_outcomes,
    outcomes_after,
    store_outcomes,
)
from cds_hooks.storage.queries import get_decision, list_decisions, read_rows
from cds_hooks.storage.tables import SCHEMA_VERSION, decisions
from tests.cds_hooks.access.browsing import PASSWORD
from tests.cds_hooks.storage.samples import a_decision, store
from tests.conftest import ROOT
from tests.each import for_rows


@for_rows(
    ("url", "driver"),
    [
        ("sqlite:///a.sqlite3", "sqlite"), ("postgresql://h/d", "postgresql+psycopg"),
        ("postgres://h/d", "postgresql+psycopg"), ("postgresql+psycopg2://h/d", "postgresql+psycopg"),
    ],
)  # fmt: skip
def test_a_record_is_in_sqlite_or_postgresql(url: str, driver: str) -> None:
    assert parse_url(url).drivername == driver
    assert sqlite_file(parse_url("sqlite:///a.sqlite3")) == Path("a.sqlite3")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nothing", "the database URL is not an SQLAlchemy URL such as sqlite:///var/decisions.sqlite3"),
        ("sqlite://", "the record is kept in an SQLite file or in PostgreSQL, not in sqlite://"),
        ("mysql://u:secret@h/d", "the record is kept in an SQLite file or in PostgreSQL, not in mysql://u:***@h/d"),
    ],
)
def test_any_other_database_is_refused_without_its_password(url: str, text: str) -> None:
    with pytest.raises(RecordUnavailable) as refused:
        parse_url(url)
    assert str(refused.value) == text


def test_the_cause_is_one_line_without_values() -> None:
    error = OperationalError("INSERT", {"a": "Ann Smith"}, sqlite3.OperationalError("database is locked\nmore"))
    assert database_error_reason(error) == "database is locked"
    assert database_error_reason(OSError(28, "No space left on device")) == "No space left on device"
    assert database_error_reason(OSError()) == "OSError"
    assert database_error_reason(ImportError()) == "ImportError"
    assert database_error_reason(ImportError("\n first \nsecond")) == "first "


def test_a_file_is_made_for_its_owner_and_of_the_folders_only_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        make_file(Path("var/r.sqlite3"))
    assert Path("var/r.sqlite3").stat().st_mode & 0o777 == 0o600
    make_file(tmp_path / "r.sqlite3")
    with pytest.raises(RecordUnavailable, match=r"^the folder other of the record is not there, and none is made, "):
        make_file(Path("other/r.sqlite3"))
    Path("file").write_text("")
    with pytest.raises(RecordUnavailable, match="is not there"):
        make_file(Path("file/r.sqlite3"))
    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(Path, "touch", _no_room)
    with pytest.raises(RecordUnavailable, match=r"^the record closed/r\.sqlite3 cannot be made: No space left$"):
        make_file(Path("closed/r.sqlite3"))


def _no_room(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left")


def test_one_engine_writes_with_the_lock_and_the_other_cannot_write(sqlite_url: str) -> None:
    url = parse_url(sqlite_url)
    upgrade_schema(url)
    with engine_for(url).connect() as connection:
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                  ("journal_mode", "synchronous", "secure_delete")]  # fmt: skip
        assert values == ["wal", 1, 1]
    locked = pytest.raises(sqlite3.OperationalError, match="locked")
    with closing(sqlite3.connect(sqlite_file(url), timeout=0)) as other, engine_for(url).begin(), locked:
        other.execute("BEGIN IMMEDIATE")
    with reading_engine(url).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA query_only").scalar() == 1
        with pytest.raises(OperationalError, match="readonly"):
            connection.execute(text("DELETE FROM record_schema"))
    nowhere = parse_url("sqlite:///nowhere/r.sqlite3")
    with pytest.raises(RecordUnavailable) as refused:
        reading_engine(nowhere)
    assert str(refused.value) == "there is no record at nowhere/r.sqlite3 yet; a server makes it when it starts"


def test_a_row_is_there_until_it_was_lost(sqlite_url: str) -> None:
    store(sqlite_url, a_decision(), a_decision(), a_decision())
    rows = read_rows(sqlite_url, select(decisions.c.sequence, decisions.c.hash).order_by(decisions.c.sequence))
    marks = [Mark(row.sequence, bytes(row.hash)) for row in rows]
    assert [is_there(sqlite_url, decisions, mark) for mark in (Mark(), *marks)] == [True] * 4
    assert not is_there(sqlite_url, decisions, replace(marks[2], hash=b"x" * 32))
    assert not is_there(sqlite_url, decisions, Mark(marks[2].sequence + 1, b"x" * 32))
    assert is_there(sqlite_url, decisions, Mark(0, b"x" * 32))
    assert settled(sqlite_url, Mark()) == settled(sqlite_url, marks[0]) == marks[2]


# Outcomes


DEATH = Outcome("d1", "s", "a", "event", "death", "yes", "2026-11-20", "api", 5)


def _stored(sqlite_url: str, *items: Outcome) -> list[Outcome]:
    return store_outcomes(parse_url(sqlite_url), items)


def test_outcomes_are_listed_and_counted(sqlite_url: str) -> None:
    upgrade_schema(parse_url(sqlite_url))
    said = replace(DEATH, decision=None, kind="complete", value="2026-11-01", happened=None)
    other = replace(DEATH, decision="d2", client="b")
    corrected = replace(DEATH, value="no")
    _stored(sqlite_url, DEATH, said, other, corrected, replace(said, value="2026-11-15"))
    assert said.key == ("a", "complete", "death")
    newest = [(item.client, item.kind, item.value, item.version) for item in list_outcomes(sqlite_url, 9)]
    assert newest == [
        ("a", "complete", "2026-11-15", 2), ("a", "event", "no", 2), ("b", "event", "yes", 1),
        ("a", "complete", "2026-11-01", 1), ("a", "event", "yes", 1),
    ]  # fmt: skip
    assert [item.value for item in list_outcomes(sqlite_url, 2)] == ["2026-11-15", "no"]
    assert [item.decision for item in list_outcomes(sqlite_url, 9, client="b")] == ["d2"]
    assert list_outcomes(sqlite_url, 9, subject="x") == []
    assert [(number, item.value) for number, item in outcomes_after(sqlite_url, 3, 9)] == [(4, "no"), (5, "2026-11-15")]
    assert [number for number, _ in outcomes_after(sqlite_url, 0, 2)] == [1, 2]
    assert count_outcomes(sqlite_url) == [("a", "event", "death", "no", 1, 1), ("b", "event", "death", "yes", 1, 0)]
    assert completed(sqlite_url) == {("a", "death"): "2026-11-15"}
    with pytest.raises(RecordUnavailable, match=r"^outcomes cannot be stored: "):
        _stored("sqlite:////nowhere/r.sqlite3", DEATH)


# The schema: up from nothing, once, and as `tables.py` says.


@pytest.fixture
def postgres_url(bare_postgres_url: str) -> str:
    """Here without a record."""
    return bare_postgres_url


def test_from_nothing_and_again(url: str) -> None:
    for _ in range(2):
        opening.upgrade_schema(parse_url(url))
        with reading_engine(parse_url(url)).connect() as connection:
            assert opening.schema_version(connection) == SCHEMA_VERSION


@pytest.mark.parametrize("change", ["UPDATE record_schema SET version = '0000'", "DROP TABLE record_schema"])
def test_a_record_with_the_tables_of_another_version_is_refused_and_stays_as_it_was(url: str, change: str) -> None:
    opening.upgrade_schema(parse_url(url))
    with engine_for(parse_url(url)).begin() as connection:
        connection.execute(text(change))
    with pytest.raises(RecordUnavailable, match=r"this version reads '0001' only: install the version that wrote it"):
        opening.upgrade_schema(parse_url(url))


def test_the_folder_of_a_record_is_not_made_because_its_volume_may_not_be_mounted(tmp_path: Path) -> None:
    folder = tmp_path / "volume" / "record"
    with pytest.raises(RecordUnavailable, match="mount its volume"):
        upgrade_schema(parse_url(f"sqlite:///{folder}/decisions.sqlite3"))
    assert not folder.exists()
    folder.mkdir(parents=True)
    upgrade_schema(parse_url(f"sqlite:///{folder}/decisions.sqlite3"))


# Accounts and sessions in SQLite and PostgreSQL, there also with the rights of the role that inserts decisions.
ANN = Person("account ann", "Ann", frozenset({"viewer"}), "ann")
LIFETIMES = Lifetimes(900, 3600)


def test_accounts_sessions_and_logins_under_way_are_kept_in_both_databases(url: str) -> None:
    store = AccessStore(url)
    add_account(store, "ann", "Ann", frozenset({Role.VIEWER}), PASSWORD)
    assert check_login(AccessStore(url), "ann", PASSWORD) is not None
    token = Sessions(store, LIFETIMES, secure=False).begin(ANN)
    other = Sessions(AccessStore(url), LIFETIMES, secure=False)  # another worker
    visitor = other.visitor(token)
    assert visitor is not None
    assert visitor.actor == "account ann"
    what = UnderWay("oidc", "", "v", "n")
    assert come_back(AccessStore(url), "oidc", send_away(store, what, "browser"), "browser") == what
    for _ in range(TRIES_FOR_A_NAME):
        count_try(store, "ann", "a")
    with pytest.raises(TooManyTries):
        count_try(AccessStore(url), "ann", "b")
    disable_account(store, "ann")
    assert other.visitor(token) is None


def test_the_role_that_only_inserts_decisions_lets_people_in_and_cannot_change_accounts(postgres_url: str) -> None:
    upgrade_schema(parse_url(postgres_url))
    grants = (ROOT / "docs/operations/insert-only-role.sql").read_text(encoding="utf-8")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for role in ("cds_hooks", "cds_auditor"):
            connection.execute(f"DROP ROLE IF EXISTS {role}")
        connection.execute(grants.replace("DATABASE_NAME", str(make_url(postgres_url).database)))
    try:
        add_account(AccessStore(postgres_url), "ann", "Ann", frozenset({Role.VIEWER}), PASSWORD)
        serves = make_url(postgres_url).set(username="cds_hooks").render_as_string(hide_password=False)
        sessions = Sessions(AccessStore(serves), LIFETIMES, secure=False)
        assert check_login(AccessStore(serves), "ann", PASSWORD) is not None
        assert sessions.visitor(sessions.begin(ANN)) is not None
        count_try(AccessStore(serves), "ann", "a")
        with pytest.raises((RecordUnavailable, AccountRefused)):
            disable_account(AccessStore(serves), "ann")
        assert check_login(AccessStore(serves), "ann", PASSWORD) is not None
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY cds_hooks, cds_auditor")
            connection.execute("DROP ROLE cds_hooks, cds_auditor")


# Rollback of an upgrade: a record that a newer version changed is refused, and the backup from before it serves on.
async def record_some(url: str, count: int) -> list[str]:
    log = open_decision_log(url)
    decisions = [a_decision() for _ in range(count)]
    for decision in decisions:
        await log.append(decision)
    await log.close()
    return [decision.id for decision in decisions]


def upgrade_by_a_newer_version(url: str) -> None:
    """What a later version's migration would do: a column that this one does not know, and its own number."""
    with engine_for(parse_url(url)).begin() as connection:
        connection.execute(text("ALTER TABLE decisions ADD COLUMN of_later TEXT"))
        connection.execute(text("UPDATE record_schema SET version = '0999'"))


async def test_an_upgrade_is_rolled_back_by_the_backup_from_before_it(
    url: str, sqlite_url: str, tmp_path: Path
) -> None:
    ids = await record_some(url, 3)
    backup = tmp_path / "before.ndjson.xz"
    assert back_up(url, backup) == 3
    upgrade_by_a_newer_version(url)

    with pytest.raises(RecordUnavailable, match=r"schema '0999', and .*restore the backup") as refused:
        open_decision_log(url)
    assert "/install.md" in str(refused.value)
    with pytest.raises(RecordUnavailable, match="this version reads"):
        back_up(url, tmp_path / "never.ndjson.xz")
    assert not (tmp_path / "never.ndjson.xz").exists()

    restored = f"sqlite:///{tmp_path}/restored.sqlite3"
    assert restore(backup, restored) == 3
    after = await record_some(restored, 1)
    assert {decision.id for decision in list_decisions(restored)} == {*ids, *after}
    assert get_decision(restored, ids[0]) == get_decision(url, ids[0])
    found = audit(restored)
    assert (found.decisions, found.findings) == (4, [])
