"""Versions of a model side by side: which is in use, what they are called, and the way back."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from models_onnx.artifact.release_file import RELEASE_FORMAT, GateSummary, Release, ReleaseStep, parse_release
from models_onnx.errors import ManifestRefused, NotReleased, UnknownModel
from models_onnx.serving.registry import Version, find_version, load_model, read_version_names
from models_onnx.workbench.release import in_use
from models_onnx.workbench.release.in_use import (
    VersionHistory,
    history,
    record_in_use,
    remove_alias,
    roll_back,
    set_alias,
)
from models_onnx.workbench.release.publishing import record_gates, write_release
from tests.models_onnx.workshop import KEYS, NAME, SIGNER, build

OLD, NEW = "2.1.0", "3.0.0"


def _of_version(version: str) -> Any:
    def change(document: dict[str, Any]) -> None:
        document["version"] = version

    def card(document: dict[str, Any]) -> None:
        document["model"]["version"] = version

    return {"manifest": change, "card": card}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with version 3.0.0 in use and 2.1.0 beside it."""
    folder = tmp_path / "shelf"
    build(folder, **_of_version(OLD))
    (folder / NAME).rename(folder / f"{NAME}@{OLD}")
    build(folder, **_of_version(NEW))
    return folder


def test_the_history_has_each_version_with_digest_signer_and_what_does_not_hold(shelf: Path) -> None:
    (shelf / f"{NAME}@{OLD}" / "manifest.json").write_bytes(b"{}")
    newer, older = history(NAME, shelf, KEYS)
    assert (newer.version, newer.is_in_use, newer.signed_by, newer.problem) == (NEW, True, "the tests", None)
    assert newer.digest == parse_release(shelf / NAME).digest
    assert (older.version, older.is_in_use) == (OLD, False)
    assert older.problem is not None
    assert "changed after training" in older.problem


def test_a_rollback_and_the_next_one_exchange_two_versions(shelf: Path) -> None:
    newest, oldest = (find_version(f"{NAME}@{version}", shelf).digest for version in (NEW, OLD))
    assert roll_back(NAME, shelf, KEYS, "Ann", "alert rate doubled").now.version == OLD
    assert load_model(NAME, shelf, KEYS).manifest.version == OLD
    assert find_version(f"{NAME}@{NEW}", shelf).digest == newest
    assert roll_back(NAME, shelf, KEYS, "Ann", "was the feed").now.version == NEW
    assert sorted(each.name for each in shelf.iterdir() if each.is_dir()) == [NAME, f"{NAME}@{OLD}"]
    named = read_version_names(NAME, shelf).in_use
    assert [each.digest for each in named] == [newest, oldest, newest]
    assert [each.why for each in named][1:] == ["alert rate doubled", "was the feed"]


def test_the_version_before_is_the_one_that_was_in_use_and_not_the_highest(shelf: Path) -> None:
    build(shelf / "third", **_of_version("2.9.0"))
    shutil.move(shelf / "third" / NAME, shelf / f"{NAME}@2.9.0")
    (shelf / "third").rmdir()
    roll_back(NAME, shelf, KEYS, "Ann", "to the old one", OLD)
    assert roll_back(NAME, shelf, KEYS, "Ann", "back again").now.version == NEW


def test_a_version_that_was_changed_does_not_come_into_use(shelf: Path) -> None:
    content = bytearray((shelf / f"{NAME}@{OLD}" / "model.onnx").read_bytes())
    content[200] ^= 1
    (shelf / f"{NAME}@{OLD}" / "model.onnx").write_bytes(content)
    with pytest.raises(NotReleased, match=r"is not put in use: .*changed after training"):
        roll_back(NAME, shelf, KEYS, "Ann", "back")
    assert find_version(NAME, shelf).version == NEW


def test_a_version_of_a_stranger_does_not_come_into_use(shelf: Path) -> None:
    with pytest.raises(NotReleased, match="not trusted here"):
        roll_back(NAME, shelf, {}, "Ann", "back")


def test_without_another_version_there_is_no_way_back(tmp_path: Path) -> None:
    build(tmp_path)
    with pytest.raises(UnknownModel, match="there is none to go back to"):
        roll_back(NAME, tmp_path, KEYS, "Ann", "back")
    with pytest.raises(NotReleased, match="is the version in use already"):
        roll_back(NAME, tmp_path, KEYS, "Ann", "back", find_version(NAME, tmp_path).version)


def test_an_alias_names_a_version_wherever_it_lies_and_may_move(shelf: Path) -> None:
    set_alias(f"{NAME}@{OLD}", "before-summer", shelf)
    assert find_version(f"{NAME}@before-summer", shelf).version == OLD
    roll_back(NAME, shelf, KEYS, "Ann", "back", "before-summer")
    assert find_version(f"{NAME}@before-summer", shelf).folder == shelf / NAME
    set_alias(f"{NAME}@{NEW}", "before-summer", shelf)
    assert find_version(f"{NAME}@before-summer", shelf).version == NEW
    remove_alias(NAME, "before-summer", shelf)
    with pytest.raises(UnknownModel, match="no version 'before-summer'"):
        find_version(f"{NAME}@before-summer", shelf)
    with pytest.raises(UnknownModel, match="names there are: none"):
        remove_alias(NAME, "before-summer", shelf)


