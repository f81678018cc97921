"""What commands about the record read of their options: its address, who the user is there, an instant."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.audit.holds import holds
from cds_hooks.audit.retention import retention_runs
from cds_hooks.commands import record_options
from cds_hooks.commands.record import app
from cds_hooks.storage.content import UserNames, open_user_names, read_user_keys
from cds_hooks.storage.queries import list_decisions
from models_onnx.artifact.keys import local_signer
from tests.cds_hooks.storage.samples import a_decision, store


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    configured = SimpleNamespace(database_url="of the settings", user_keys=tmp_path / "keys.txt", used=[])
    monkeypatch.setattr(record_options, "settings", lambda: configured)
    monkeypatch.setattr(record_options, "use_site_keys", configured.used.append)
    return configured


def test_the_record_is_that_of_the_option_or_of_the_settings_and_read_with_the_keys_of_the_site(site: Any) -> None:
    assert record_options.record_url("of the option") == "of the option"
    assert record_options.record_url(None) == "of the settings"
    assert site.used == [site, site]


def test_a_user_is_found_under_every_key_and_in_the_clear(site: Any) -> None:
    clear = record_options.possible_users("ehr", "Practitioner/1")
    assert "Practitioner/1" in clear
    open_user_names("hashed", site.user_keys)
    hashed = record_options.possible_users("ehr", "Practitioner/1")
    assert hashed == UserNames("hashed", read_user_keys(site.user_keys)).possible("ehr", "Practitioner/1")
    assert len(hashed) > len(clear)


# What `cds-hooks record` prints of holds, retention, backups and exports, whole.
DAY = 86_400_000_000
FIRST = 1_700_000_000_000_000
"""2023-11-14, 22:13:20 UTC."""
GIVE_ONE = "Give one of --client, --patient, --decision and --end, and --why.\n"


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


@pytest.mark.parametrize("options", [[], ["--client", "a hospital"], ["--to", "a.xz"]])
def test_decisions_are_taken_out_of_one_client_and_into_a_file(url: str, options: list[str]) -> None:
    give = "Give --client NAME and --to FILE, too.\n"
    assert _output("export", "--remove-older-than", "1", *options, "--database", url) == (2, "", give)


def test_taking_out_needs_the_key_of_the_seals(url: str, tmp_path: Path) -> None:
    to = ("--client", "a hospital", "--remove-older-than", "1", "--to", str(tmp_path / "a.xz"))
    needed = "Give the key that seals the record with --key or CDS_SEAL_KEY.\n"
    assert _output("export", *to, "--database", url) == (1, "", needed)


def test_decisions_older_than_so_many_days_are_taken_out(url: str, key: str, tmp_path: Path) -> None:
    days = (datetime.now(UTC) - datetime.fromtimestamp(FIRST / 1e6, UTC)).days
    file = tmp_path / "a.xz"
    to = ("--to", str(file), "--key", key, "--by", "Ann", "--database", url)

    def remove(client: str, older_than: int) -> tuple[int, str, str]:
        return _output("export", "--client", client, "--remove-older-than", str(older_than), *to)

    nothing = "Nothing of {} is that old, or all of it is held; nothing was taken out.\n"
    assert remove("nobody", 1) == (0, nothing.format("nobody"), "")
    assert remove("a hospital", days + 1) == (0, nothing.format("a hospital"), "")
    assert not file.exists()
    done = remove("a hospital", days - 1)
    (run,) = retention_runs(url).values()
    counts = f"{file}: 2 decisions, 2 rows of feedback and 0 outcomes"
    assert done == (0, f"{counts}, sha256 {run.sha256}; they are no longer in the record.\n", "")
    assert [decision.id for decision in list_decisions(url)] == [_id(3), _id(2)]


def test_a_backup_goes_into_an_empty_record(url: str, tmp_path: Path) -> None:
    file, other = tmp_path / "record.xz", f"sqlite:///{tmp_path / 'other.sqlite3'}"
    done = _output("backup", str(file), "--database", url)
    assert done == (0, f"{file}: 9 rows, {file.stat().st_size} bytes.\n", "")
    words = "9 rows restored. Verify them: cds-hooks record verify --against SEALS\n"
    assert _output("backup", "--restore", str(file), "--database", other) == (0, words, "")
    assert list_decisions(other) == list_decisions(url)
