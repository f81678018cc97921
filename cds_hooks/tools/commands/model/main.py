"""`cds-hooks model`: the commands on models, each imported only when it is typed."""

import typer

from cds_hooks.tools.commands.lazy import Lazy, lazy_group

COMMANDS = {
    "train": Lazy("model.train", "train"),
    "import": Lazy("model.train", "import_"),
    "sign": Lazy("model.train", "sign"),
    "gates": Lazy("model.gates", "gates"),
}

app = typer.Typer(cls=lazy_group(COMMANDS), add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Train, import, sign and gate the models."""