@pytest.mark.parametrize(
    ("alias", "said"),
    [
        ("", "is no alias"),
        ("Before", "small letters"),
        ("../x", "is no alias"),
        ("deadbeef", "could be the beginning of a digest"),
        ("a" * 41, "up to 40"),
    ],
)
def test_a_name_that_could_be_something_else_is_refused(alias: str, said: str, shelf: Path) -> None:
    with pytest.raises(NotReleased, match=said):
        set_alias(NAME, alias, shelf)


def test_a_file_of_names_that_cannot_be_read_says_so(shelf: Path) -> None:
    (shelf / f"{NAME}.versions.json").write_text("[]")
    with pytest.raises(ManifestRefused, match=r"mortality_5y\.versions\.json cannot be read"):
        find_version(f"{NAME}@{OLD}", shelf)


def test_the_same_version_in_use_is_written_down_once(shelf: Path) -> None:
    record_in_use(shelf, NAME, "Ann", "published")
    record_in_use(shelf, NAME, "Ann", "published")
    assert len(read_version_names(NAME, shelf).in_use) == 1


def test_a_draft_has_no_name_and_a_version_is_no_alias(shelf: Path) -> None:
    with pytest.raises(NotReleased) as refused:
        set_alias(NAME, "x" * 39 + "-y", shelf)
    assert str(refused.value).endswith("up to 40 small letters, digits, - and _, beginning with a letter")
    set_alias(NAME, "x" * 40, shelf)
    set_alias(NAME, "beef-1", shelf)
    with pytest.raises(UnknownModel) as unknown:
        remove_alias(NAME, "summer", shelf)
    names = f"{'x' * 40}, beef-1"
    assert str(unknown.value) == f"no version of {NAME} is called 'summer'; names there are: {names}"
    (shelf / NAME / "release.json").unlink()
    with pytest.raises(UnknownModel) as unknown:
        set_alias(NAME, "draft", shelf)
    sentence = f"{NAME} is a draft, which has no digest yet: cds-hooks model sign {NAME}"
    assert str(unknown.value) == sentence


def test_the_version_in_use_stays_where_it_is_put_in_use_again_or_has_no_place_to_go(shelf: Path) -> None:
    digest = find_version(NAME, shelf).digest
    with pytest.raises(NotReleased) as refused:
        roll_back(NAME, shelf, KEYS, "Ann", "again", NEW)
    assert str(refused.value) == f"{NAME} {NEW} ({digest[:12]}) is the version in use already"
    aside = [shelf / f"{NAME}@{NEW}", shelf / f"{NAME}@{NEW}+{digest[:8]}"]
    aside[0].mkdir()
    assert roll_back(NAME, shelf, KEYS, "Ann", "back", OLD).now.version == OLD
    assert (aside[1].is_dir(), find_version(f"{NAME}@{NEW}", shelf).folder) == (True, aside[1])
    (shelf / f"{NAME}@{OLD}").mkdir()
    (shelf / f"{NAME}@{OLD}+{find_version(NAME, shelf).digest[:8]}").mkdir()
    with pytest.raises(NotReleased, match=r"are there already: take one of them away$"):
        roll_back(NAME, shelf, KEYS, "Ann", "forth", NEW)


def test_the_history_names_what_a_version_is_called_and_when_it_came_into_use(shelf: Path) -> None:
    set_alias(NAME, "summer", shelf)
    roll_back(NAME, shelf, KEYS, "Ann", "back")
    now, before = history(NAME, shelf, KEYS)
    assert (now.aliases, [entry.why for entry in now.in_use]) == ((), ["back"])
    assert (before.aliases, [entry.why for entry in before.in_use]) == (
        ("summer",),
        ["in use before the first rollback"],
    )
    release = parse_release(shelf / NAME)
    assert (now.problem, now.key, now.steps) == (None, SIGNER.public.id, release.history)
    assert now.no_cards == f"{NAME} {OLD}: no gate report is part of the release"
    assert (now.sha256, now.gates_sha256) == (release.files["model.onnx"].sha256, "")


ALL = tuple(f"G{number}" for number in range(1, 19))


