"""What commands about the record read of their options: its address, who the user is there, an instant."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.audit.holds import holds
from cds_hooks.audit.retention import retention_runs
from cds_hooks.commands.record import app
from cds_hooks.monitor.book import CountBook
from cds_hooks.storage.queries import list_decisions
from models_onnx.artifact.keys import local_signer, public_file
from tests.cds_hooks.decision_views.followed import follow
from tests.cds_hooks.storage.samples import a_decision, store
from tests.program import run_program

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


UNSEALED = (
    "Without seals (--against) this shows that no row was changed by itself. It does not show a record of which the "
    "end is missing, or all hashes were made anew.\n"
)
SEALED = "seals.ndjson"


class Site:
    """A folder with a record of two decisions, and with the key that seals it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'record.sqlite3'}"
        store(self.url, a_decision(), a_decision(), answered=True)
        self.key = folder / "seal.pem"
        local_signer(self.key, "record")

    def run(self, *words: str, **environment: str) -> tuple[int, str, str]:
        """The exit code, what was printed and the errors."""
        named = {f"CDS_{name.upper()}": value for name, value in environment.items()}
        done = run_program("record", *words, folder=self.folder, environment=named)
        return done.returncode, done.stdout, done.stderr.lstrip()  # the progress leaves an empty line


@pytest.fixture
def record_verification_site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_key_of_the_seals_is_made_once(tmp_path: Path) -> None:
    words = ("record", "seal", "--new-key", "new.pem")
    made = run_program(*words, folder=tmp_path)
    halves = "Private key: new.pem. Public key, for whoever verifies: new.pub.json.\n"
    assert (made.returncode, made.stdout, made.stderr) == (0, halves, "")
    assert public_file(tmp_path / "new.pem").is_file()
    again = run_program(*words, folder=tmp_path)
    there = "new.pem is there already; nothing was changed.\n"
    assert (again.returncode, again.stdout, again.stderr) == (1, "", there)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.pem", "new.pub.json"]


def test_a_seal_is_printed_and_added_to_the_file_where_something_is_new(record_verification_site: Site) -> None:
    words = (
        "seal",
        "--key",
        str(record_verification_site.key),
        "--to",
        SEALED,
        "--database",
        record_verification_site.url,
    )
    code, line, errors = record_verification_site.run(*words)
    assert (code, errors) == (0, "")
    assert line == (record_verification_site.folder / SEALED).read_text()
    assert json.loads(line)["seal"]["number"] == 1
    assert record_verification_site.run(*words) == (0, "Nothing is new since the last seal.\n", "")
    assert (record_verification_site.folder / SEALED).read_text() == line


def test_without_a_key_nothing_is_sealed(record_verification_site: Site) -> None:
    needed = "Give the key that seals the record with --key or CDS_SEAL_KEY.\n"
    assert record_verification_site.run("seal", "--database", record_verification_site.url) == (1, "", needed)


def test_with_the_settings_alone_the_seal_is_sent_on(record_verification_site: Site) -> None:
    environment = {
        "database_url": record_verification_site.url,
        "seal_key": str(record_verification_site.key),
    }
    assert record_verification_site.run("seal", **environment, seal_command="cp /dev/stdin sent") == (
        0,
        "Sealed and sent.\n",
        "",
    )
    assert (record_verification_site.folder / "sent").read_text() == (
        record_verification_site.folder / "var" / "seals.ndjson"
    ).read_text()
    store(record_verification_site.url, a_decision())
    code, shown, errors = record_verification_site.run("seal", **environment, seal_command="false")
    assert (code, shown, errors.splitlines()[-1]) == (1, "", "Not sealed or not sent: see the log.")
    assert len((record_verification_site.folder / "var" / "seals.ndjson").read_text().splitlines()) == 2


@pytest.mark.parametrize("option", ["to", "database", "key"])
def test_with_an_option_the_seal_is_printed_and_sent_nowhere(record_verification_site: Site, option: str) -> None:
    given = {
        "to": str(record_verification_site.folder / "other"),
        "database": record_verification_site.url,
        "key": str(record_verification_site.key),
    }
    environment = {
        "database_url": record_verification_site.url,
        "seal_key": str(record_verification_site.key),
    }
    code, line, errors = record_verification_site.run(
        "seal", f"--{option}", given[option], **environment, seal_command="cp /dev/stdin sent"
    )
    assert (code, errors) == (0, "")
    assert line == (record_verification_site.folder / ("other" if option == "to" else "var/seals.ndjson")).read_text()
    assert not (record_verification_site.folder / "sent").exists()


def test_a_record_is_verified_against_its_seals_and_without_them(record_verification_site: Site) -> None:
    record_verification_site.run(
        "seal", "--key", str(record_verification_site.key), "--to", SEALED, "--database", record_verification_site.url
    )
    public = str(public_file(record_verification_site.key))
    code, shown, errors = record_verification_site.run("verify", "--database", record_verification_site.url)
    chain, _, rest = shown.partition("\n")
    assert re.fullmatch(r"chain \S+: 2 rows, up to [0-9a-f]{64}", chain)
    words = f"The record is as it was written: 2 decisions in 1 chains.\n{UNSEALED}"
    assert (code, rest, errors) == (0, words, "")
    code, shown, errors = record_verification_site.run(
        "verify", "--against", SEALED, "--key", public, "--database", record_verification_site.url
    )
    sealed = (
        "The record is as it was sealed: 2 decisions (0 after the newest of 1 seals, 0 removed), 2 rows of feedback "
        "(0 after it), 0 outcomes (0 after it), 0 events (0 after it)."
    )
    assert (code, shown, errors) == (0, f"{chain}\n{sealed}\n", "")
    code, shown, errors = record_verification_site.run("verify", "--json", "--database", record_verification_site.url)
    name, digest = re.findall(r"chain (\S+): 2 rows, up to (\S+)", chain)[0]
    assert (code, json.loads(shown), errors) == (
        0,
        {"seals": 0, "decisions": 2, "feedback": 2, "events": 0, "outcomes": 0, "unsealed": 2, "unsealed_feedback": 2,
         "unsealed_events": 0, "unsealed_outcomes": 0, "removed": 0, "ends": {name: [2, digest]}, "findings": [],
         "chains": [{"chain": name, "decisions": 2, "hash": digest}]},
        "",
    )  # fmt: skip


def test_seals_are_read_with_the_key_that_is_named_or_with_that_of_the_settings(record_verification_site: Site) -> None:
    record_verification_site.run(
        "seal", "--key", str(record_verification_site.key), "--to", SEALED, "--database", record_verification_site.url
    )
    words = ("verify", "--against", SEALED, "--database", record_verification_site.url)
    needed = "Give the public key with --key; a key from beside the database proves nothing.\n"
    assert record_verification_site.run(*words) == (1, "", needed)
    assert record_verification_site.run(*words, seal_key=str(record_verification_site.key))[0] == 0
    local_signer(record_verification_site.folder / "other.pem", "other")
    code, _, errors = record_verification_site.run(
        *words,
        "--key",
        str(public_file(record_verification_site.folder / "other.pem")),
        seal_key=str(record_verification_site.key),
    )
    assert (code, "which is not trusted here" in errors) == (1, True)


def test_the_book_of_counts_notes_when_the_record_was_verified(record_verification_site: Site) -> None:
    views = follow(record_verification_site.url)
    assert record_verification_site.run("verify", "--database", record_verification_site.url)[0] == 0
    verified = CountBook(views).last_verification()
    assert verified is not None
    assert (verified.decisions, verified.fault) == (2, "")
