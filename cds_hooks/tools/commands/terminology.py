"""`cds-hooks terminology`: a hospital's own releases of terminologies, in one index that the lookups read."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from cds_hooks.tools.commands.options import failure, is_there, said_in_a_sentence
from cds_hooks.tools.kit.commands.plain_group import PlainGroup

if TYPE_CHECKING:
    from fhir.terminology.importing import Step
    from fhir.terminology.release_files import Imported

app = typer.Typer(cls=PlainGroup, no_args_is_help=True, add_completion=False)
_MOST_GROUPS = 10
_INDEX = Path("terminology.idx")


@app.callback()
def _terminology() -> None:
    """Import a hospital's own releases of terminologies, and its own codes, names and definitions."""


@app.command("import")
def import_files(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            callback=is_there, help="Archives, folders and files as their publishers make them; tables of yours."
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="Expand the definitions of SNOMED CT by this terminology server."),
    ] = None,
    token: Annotated[
        Path | None,
        typer.Option("--token-file", callback=is_there, help="A file with the bearer token of that server."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The index to write, or the folder of indexes.")] = _INDEX,
) -> None:
    """Read releases and tables of codes into one index, which CDS_TERMINOLOGY names.

    What descends from our codes of SNOMED CT, or is in a definition, means what they mean, in all names and languages
    of the release; a result is read by the parts of its LOINC code. Where that differs from our tables is written as a
    table beside the index. Nothing of the files is sent anywhere or kept elsewhere. What could not be read is named; a
    file that has not the form of its publisher ends the command with its line, without an index.

    With --from a terminology server of FHIR R4 is asked for the groups instead, by $expand and $lookup, at the import
    only. Only identifiers of our definitions are sent.

    Example: cds-hooks terminology import SnomedCT_InternationalRF2.zip our-codes.csv --out terms.idx
    """
    from cds_hooks.people.governance.terminology import REPORT
    from fhir.terminology.importing import faults_of, growth_of_groups, import_releases, write_report
    from fhir.terminology.rf2 import NotARelease  # imported here: the tables take 0.2 s

    if not files and server is None:
        raise failure("Name files to import, or a terminology server with --from.", 2)
    with said_in_a_sentence(NotARelease), _progress() as step, ExitStack() as stack:
        by_server = stack.enter_context(_by_server(server, token)) if server is not None else None
        imported = import_releases(files or [], out, step, by_server)
    for source in imported.sources:
        edition = f" {source.edition}" if source.edition else ""
        typer.echo(f"{source.publisher}{edition}: {source.file}, SHA-256 {source.sha256[:16]}…")
    systems = Counter(system for system, _ in imported.codes)
    counts = ", ".join(f"{number} of {system}" for system, number in sorted(systems.items()))
    several = f"; {len(imported.several)} names have several meanings and are left out" if imported.several else ""
    typer.echo(f"{len(imported.codes)} codes ({counts}) and {len(imported.names)} names{several}.")
    growth = growth_of_groups(imported)
    for group, new in growth.most_common(_MOST_GROUPS):
        typer.echo(f"  {group}: {new} codes that our tables do not have")
    for fault in (*imported.not_read, *faults_of(imported)):
        typer.echo(f"not read: {fault}" if fault in imported.not_read else f"look at: {fault}", err=True)
    index = imported.index or out
    if imported.differences:
        report = index.with_suffix(REPORT)
        kinds = Counter(how for (_, how), number in write_report(imported, report).items() for _ in range(number))
        typer.echo(f"{report}: {', '.join(f'{number} {how}' for how, number in kinds.most_common())}")
    typer.echo(f"{index}: start the server with CDS_TERMINOLOGY={out}")


@contextmanager
def _by_server(base: str, token: Path | None) -> Iterator[Callable[["Imported", "Step"], None]]:
    """Yield what asks a terminology server for what our definitions hold."""
    import httpx  # imported here: files need no client

    from fhir.client.terminology_server import SECONDS, TerminologyServer, expand_by

    headers = {"accept": "application/fhir+json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token.read_text('utf-8').strip()}"
    with httpx.Client(headers=headers, timeout=SECONDS) as http:
        yield partial(expand_by, TerminologyServer(base, http))


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on a terminal, else a line for each file that is read."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("reading", total=None)

        def step(name: str, done: int, total: int) -> None:
            bar.update(task, description=f"reading {name}", completed=done, total=total)
            if not bar.console.is_terminal:
                typer.echo(f"reading {name}", err=True)

        yield step
