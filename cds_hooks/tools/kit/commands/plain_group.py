"""A group of commands that tells values out of range in plain words."""

from typing import Any

import typer
from typer.core import TyperGroup

from cds_hooks.tools.kit.faults import needed


class PlainGroup(TyperGroup):
    """Tells what a value must be in the words of `faults.py`."""

    # Contexts are `Any` here: typer keeps their types private.
    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if error.__cause__ is not None and (faults := getattr(error.__cause__, "errors", None)):
                error.message = "; ".join(map(self.words_of, faults()))
            raise

    def words_of(self, fault: Any) -> str:
        """Return what a value must be, and a number that came."""
        words, number = needed(fault["type"], fault["msg"], fault.get("ctx", {})), fault["input"]
        return f"{words}; received {number!r}" if fault["type"].startswith(("greater", "less")) else words
