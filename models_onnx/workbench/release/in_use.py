"""Which version of a model is in use, which names versions have, and the way back to an earlier one.

Versions lie beside each other in a folder of artifacts: the one in use as `<id>`, each other as `<id>@<version>`. The
file `<id>.versions.json` there has the aliases (a name for a digest) and, in order, which version came into use when,
by whom and why. It is not signed: it can only choose among versions that are.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from models_onnx.artifact.files import write_whole
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.artifact.keys import Keys
from models_onnx.artifact.release_file import GateSummary, ReleaseStep, parse_release
from models_onnx.errors import ArtifactRefused, NotReleased, UnknownModel
from models_onnx.serving.registry import (
    VERSIONS_FILE,
    InUse,
    Version,
    VersionNames,
    find_version,
    read_version_names,
    versions,
)
from models_onnx.workbench.release.publishing import verify_version

_NAME_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_LONGEST_NAME = 40
_LATEST_STEP = "0000"


class VersionHistory(Struct, frozen=True, kw_only=True):
    """One version, for whoever asks what there was: its files by digest, who signed it, its gates and its steps."""

    id: str
    version: str
    digest: str
    sha256: str
    state: str
    is_in_use: bool
    aliases: tuple[str, ...]
    key: str
    signed_by: str
    """The name of the key that signed the release; empty where the key is not trusted here."""
    problem: str | None
    """What does not hold of it; None where signature, hashes and card hold."""
    no_cards: str | None
    """Why it shows no cards; None where it may."""
    gates: GateSummary | None
    gates_sha256: str
    steps: tuple[ReleaseStep, ...]
    in_use: tuple[InUse, ...]


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What was in use, and what is now."""

    before: Version
    now: Version


def history(model_id: str, folder: Path, keys: Keys) -> tuple[VersionHistory, ...]:
    """Every version of a model, the one in use first; UnknownModel where there is none."""
    find_version(model_id, folder)
    names = read_version_names(model_id, folder)
    return tuple(
        _history(version, version.folder.name == model_id, names, keys) for version in versions(model_id, folder)
    )


def record_in_use(folder: Path, model_id: str, by: str, why: str) -> None:
    """Writes down that the version in `<folder>/<model_id>` is the one in use from now on."""
    release = parse_release(folder / model_id)
    names = read_version_names(model_id, folder)
    if names.in_use and names.in_use[-1].digest == release.digest:
        return
    entry = InUse(digest=release.digest, version=release.version, at=_now(), by=by, why=why)
    _write(model_id, folder, msgspec.structs.replace(names, in_use=(*names.in_use, entry)))


def set_alias(reference: str, alias: str, folder: Path) -> Version:
    """Gives a version a name, by which every command finds it as `<id>@<alias>`; the name may move.

    Raises:
        UnknownModel: there is no such version, or it is a draft that nobody signed.
        NotReleased: the name could be taken for a version or a digest.
    """
    version = find_version(reference, folder)
    if not version.digest:
        raise UnknownModel(
            f"{version.folder.name} is a draft, which has no digest yet: cds-hooks model sign {version.id}"
        )
    _refuse_name(alias, version.id, folder)
    names = read_version_names(version.id, folder)
    _write(version.id, folder, msgspec.structs.replace(names, aliases={**names.aliases, alias: version.digest}))
    return version


def remove_alias(model_id: str, alias: str, folder: Path) -> None:
    """Takes a name away; UnknownModel where no version has it."""
    names = read_version_names(model_id, folder)
    if alias not in names.aliases:
        there = ", ".join(names.aliases) or "none"
        raise UnknownModel(f"no version of {model_id} is called {alias!r}; names there are: {there}")
    remaining = {name: digest for name, digest in names.aliases.items() if name != alias}
    _write(model_id, folder, msgspec.structs.replace(names, aliases=remaining))


