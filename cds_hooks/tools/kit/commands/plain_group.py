"""A group of commands that tells unknown commands and values out of range in plain words."""

from typing import Any

import typer
from typer.core import TyperGroup

_USAGE_ERROR: Any = typer.BadParameter.__base__


def _arguments_of(ctx: Any) -> str:
    """Return what the command takes by position: an unknown word is taken for it, and the fault names the next one."""
    sentences = []
    for parameter in ctx.command.params:
        if parameter.param_type_name == "argument":
            value = ctx.params.get(parameter.name)
            taken = "" if value is None or isinstance(value, list | tuple) else f", for which '{value}' was taken"
            name = parameter.metavar or parameter.name.upper()
            sentences.append(f". The command takes one {name} ({(parameter.help or '').rstrip('.')}){taken}")
    return "".join(sentences)


class PlainGroup(TyperGroup):
    """Tells what a value must be, and which commands there are; the server's groups use the words of its settings."""

    # Contexts are `Any` here: typer keeps their types private.
    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if error.__cause__ is not None and (faults := getattr(error.__cause__, "errors", None)):
                error.message = "; ".join(map(self.words_of, faults()))
            raise
        except _USAGE_ERROR as error:
            if error.ctx is ctx:
                names = ", ".join(self.list_commands(ctx))
                said = error.message if error.message.endswith("?") else f"{error.message.rstrip('.')}."
                error.message = f"{said} The commands are: {names}"
            elif error.ctx is not None and error.ctx.parent is ctx and not isinstance(error.ctx.command, TyperGroup):
                error.message = f"{error.message.rstrip('.')}{_arguments_of(error.ctx)}"
            raise

    def words_of(self, fault: Any) -> str:
        """Return what a value must be, and what came."""
        needed = fault["msg"].partition(",")[0].replace("Input should be", "must be", 1)
        return f"{needed}; received {fault['input']!r}"
