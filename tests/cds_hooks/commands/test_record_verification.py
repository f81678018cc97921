"""`cds-hooks record seal` and `record verify`: what they print, their exit codes, and with which key they read."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.audit.seals import SealsUnusable
from cds_hooks.commands import record
from cds_hooks.monitor.book import CountBook
from models_onnx.artifact.keys import local_signer, public_file
from tests.cds_hooks.decision_views.followed import follow
from tests.cds_hooks.storage.samples import a_decision, store
from tests.program import run_program

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
def site(tmp_path: Path) -> Site:
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


def test_a_seal_is_printed_and_added_to_the_file_where_something_is_new(site: Site) -> None:
    words = ("seal", "--key", str(site.key), "--to", SEALED, "--database", site.url)
    code, line, errors = site.run(*words)
    assert (code, errors) == (0, "")
    assert line == (site.folder / SEALED).read_text()
    assert json.loads(line)["seal"]["number"] == 1
    assert site.run(*words) == (0, "Nothing is new since the last seal.\n", "")
    assert (site.folder / SEALED).read_text() == line


def test_without_a_key_nothing_is_sealed(site: Site) -> None:
    needed = "Give the key that seals the record with --key or CDS_SEAL_KEY.\n"
    assert site.run("seal", "--database", site.url) == (1, "", needed)


def test_with_the_settings_alone_the_seal_is_sent_on(site: Site) -> None:
    environment = {"database_url": site.url, "seal_key": str(site.key), "seal_file": str(site.folder / SEALED)}
    assert site.run("seal", **environment, seal_command="cp /dev/stdin sent") == (0, "Sealed and sent.\n", "")
    assert (site.folder / "sent").read_text() == (site.folder / SEALED).read_text()
    store(site.url, a_decision())
    code, shown, errors = site.run("seal", **environment, seal_command="false")
    assert (code, shown, errors.splitlines()[-1]) == (1, "", "Not sealed or not sent: see the log.")
    assert len((site.folder / SEALED).read_text().splitlines()) == 2


@pytest.mark.parametrize("option", ["to", "database", "key"])
def test_with_an_option_the_seal_is_printed_and_sent_nowhere(site: Site, option: str) -> None:
    given = {"to": str(site.folder / "other"), "database": site.url, "key": str(site.key)}
    environment = {"database_url": site.url, "seal_key": str(site.key), "seal_file": str(site.folder / SEALED)}
    code, line, errors = site.run(
        "seal", f"--{option}", given[option], **environment, seal_command="cp /dev/stdin sent"
    )
    assert (code, errors) == (0, "")
    assert line == (site.folder / ("other" if option == "to" else SEALED)).read_text()
    assert not (site.folder / "sent").exists()


def test_a_record_is_verified_against_its_seals_and_without_them(site: Site) -> None:
    site.run("seal", "--key", str(site.key), "--to", SEALED, "--database", site.url)
    public = str(public_file(site.key))
    code, shown, errors = site.run("verify", "--database", site.url)
    chain, _, rest = shown.partition("\n")
    assert re.fullmatch(r"chain \S+: 2 rows, up to [0-9a-f]{64}", chain)
    words = f"The record is as it was written: 2 decisions in 1 chains.\n{UNSEALED}"
    assert (code, rest, errors) == (0, words, "")
    code, shown, errors = site.run("verify", "--against", SEALED, "--key", public, "--database", site.url)
    sealed = (
        "The record is as it was sealed: 2 decisions (0 after the newest of 1 seals, 0 removed), 2 rows of feedback "
        "(0 after it), 0 outcomes (0 after it), 0 events (0 after it)."
    )
    assert (code, shown, errors) == (0, f"{chain}\n{sealed}\n", "")
    code, shown, errors = site.run("verify", "--json", "--database", site.url)
    name, digest = re.findall(r"chain (\S+): 2 rows, up to (\S+)", chain)[0]
    assert (code, json.loads(shown), errors) == (
        0,
        {"seals": 0, "decisions": 2, "feedback": 2, "events": 0, "outcomes": 0, "unsealed": 2, "unsealed_feedback": 2,
         "unsealed_events": 0, "unsealed_outcomes": 0, "removed": 0, "ends": {name: [2, digest]}, "findings": [],
         "chains": [{"chain": name, "decisions": 2, "hash": digest}]},
        "",
    )  # fmt: skip


def test_seals_are_read_with_the_key_that_is_named_or_with_that_of_the_settings(site: Site) -> None:
    site.run("seal", "--key", str(site.key), "--to", SEALED, "--database", site.url)
    words = ("verify", "--against", SEALED, "--database", site.url)
    needed = "Give the public key with --key; a key from beside the database proves nothing.\n"
    assert site.run(*words) == (1, "", needed)
    assert site.run(*words, seal_key=str(site.key))[0] == 0
    local_signer(site.folder / "other.pem", "other")
    code, _, errors = site.run(*words, "--key", str(public_file(site.folder / "other.pem")), seal_key=str(site.key))
    assert (code, "which is not trusted here" in errors) == (1, True)


def test_a_key_is_needed_only_for_seals() -> None:
    none: Any = SimpleNamespace(seal_key=None)
    assert record._public_keys(None, none, needs_key=False) is None
    with pytest.raises(SealsUnusable, match="give the public key with --key"):
        record._public_keys(None, none, needs_key=True)


def test_the_book_of_counts_notes_when_the_record_was_verified(site: Site) -> None:
    views = follow(site.url)
    assert site.run("verify", "--database", site.url)[0] == 0
    verified = CountBook(views).last_verification()
    assert verified is not None
    assert (verified.decisions, verified.fault) == (2, "")