def roll_back(model_id: str, folder: Path, keys: Keys, by: str, why: str, to: str | None = None) -> RolledBack:
    """Puts another version in use: the one before, or the one that `to` names (a version, a digest or an alias).

    The version that was in use stays beside it. Nothing is changed unless the other version verifies.

    Raises:
        UnknownModel: there is no such version, or no version before.
        NotReleased: the version does not hold: a changed file, or a signature that is not trusted here; or it may show
            no cards, and the one in use may.
    """
    current = find_version(model_id, folder)
    target = _before(current, folder) if to is None else find_version(f"{model_id}{VERSION_SIGN}{to}", folder)
    if target.folder == current.folder:
        raise NotReleased(f"{model_id} {current.version} ({current.digest[:12]}) is the version in use already")
    checked = verify_version(target, keys)
    if checked.problem is not None:
        raise NotReleased(f"{target.folder.name} is not put in use: {checked.problem}")
    if checked.no_cards is not None and verify_version(current, keys).no_cards is None:
        raise NotReleased(
            f"{target.folder.name} is not put in use, because nobody would get a card: {checked.no_cards}"
        )
    record_in_use(folder, model_id, by, "in use before the first rollback") if current.digest else None
    _swap(current, target)
    record_in_use(folder, model_id, by, why)
    return RolledBack(current, find_version(model_id, folder))


def _before(current: Version, folder: Path) -> Version:
    """The version that was in use before: as written down, else the only other one, else by its newest step."""
    by_digest = {version.digest: version for version in versions(current.id, folder)[1:] if version.digest}
    if not by_digest:
        raise UnknownModel(f"{current.id} has one version, {current.version}: there is none to go back to")
    for entry in reversed(read_version_names(current.id, folder).in_use):
        if entry.digest in by_digest:
            return by_digest[entry.digest]
    return max(by_digest.values(), key=lambda version: _newest_step(version))


def _newest_step(version: Version) -> str:
    steps = parse_release(version.folder).history
    return max((step.at for step in steps), default=_LATEST_STEP)


def _swap(current: Version, target: Version) -> None:
    """Two renames; where the second fails, the first is taken back, so that there is always a version in use."""
    home = current.folder
    aside = _free_place(home, current)
    home.rename(aside)
    try:
        target.folder.rename(home)
    except OSError:
        aside.rename(home)
        raise


def _free_place(home: Path, current: Version) -> Path:
    plain = home.with_name(f"{current.id}{VERSION_SIGN}{current.version}")
    if not plain.exists():
        return plain
    if not (with_digest := plain.with_name(f"{plain.name}+{current.digest[:8] or 'draft'}")).exists():
        return with_digest
    raise NotReleased(f"{plain.name} and {with_digest.name} are there already: take one of them away")


def _history(version: Version, is_in_use: bool, names: VersionNames, keys: Keys) -> VersionHistory:
    common = {
        "id": version.id,
        "version": version.version,
        "digest": version.digest,
        "state": version.state,
        "is_in_use": is_in_use,
        "aliases": tuple(sorted(name for name, digest in names.aliases.items() if digest == version.digest)),
        "in_use": tuple(entry for entry in names.in_use if entry.digest == version.digest),
    }
    try:
        release = parse_release(version.folder)
    except ArtifactRefused as problem:
        nothing = {"sha256": "", "key": "", "signed_by": "", "gates": None, "gates_sha256": "", "steps": ()}
        return VersionHistory(**common, **nothing, problem=str(problem), no_cards=str(problem))  # type: ignore[arg-type]
    checked = verify_version(version, keys)
    model, report = release.files.get("model.onnx"), release.files.get("gates.json")
    return VersionHistory(
        **common,  # type: ignore[arg-type]  # a dictionary of its own members
        sha256=model.sha256 if model is not None else "",
        key=release.key,
        signed_by=checked.signed_by,
        problem=checked.problem,
        no_cards=checked.no_cards,
        gates=release.gates,
        gates_sha256=report.sha256 if report is not None else "",
        steps=release.history,
    )


def _refuse_name(alias: str, model_id: str, folder: Path) -> None:
    if not alias or len(alias) > _LONGEST_NAME or set(alias) - _NAME_SIGNS or not alias[0].isalpha():
        raise NotReleased(
            f"{alias!r} is no alias: up to {_LONGEST_NAME} small letters, digits, - and _, beginning with a letter"
        )
    if not set(alias) - set("0123456789abcdef"):
        raise NotReleased(f"{alias!r} could be the beginning of a digest: choose a name with another letter")
    if alias in {version.version for version in versions(model_id, folder)}:
        raise NotReleased(f"{alias!r} is a version of {model_id}: choose another name")


def _write(model_id: str, folder: Path, names: VersionNames) -> None:
    path = folder / VERSIONS_FILE.format(id=model_id)
    write_whole(path, msgspec.json.format(msgspec.json.encode(names), indent=1) + b"\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
