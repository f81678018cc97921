"""What `cds-hooks record` prints of holds, archives, backups and exports, whole."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from typer.testing import CliRunner, Result

from cds_hooks.audit.archive import archives
from cds_hooks.audit.holds import holds
from cds_hooks.commands.record import app
from cds_hooks.storage.queries import list_decisions
from models_onnx.artifact.keys import local_signer
from tests.cds_hooks.storage.samples import a_decision, store

DAY = 86_400_000_000
FIRST = 1_700_000_000_000_000
"""2023-11-14, 22:13:20 UTC."""
GIVE_ONE = "Give one of --client, --patient, --decision and --end, and --why.\n"
GIVE_BOTH = "Give --older-than DAYS and --to FILE, too.\n"


def _id(number: int) -> str:
    return f"01a20df3-8b61-7403-8cec-{number:08}0000"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A record of four decisions, a day between them, about two patients; each was answered."""
    address = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    rows = [
        a_decision(
            id=_id(number), decided_at=FIRST + number * DAY, patient=f"p{number % 2}", hook_instance=f"h{number}"
        )
        for number in range(4)
    ]
    store(address, *rows, answered=True)
    return address


@pytest.fixture
def key(tmp_path: Path) -> str:
    """The key that seals the record."""
    local_signer(tmp_path / "seal.pem", "record")
    return str(tmp_path / "seal.pem")


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def _output(*arguments: str) -> tuple[int, str, str]:
    done = _run(*arguments)
    return done.exit_code, done.stdout, done.stderr


def test_a_hold_is_made_listed_and_ended(url: str) -> None:
    database = ("--database", url)
    assert _output("hold", *database) == (0, "No hold is in force.\n", "")
    made = _output("hold", "--patient", "p1", "--why", "a request", "--by", "Ann", *database)
    (item,) = holds(url)
    assert made == (0, f"Hold {item.id} is in force; cds-hooks record hold --end {item.id} ends it.\n", "")
    listed = f"{item.id}: patient p1, since {item.at:%Y-%m-%d}, by Ann: a request\n"
    assert _output("hold", *database) == (0, listed, "")
    (shown,) = json.loads(_run("hold", "--json", *database).stdout)
    assert datetime.fromisoformat(shown.pop("at")) == item.at
    assert shown == {"id": item.id, "by": "patient", "value": "p1", "why": "a request", "actor": "Ann"}
    ended = _output("hold", "--end", item.id, "--why", "over", *database)
    assert ended == (0, f"Hold {item.id} has ended.\n", "")
    assert holds(url) == []


@pytest.mark.parametrize(
    "options",
    [
        ["--why", "x"],
        ["--patient", "p1"],
        ["--patient", "p1", "--why", ""],
        ["--patient", "p1", "--client", "a hospital", "--why", "x"],
        ["--end", "1", "--decision", "2", "--why", "x"],
    ],
)
def test_a_hold_is_on_one_subject_and_says_why(url: str, options: list[str]) -> None:
    assert _output("hold", *options, "--database", url) == (2, "", GIVE_ONE)
    assert holds(url) == []


