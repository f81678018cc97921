"""`cds-hooks model history|alias|rollback`, and the gate that reads the words of a service of the site's own."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.commands.model.evidence import gather
from cds_hooks.commands.model.main import app
from cds_hooks.hold_back.acts import RELEASE_EVENT, Act
from cds_hooks.hold_back.signatures import sign_act
from cds_hooks.settings import settings
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.entries import add_event
from cds_hooks.storage.opening import upgrade_schema
from models_onnx.artifact.keys import key_file
from models_onnx.serving.registry import find_version
from models_onnx.workbench.gates.checks.wording import check_wording
from models_onnx.workbench.gates.subject import read_subject
from models_onnx.workbench.release.listing import list_models
from tests.models_onnx.workshop import KEYS, NAME, SIGNER, build

OLD, NEW = "2.1.0", "3.0.0"


def build_version(folder: Path, version: str) -> None:
    """The committed model as this version, signed by the tests' key."""

    def card(document: dict[str, Any]) -> None:
        document["model"]["version"] = version

    build(folder, manifest=lambda document: document.update(version=version), card=card)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A site that trusts the tests' key, with version 3.0.0 in use and 2.1.0 beside it."""
    (tmp_path / "keys.json").write_text(key_file(SIGNER.public))
    monkeypatch.setenv("CDS_MODEL_KEYS", str(tmp_path / "keys.json"))
    monkeypatch.setenv("CDS_MODEL_SIGNING_KEY", str(tmp_path / "own" / "key.pem"))
    monkeypatch.setenv("CDS_DATABASE_URL", f"sqlite:///{tmp_path}/record.sqlite3")
    settings.cache_clear()
    folder = tmp_path / "shelf"
    build_version(folder, OLD)
    (folder / NAME).rename(folder / f"{NAME}@{OLD}")
    build_version(folder, NEW)
    yield folder
    settings.cache_clear()


def run(*words: object) -> Result:
    """The command as typed after `cds-hooks model`."""
    return CliRunner().invoke(app, list(map(str, words)))


def act_on(model_file: str, state: Any) -> None:
    """An act of release about this model file in the record of the site."""
    url = settings().database_url
    upgrade_schema(parse_url(url))
    at = datetime(2026, 11, 20, tzinfo=UTC).isoformat(timespec="seconds")
    act = Act(kind="model", name=NAME, state=state, by="ann", role="operator", at=at, why="tried", version=model_file)
    add_event(url, RELEASE_EVENT, "ann", sign_act(act, None))


def test_the_history_shows_versions_aliases_signers_and_acts_of_release(shelf: Path) -> None:
    assert run("alias", f"{NAME}@{OLD}", "before-summer", "--folder", shelf).exit_code == 0
    act_on("0" * 64, "shadow")
    told = run("history", NAME, "--folder", shelf, "--json")
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    newer, older = document["versions"]
    assert (newer["version"], newer["is_in_use"]) == (NEW, True)
    assert (older["version"], older["aliases"], older["signed_by"]) == (OLD, ["before-summer"], "the tests")
    assert len(older["digest"]) == 64
    (act,) = document["acts"]
    assert (act["state"], act["by"], act["why"]) == ("shadow", "ann", "tried")
    shown = run("history", NAME, "--folder", shelf)
    assert "before-summer" in shown.stdout
    assert "act shadow by ann" in shown.stdout


def test_a_rollback_is_one_command_and_says_what_an_act_of_another_version_means(shelf: Path) -> None:
    act_on(find_file(shelf / NAME), "shadow")
    act_on(find_file(shelf / NAME), "canary")
    told = run("rollback", NAME, "--why", "alert rate doubled", "--folder", shelf)
    assert told.exit_code == 0, told.output
    assert find_version(NAME, shelf).version == OLD
    assert f"{NAME} {OLD}" in told.stdout
    said = " ".join(told.stdout.split())
    assert "this one is computed and not shown until cds-hooks release set canary model mortality_5y" in said
    again = run("rollback", NAME, "--to", NEW, "--why", "it was the feed", "--folder", shelf, "--json")
    assert json.loads(again.stdout)["now"]["version"] == NEW
    assert json.loads(again.stdout)["note"] == ""


