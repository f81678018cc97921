"""Options that several `cds-hooks model` commands share."""

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's id, for example mortality_5y.")]
Data = Annotated[Path | None, typer.Option(help="The data folder; default: the setting CDS_DATA_DIR.")]
Seed = Annotated[int, typer.Option(help="Seed of the parity rows and of the bootstrap samples.")]
Replicates = Annotated[int, typer.Option(min=0, help="Bootstrap samples for the intervals; 0 for none.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Specs = Annotated[Path | None, typer.Option(help="Folder with declarations of models of your own.")]