@pytest.mark.parametrize("name", ["client", "patient", "decision"])
def test_who_holds_is_the_user_of_the_shell_where_nobody_is_named(
    url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds_hooks.commands.record.getuser", lambda: "of the shell")
    assert _run("hold", f"--{name}", "x", "--why", "y", "--database", url).exit_code == 0
    assert [(item.by, item.value, item.actor) for item in holds(url)] == [(name, "x", "of the shell")]


@pytest.mark.parametrize("options", [[], ["--older-than", "1"], ["--to", "a.xz"]])
def test_an_archive_needs_an_age_and_a_file(url: str, options: list[str]) -> None:
    assert _output("archive", "--client", "a hospital", *options, "--database", url) == (2, "", GIVE_BOTH)


def test_an_archive_needs_a_key(url: str, tmp_path: Path) -> None:
    to = ("--older-than", "1", "--to", str(tmp_path / "a.xz"))
    needed = "Give the key that seals the record with --key or CDS_SEAL_KEY.\n"
    assert _output("archive", "--client", "a hospital", *to, "--database", url) == (1, "", needed)


def test_decisions_are_archived_listed_and_brought_back(url: str, key: str, tmp_path: Path) -> None:
    database, file = ("--database", url), tmp_path / "a.xz"
    assert _output("archive", *database) == (0, "Nothing was archived.\n", "")
    assert json.loads(_run("archive", "--json", *database).stdout) == []
    began = datetime.now(UTC)
    to = ("--older-than", "10", "--to", str(file), "--key", key, *database)
    nothing = "Nothing of nobody is that old, or all of it is held; nothing was written.\n"
    assert _output("archive", "--client", "nobody", *to) == (0, nothing, "")
    assert not file.exists()
    done = _output("archive", "--client", "a hospital", *to)
    (made,) = archives(url)
    assert done == (0, f"{file}: 3 decisions, 3 rows of feedback and 0 outcomes, sha256 {made.sha256}.\n", "")
    words = "a.xz (3 decisions of a hospital, 2023-11-14 to 2023-11-16)"
    listed = f"{words}: written to {file}, sha256 {made.sha256}\n"
    assert _output("archive", *database) == (0, listed, "")
    (shown,) = json.loads(_run("archive", "--json", *database).stdout)
    limit = datetime.fromisoformat(shown.pop("before"))
    assert timedelta(0) <= limit + timedelta(days=10) - began < timedelta(minutes=10)
    assert shown == {
        **{name: value for name, value in structs.asdict(made).items() if name != "before"},
        "first_at": "2023-11-14T22:13:20Z",
        "last_at": "2023-11-16T22:13:20Z",
    }
    assert [decision.id for decision in list_decisions(url)] == [_id(3)]
    restored = f"Restored: {words}. They stay until they are archived again.\n"
    assert _output("restore", str(file), *database) == (0, restored, "")
    assert [decision.id for decision in list_decisions(url)] == [_id(3), _id(2), _id(1), _id(0)]


def test_an_archive_is_of_what_is_older_than_so_many_days(url: str, key: str, tmp_path: Path) -> None:
    days = (datetime.now(UTC) - datetime.fromtimestamp(FIRST / 1e6, UTC)).days
    to = ("--to", str(tmp_path / "a.xz"), "--key", key, "--database", url)
    done = _run("archive", "--client", "a hospital", "--older-than", str(days + 1), *to)
    assert done.stdout.startswith("Nothing of a hospital is that old")
    done = _run("archive", "--client", "a hospital", "--older-than", str(days), *to)
    assert done.stdout.startswith(f"{tmp_path / 'a.xz'}: 1 decisions, 1 rows of feedback and 0 outcomes")


def test_a_backup_goes_into_an_empty_record(url: str, tmp_path: Path) -> None:
    file, other = tmp_path / "record.xz", f"sqlite:///{tmp_path / 'other.sqlite3'}"
    done = _output("backup", str(file), "--database", url)
    assert done == (0, f"{file}: 8 rows, {file.stat().st_size} bytes.\n", "")
    words = "8 rows restored. Verify them: cds-hooks record verify --against SEALS\n"
    assert _output("restore", str(file), "--database", other) == (0, words, "")
    assert list_decisions(other) == list_decisions(url)


def _row(number: int) -> str:
    when = f"{_id(number)},{FIRST + number * DAY},patient-view,planning,h{number}"
    return f"{when},a hospital,p{number % 2},,cards,{'ab' * 32}\n"


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ([], (3, 2, 1, 0)),
        (["--patient", "p1"], (3, 1)),
        (["--client", "another"], ()),
        (["--since", "2023-11-15T22:13:20"], (3, 2, 1)),
        (["--until", "2023-11-15T22:13:20"], (0,)),
    ],
)
def test_decisions_are_printed_as_a_table_the_newest_first(url: str, options: list[str], numbers: Any) -> None:
    done = _run("export", "--format", "csv", *options, "--database", url)
    head = "id,decided_at,hook,service,hook_instance,client,patient,user_id,outcome,input_digest\n"
    assert done.stdout_bytes.decode().replace("\r\n", "\n") == head + "".join(map(_row, numbers))
