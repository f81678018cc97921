"""`cds-hooks rules check`: cases with their right answers, through the whole server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import track

from cds_hooks.casebook import CaseFault, Checked, check_file


def check(
    cases: Annotated[list[Path], typer.Argument(exists=True, metavar="CASES…", help="Case files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run cases and compare what the rules find with what each case says is right. Exit code 1 where one is wrong.

    A file is a list of short cases of the rule it is named after (docs/rules/README.md), or one complete request with
    `expected` beside it. Of a rule whose short cases are given, every band needs a firing, a silent and a missing case.

    Example: cds-hooks rules check tests/cases/rules
    """
    console = Console(stderr=True)
    checked: list[Checked] = []
    files = list(_files(cases))
    for path in track(files, "cases", console=console, disable=as_json or not console.is_terminal):
        try:
            checked.extend(check_file(path))
        except CaseFault as fault:
            checked.append(Checked(path.name, (str(fault),)))
    wrong = [each for each in checked if each.faults]
    if as_json:
        cases_said = [{"case": each.name, "faults": list(each.faults)} for each in checked]
        typer.echo(orjson.dumps({"cases": cases_said, "wrong": len(wrong)}, option=orjson.OPT_INDENT_2))
    else:
        for each in wrong:
            typer.echo(f"{each.name}: {'; '.join(each.faults)}")
        typer.echo(f"{len(checked)} cases, {len(wrong)} wrong.")
    if wrong or not checked:
        raise typer.Exit(1)


def _files(given: list[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from sorted(path.rglob("*.json"))
        else:
            yield path
