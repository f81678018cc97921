"""`cds-hooks terminology`: a hospital's own releases of terminologies, in one index that the lookups read."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.sentences import said_in_a_sentence

app = typer.Typer(no_args_is_help=True, add_completion=False)
_MOST_GROUPS = 10


@app.callback()
def _terminology() -> None:
    """Import a hospital's own releases of SNOMED CT, LOINC, RxNorm and ATC, and its own codes."""


@app.command("import")
def import_files(
    files: Annotated[
        list[Path],
        typer.Argument(exists=True, help="Archives, folders and files as their publishers make them; tables of yours."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The index to write.")] = Path("terminology.idx"),
) -> None:
    """Read releases and tables of codes into one index, which CDS_TERMINOLOGY names.

    What descends from our codes of SNOMED CT means what they mean, in all names and languages of the release; a result
    is read by the parts of its LOINC code. Nothing of the files is sent anywhere or kept elsewhere. What could not be
    read is named; a file that has not the form of its publisher ends the command with its line, without an index.

    Example: cds-hooks terminology import SnomedCT_InternationalRF2.zip our-codes.csv --out terms.idx
    """
    from fhir.terminology.importing import growth_of_groups, import_releases  # imported here: the tables take 0.2 s
    from fhir.terminology.rf2 import NotARelease

    with said_in_a_sentence(NotARelease):
        imported = import_releases(files, out, lambda name: typer.echo(f"reading {name}", err=True))
    for source in imported.sources:
        edition = f" {source.edition}" if source.edition else ""
        typer.echo(f"{source.publisher}{edition}: {source.file}, SHA-256 {source.sha256[:16]}…")
    systems = Counter(system for system, _ in imported.codes)
    counts = ", ".join(f"{number} of {system}" for system, number in sorted(systems.items()))
    typer.echo(f"{len(imported.codes)} codes ({counts}) and {len(imported.names)} names.")
    growth = growth_of_groups(imported)
    for group, new in growth.most_common(_MOST_GROUPS):
        typer.echo(f"  {group}: {new} codes that our tables do not have")
    for fault in imported.not_read:
        typer.echo(f"not read: {fault}", err=True)
    typer.echo(f"{out}: start the server with CDS_TERMINOLOGY={out}")
