"""`cds-hooks model history|alias|rollback`: which versions of a model there are, and which of them is in use."""

from getpass import getuser
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cds_hooks.commands.model.console import AsJson, print_json, problems, wide_console
from cds_hooks.commands.model.release import Folder
from cds_hooks.commands.options import Database
from cds_hooks.commands.record_options import record_url
from cds_hooks.settings import settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.trusted_models import own_keys
from models_onnx.errors import ArtifactRefused
from models_onnx.serving.registry import ARTIFACTS

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's id, for example mortality_5y.")]


def history(name: Name, folder: Folder = ARTIFACTS, database: Database = None, as_json: AsJson = False) -> None:
    """Check every version of a model: signature, hashes, operators, card; show its dates, state, gates and acts.

    Acts (cds-hooks release) are those of the record, where there is one. Exit codes: 0 every version holds, 1 one does
    not, 2 there is no such model.

    Example: cds-hooks model history mortality_5y --folder models
    """
    with problems():
        from models_onnx.workbench.release.in_use import history as history_of

        version_histories = history_of(name, folder, own_keys(settings()))
    acts, unread = _acts(name, database)
    if as_json:
        print_json({"versions": version_histories, "acts": acts, "acts_not_read": unread})
    else:
        _show(name, version_histories, acts, unread)
    raise typer.Exit(0 if all(version.problem is None for version in version_histories) else 1)


def alias(
    name: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The model's id and version, or digest.")],
    called: Annotated[str, typer.Argument(metavar="ALIAS", help="The name, like before-summer.")],
    folder: Folder = ARTIFACTS,
    remove: Annotated[bool, typer.Option("--remove", help="Take the name away instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a version a name, by which every command finds it: NAME@ALIAS. A name that is there already moves.

    Exit codes: 0 done, 2 there is no such version, or the name cannot be used.

    Example: cds-hooks model alias mortality_5y@2.1.0 before-summer --folder models
    """
    with problems():
        from models_onnx.workbench.release.in_use import remove_alias, set_alias

        model_id = name.partition("@")[0]
        if remove:
            remove_alias(model_id, called, folder)
            digest = ""
        else:
            digest = set_alias(name, called, folder).digest
    if as_json:
        print_json({"id": model_id, "alias": called, "digest": digest or None})
    elif remove:
        typer.echo(f"No version of {model_id} is called {called} any more.")
    else:
        typer.echo(f"{model_id}@{called} is the version with the digest {digest[:16]}.")


def rollback(
    name: Name,
    why: Annotated[str, typer.Option(help="Why, for the history.")],
    to: Annotated[
        str | None, typer.Option(help="The version, digest or alias; without it the version that was in use before.")
    ] = None,
    folder: Folder = ARTIFACTS,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Put the version before in use again, or the one that --to names. The other one stays beside it.

    Servers load it when they start again; until then `cds-hooks release set shadow` silences the model within a second.

    Exit codes: 0 done, 2 there is no such version, or its files or signature do not hold.

    Example: cds-hooks model rollback mortality_5y --to 2.1.0 --why "alert rate doubled" --folder models
    """
    with problems():
        from models_onnx.artifact.folder import MANIFEST
        from models_onnx.workbench.release.in_use import roll_back

        done = roll_back(name, folder, own_keys(settings()), getuser(), why, to)
        if not (folder / name / MANIFEST).is_file():
            raise ArtifactRefused(f"{folder / name} is not there after the rollback")
    acts, _ = _acts(name, database)
    note = _note(done.now.folder, acts)
    if as_json:
        print_json({"before": _version_summary(done.before), "now": _version_summary(done.now), "note": note})
        return
    typer.echo(f"{name} {done.now.version} ({done.now.digest[:12]}) is in use; it was {_words(done.before)}.")
    typer.echo("Servers load it at their next start.")
    if note:
        typer.echo(note)


def _version_summary(version: Any) -> dict[str, str]:
    return {"version": version.version, "digest": version.digest, "state": version.state}


def _words(version: Any) -> str:
    return f"{version.version} ({version.digest[:12] or 'draft'})"


def _note(home: Path, acts: list[dict[str, Any]]) -> str:
    """What an act of release means for the version that is in use now; empty where there is none that matters."""
    from models_onnx.artifact.release_file import parse_release

    last = next((act for act in reversed(acts) if act["version"]), None)
    served = parse_release(home).files["model.onnx"].sha256
    if last is None or last["version"] == served or last["state"] not in ("canary", "active"):
        return ""
    return (
        f"The last act of release ({last['state']}, {last['at']}) is of another version: this one is computed and not "
        f"shown until cds-hooks release set canary model {home.name}."
    )


def _acts(name: str, database: str | None) -> tuple[list[dict[str, Any]], str]:
    """The acts of release about this model, oldest first; and why there are none to read, empty where they were."""
    from cds_hooks.commands.release import acts_until
    from cds_hooks.hold_back.people import PeopleFileError

    try:
        acts = acts_until(record_url(database)).acts_of(("model", name))
    except (RecordUnavailable, PeopleFileError) as problem:
        return [], str(problem)
    members = ("state", "at", "by", "role", "why", "version")
    return [{member: getattr(act, member) for member in members} for act in acts], ""


def _show(name: str, version_histories: Any, acts: list[dict[str, Any]], unread: str) -> None:
    table = Table("version", "in use", "digest", "state", "gates", "signed by", "aliases", "holds", "cards", title=name)
    for version in version_histories:
        holds = "yes" if version.problem is None else f"no: {version.problem}"
        cards = "yes" if version.no_cards is None else f"no: {version.no_cards}"
        signed = version.signed_by or "nobody trusted here"
        row = (version.version, "yes" if version.is_in_use else "", version.digest[:12], version.state)
        table.add_row(*row, _gates(version.gates), signed, ", ".join(version.aliases), holds, cards)
    wide_console().print(table)
    for version in version_histories:
        for step in version.steps:
            sentence = f"{step.at} {version.version} {step.state} by {step.by} ({step.role})"
            typer.echo(f"  {sentence}{': ' + step.why if step.why else ''}")
        for entry in version.in_use:
            typer.echo(f"  {entry.at} {entry.version} came into use, by {entry.by}: {entry.why}")
    for act in acts:
        typer.echo(
            f"  {act['at']} act {act['state']} by {act['by']} ({act['role']}), file {act['version'][:12]}: {act['why']}"
        )
    if unread:
        typer.echo(f"Acts of release were not read: {unread}", err=True)


def _gates(summary: Any) -> str:
    if summary is None:
        return "not run"
    parts = [f"{len(summary.green)} green"]
    if summary.waived:
        parts.append(f"{len(summary.waived)} waived ({', '.join(summary.waived)})")
    if summary.red:
        parts.append(f"{len(summary.red)} red ({', '.join(summary.red)})")
    return ", ".join(parts)
