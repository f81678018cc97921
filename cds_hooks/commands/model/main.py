"""`cds-hooks model`: the commands on models, each imported only when it is typed."""

import typer

from cds_hooks.commands.lazy import Lazy, lazy_group

COMMANDS = {
    "train": Lazy("model.train", "train"),
    "evaluate": Lazy("model.train", "evaluate"),
    "compare": Lazy("model.train", "compare"),
    "retrain": Lazy("model.renew", "retrain"),
    "recalibrate": Lazy("model.renew", "recalibrate"),
    "list": Lazy("model.describe", "list_"),
    "page": Lazy("model.describe", "page"),
    "card": Lazy("model.describe", "card"),
    "gates": Lazy("model.gates", "gates"),
    "capacity": Lazy("model.capacity", "capacity"),
    "label-audit": Lazy("model.gates", "label_audit"),
    "log": Lazy("model.mlflow", "log"),
    "sign": Lazy("model.release", "sign"),
    "waive": Lazy("model.release", "waive"),
    "state": Lazy("model.release", "state"),
    "history": Lazy("model.versions", "history"),
    "alias": Lazy("model.versions", "alias"),
    "rollback": Lazy("model.versions", "rollback"),
    "new": Lazy("model.adding", "new"),
    "import": Lazy("model.adding", "import_"),
    "compile": Lazy("model.adding", "compile_file"),
    "adopt": Lazy("model.adopt", "adopt"),
    "dataset": Lazy("model.describe", "dataset"),
    "sample-size": Lazy("model.sample_size", "sample_size"),
}

app = typer.Typer(cls=lazy_group(COMMANDS), no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Train, evaluate, list and describe the models."""
