"""`cds-hooks model`: the commands on models, each imported only when it is typed."""

import typer

from cds_hooks.commands.lazy import Lazy, lazy_group

COMMANDS = {
    "train": Lazy(
        "model.train",
        "train",
        "Train a model from its table, prove the file against scikit-learn, evaluate it, write the artifact.",
    ),
    "evaluate": Lazy(
        "model.train",
        "evaluate",
        "Figures with 95 % intervals on people the model was not trained on: out of fold, or on the rows of "
        "another table.",
    ),
    "compare": Lazy(
        "model.train",
        "compare",
        "Compare the families of models on the same folds: logistic or Cox, additive trees, boosted trees.",
    ),
    "list": Lazy(
        "model.describe",
        "list_",
        "List the models of a folder, the state of their artifacts and where their releases stand.",
    ),
    "page": Lazy("model.describe", "page", "The model's page in Markdown, written from its manifest."),
    "card": Lazy(
        "model.describe",
        "card",
        "The model card: 31 attributes of a predictive model, 13 of a published equation, in the form asked for.",
    ),
    "gates": Lazy(
        "model.gates", "gates", "Run the gates G1 to G18 on a model and say of each whether it is green, and why."
    ),
    "capacity": Lazy(
        "model.capacity",
        "capacity",
        "Show the tested thresholds of a model with their PPV, and the widest whose cards a team can work off.",
    ),
    "label-audit": Lazy(
        "model.gates", "label_audit", "Compare what groups need at an equal score: is the label what it stands for?"
    ),
    "sign": Lazy(
        "model.release",
        "sign",
        "Publish an artifact again: card from its manifest and words, hashes, signature by the local key.",
    ),
    "verify": Lazy(
        "model.release",
        "verify",
        "Check signature, hashes, operators and card of every version of a model; say which may show cards.",
    ),
    "waive": Lazy(
        "model.release",
        "waive",
        "Sign the waivers that NAME.card.json declares, for the declared version of the model, and write them there.",
    ),
    "state": Lazy(
        "model.release",
        "state",
        "Show the state and history of a release, or move it on: draft, validated, approved, shadow, active, retired.",
    ),
    "history": Lazy(
        "model.versions",
        "history",
        "Show every version of a model: digest, dates, state, gates, who signed it, its aliases, and acts of release.",
    ),
    "alias": Lazy(
        "model.versions",
        "alias",
        "Give a version a name, by which every command finds it: NAME@ALIAS. A name that is there already moves.",
    ),
    "rollback": Lazy(
        "model.versions",
        "rollback",
        "Put the version before in use again, or the one that --to names. The other one stays beside it.",
    ),
    "new": Lazy(
        "model.adding",
        "new",
        "Write the files of a new model: its declaration and the words of its card, to complete, and cases to "
        "try it on.",
    ),
    "import": Lazy(
        "model.adding",
        "import_",
        "Take in a model trained elsewhere: checked, loaded first in a process of its own, described, signed "
        "as a draft.",
    ),
    "compile": Lazy(
        "model.adding",
        "compile_file",
        "Compile a model file of another library to ONNX with exact contributions, proven before it is written.",
    ),
    "adopt": Lazy(
        "model.adopt",
        "adopt",
        "Adopt a model that was fitted elsewhere: compile it exactly, evaluate it on the table's rows, write the "
        "artifact.",
    ),
    "dataset": Lazy(
        "model.describe",
        "dataset",
        "Make the table of a model's inputs: from charts, to train on, or from the columns of its study, to score.",
    ),
}

app = typer.Typer(cls=lazy_group(COMMANDS), no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Train, evaluate, list and describe the models."""