def test_no_version_comes_into_use_that_shows_no_cards_where_the_one_in_use_does(shelf: Path) -> None:
    record_gates(shelf / NAME, b"{}", GateSummary(green=ALL, red=()), "2026-11-20", SIGNER)
    with pytest.raises(NotReleased) as refused:
        roll_back(NAME, shelf, KEYS, "Ann", "back")
    assert str(refused.value) == (
        f"{NAME}@{OLD} is not put in use, because nobody would get a card: {NAME} {OLD}: no gate report is part of the "
        "release"
    )
    assert find_version(NAME, shelf).version == NEW
    record_gates(shelf / f"{NAME}@{OLD}", b"{}", GateSummary(green=ALL, red=()), "2026-11-20", SIGNER)
    rolled = roll_back(NAME, shelf, KEYS, "Ann", "back")
    assert (rolled.before.version, rolled.now.version) == (NEW, OLD)


def _versions(folder: Path, **newest_step: str) -> None:
    """Versions m@<number>, each with a step of that day; without a day with none."""
    for number, at in newest_step.items():
        home = folder / (f"m@{number}" if number != "in_use" else "m")
        home.mkdir()
        (home / "manifest.json").write_text("{}")
        steps = tuple(ReleaseStep("retired", day, "Ann", "owner", "") for day in ("2026-01-01", at)) if at else ()
        release = Release(format=RELEASE_FORMAT, id="m", version=number, state="draft", digest=f"digest of {number}",
                          files={}, gates=None, history=steps, key="")  # fmt: skip
        write_release(home, release, SIGNER)


def test_without_a_record_the_version_of_the_newest_step_was_in_use_before(tmp_path: Path) -> None:
    _versions(tmp_path, in_use="2026-09-01", a="", b="2026-05-02", c="2026-05-01")
    current = find_version("m", tmp_path)
    assert in_use._before(current, tmp_path).version == "b"
    for number in "bc":
        shutil.rmtree(tmp_path / f"m@{number}")
    assert in_use._before(current, tmp_path).version == "a"
    shutil.rmtree(tmp_path / "m@a")
    with pytest.raises(UnknownModel, match=r"^m has one version, in_use: there is none to go back to$"):
        in_use._before(current, tmp_path)


def test_the_version_in_use_stays_where_the_other_cannot_take_its_place(shelf: Path) -> None:
    current = find_version(NAME, shelf)
    gone = structs.replace(find_version(f"{NAME}@{OLD}", shelf), folder=shelf / "gone")
    with pytest.raises(FileNotFoundError):
        in_use._swap(current, gone)
    assert find_version(NAME, shelf) == current
    assert sorted(path.name for path in shelf.iterdir()) == [NAME, f"{NAME}@{OLD}"]


def test_a_draft_that_is_put_aside_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "m@1.0.0").mkdir()
    draft = Version("m", "1.0.0", tmp_path / "m")
    assert in_use._free_place(tmp_path / "m", draft).name == "m@1.0.0+draft"
    assert in_use._free_place(tmp_path / "m", structs.replace(draft, digest="0123456789")).name == "m@1.0.0+01234567"
    assert in_use._free_place(tmp_path / "m", structs.replace(draft, version="2.0.0")).name == "m@2.0.0"
    (tmp_path / "m@1.0.0+draft").mkdir()
    with pytest.raises(NotReleased) as refused:
        in_use._free_place(tmp_path / "m", draft)
    assert str(refused.value) == "m@1.0.0 and m@1.0.0+draft are there already: take one of them away"


@pytest.mark.parametrize(
    ("alias", "refusal"),
    [
        ("abcdef0", "'abcdef0' could be the beginning of a digest: choose a name with another letter"),
        ("v1", "'v1' is a version of m: choose another name"),
        ("1a", "'1a' is no alias: up to 40 small letters, digits, - and _, beginning with a letter"),
        ("_g", "'_g' is no alias: up to 40 small letters, digits, - and _, beginning with a letter"),
        ("g", None),
        ("g-1_x", None),
        ("v2", None),
    ],
)
def test_names_that_could_be_something_else(alias: str, refusal: str | None, tmp_path: Path) -> None:
    _versions(tmp_path, v1="")
    if refusal is None:
        in_use._refuse_name(alias, "m", tmp_path)
        return
    with pytest.raises(NotReleased) as refused:
        in_use._refuse_name(alias, "m", tmp_path)
    assert str(refused.value) == refusal


def test_the_history_of_a_version_whose_release_cannot_be_read(shelf: Path) -> None:
    (shelf / f"{NAME}@{OLD}" / "release.json").write_text("{")
    record_gates(shelf / NAME, b"{}", GateSummary(green=ALL, red=()), "2026-11-20", SIGNER)
    newer, older = history(NAME, shelf, KEYS)
    assert (newer.no_cards, newer.state, newer.gates) == (None, "validated", GateSummary(green=ALL, red=()))
    assert newer.gates_sha256 == hashlib.sha256(b"{}").hexdigest()
    assert older.problem is not None
    assert older == VersionHistory(
        id=NAME, version="?", digest="", sha256="", state="unreadable", is_in_use=False, aliases=(), key="",
        signed_by="", problem=older.problem, no_cards=older.problem, gates=None, gates_sha256="", steps=(), in_use=(),
    )  # fmt: skip
