"""`cds-hooks knowledge`: published knowledge artifacts, checked and evaluated."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import orjson
import typer

from cds_hooks.tools.commands.options import AsJson, failure
from cds_hooks.tools.kit.commands.plain_group import PlainGroup

app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Check published knowledge artifacts (PlanDefinitions and measures with ELM) and evaluate their expressions.",
)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of FHIR resources as JSON.")],
    as_json: AsJson = False,
) -> None:
    """Check the published artifacts of a folder: each with exactly what it names, or each of its faults.

    An artifact is a PlanDefinition or a Measure. Exit code 1 where one is refused, where there is none, or where
    a file cannot be read.

    Example: cds-hooks knowledge check data/samples/knowledge
    """
    from cards.knowledge.artifact import check_folder

    if not folder.is_dir():
        raise failure(f"{folder} is not a folder.")
    artifacts, refused, faults = check_folder(folder)
    if as_json:
        for artifact in artifacts:
            row = {
                name: getattr(artifact, name)
                for name in ("id", "kind", "version", "sha256", "libraries", "hooks", "reads", "differences")
            }
            typer.echo(orjson.dumps(row).decode())
        for item in refused:
            typer.echo(orjson.dumps(msgspec.to_builtins(item)).decode())
    else:
        for artifact in artifacts:
            typer.echo(f"{artifact.id} {artifact.version} can be used. sha256 {artifact.sha256}")
            typer.echo(f"  Libraries: {', '.join(artifact.libraries)}; {len(artifact.value_sets)} value sets.")
            typer.echo(f"  Hooks: {', '.join(artifact.hooks) or 'none'}. Reads: {', '.join(artifact.reads)}.")
            for difference in artifact.differences:
                typer.echo(f"  {difference}")
        for item in refused:
            typer.echo(f"{item.id} is refused:")
            for fault in item.faults:
                typer.echo(f"  {fault}")
    for fault in faults:
        typer.echo(f"Left out: {fault}", err=True)
    if not artifacts and not refused:
        raise failure(f"{folder} holds no PlanDefinition and no Measure as a JSON file.")
    if refused or faults:
        raise typer.Exit(1)


@app.command()
def evaluate() -> None:
    """Evaluate expressions of ELM libraries that are given as JSON lines on standard input.

    A line with `library` (ELM), `libraries` (a list of ELM) and `valuesets` ({URL: {"codes": [[SYSTEM, CODE]]}})
    stays in force for the lines after it. A line with `expressions` (names), `resources`, `parameters` and `now` is one
    evaluation; for it one line is printed: {"values": {NAME: VALUE}}, where VALUE is {"error": TEXT} for an
    expression that has no value. Exit code 1 where a line has another form.

    Example: cds-hooks knowledge evaluate < lines.jsonl
    """
    from cards.knowledge.lines import LineRefused, Session

    session, refused = Session(), False
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        try:
            answer = session.answer(line)
        except LineRefused as problem:
            answer, refused = {"error": str(problem)}, True
        if answer is not None:
            sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE, default=str))
            sys.stdout.buffer.flush()
    if refused:
        raise typer.Exit(1)