def find_file(home: Path) -> str:
    """The hash of the model file that the release in this folder names."""
    document = json.loads((home / "release.json").read_text())
    return str(document["files"]["model.onnx"]["sha256"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("history", "no_such"), "no artifact is called 'no_such'"),
        (("rollback", NAME, "--why", "x", "--to", "9.9"), "has no version '9.9'"),
        (("alias", f"{NAME}@9.9", "x"), "has no version '9.9'"),
        (("alias", NAME, "3.0.0"), "is no alias"),
        (("alias", NAME, "nobody", "--remove"), "no version of mortality_5y is called 'nobody'"),
    ],
)
def test_what_is_not_there_is_a_sentence(words: tuple[str, ...], said: str, shelf: Path) -> None:
    told = run(*words, "--folder", shelf)
    assert told.exit_code == 2
    assert said in told.output


def test_a_history_without_a_record_says_that_the_acts_were_not_read(shelf: Path) -> None:
    told = run("history", NAME, "--folder", shelf, "--database", "sqlite:///nowhere/x.sqlite3")
    assert told.exit_code == 0
    assert "Acts of release were not read" in told.stderr


SERVICE = """id = "our-talk"
hook = "patient-view"
model = "mortality_5y"
title = "Who may want to talk about the time ahead"
description = "Estimates the chance of death within 5 years and suggests a talk."
usage_requirements = "For clinicians at an outpatient visit; never shown to patients."
summary = "Death within 5 years: {estimate} (higher than {higher} in 100 of adults). Consider a talk in our words."
seen = "died"

[[orders]]
label = "Plan a talk"
text = "Talk about the time ahead"
"""


def test_the_gate_of_wording_reads_the_service_file_beside_the_model(tmp_path: Path) -> None:
    home = build(tmp_path / "own")
    (tmp_path / "own" / "talk.service.toml").write_text(SERVICE)
    subject = read_subject(home, KEYS)
    evidence = gather(subject, KEYS, tmp_path, lambda *_: None)
    verdict = check_wording(subject, evidence)
    assert (verdict.figures["cards"], verdict.faults) == (200, ())
    assert verdict.figures["example"].endswith("Consider a talk in our words.")
    assert ("talk.service.toml, line 4", "Who may want to talk about the time ahead") in (evidence.sentences or ())


def test_the_list_of_a_folder_has_the_models_of_that_folder(shelf: Path) -> None:
    assert [each.id for each in list_models(shelf)] == [NAME]
    assert run("list", "--folder", shelf, "--json").exit_code == 1  # version 3.0.0 is not the one that is declared


def test_a_name_is_given_to_a_version_and_taken_away(shelf: Path) -> None:
    digest = find_version(f"{NAME}@{OLD}", shelf).digest
    words = (f"{NAME}@{OLD}", "before-summer", "--folder", shelf)
    given = run("alias", *words)
    assert (given.exit_code, given.stdout) == (
        0, f"{NAME}@before-summer is the version with the digest {digest[:16]}.\n"
    )  # fmt: skip
    document = {"id": NAME, "alias": "before-summer", "digest": digest}
    assert json.loads(run("alias", *words, "--json").stdout) == document
    assert find_version(f"{NAME}@before-summer", shelf).version == OLD
    gone = run("alias", *words, "--remove")
    assert (gone.exit_code, gone.stdout) == (0, f"No version of {NAME} is called before-summer any more.\n")
    run("alias", *words)
    assert json.loads(run("alias", *words, "--remove", "--json").stdout) == document | {"digest": None}


def test_a_rollback_names_both_versions(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (find_version(f"{NAME}@{version}", shelf).digest for version in (OLD, NEW))
    told = run("rollback", NAME, "--why", "x", "--folder", shelf)
    assert told.stdout == (
        f"{NAME} {OLD} ({old[:12]}) is in use; it was {NEW} ({new[:12]}).\nServers load it at their next start.\n"
    )
    state = {"state": "draft"}
    assert json.loads(run("rollback", NAME, "--why", "x", "--folder", shelf, "--json").stdout) == {
        "before": {"version": OLD, "digest": old} | state, "now": {"version": NEW, "digest": new} | state, "note": "",
    }  # fmt: skip
    monkeypatch.setattr("models_onnx.workbench.release.in_use.roll_back", lambda *_: None)
    missing = run("rollback", "another", "--why", "x", "--folder", shelf)
    assert (missing.exit_code, missing.stderr) == (2, f"{shelf / 'another'} is not there after the rollback\n")


def test_a_history_ends_with_whether_every_version_holds(shelf: Path) -> None:
    assert run("history", NAME, "--folder", shelf).exit_code == 0
    content = bytearray((shelf / f"{NAME}@{OLD}" / "model.onnx").read_bytes())
    content[100] ^= 1
    (shelf / f"{NAME}@{OLD}" / "model.onnx").write_bytes(content)
    assert run("history", NAME, "--folder", shelf).exit_code == 1
