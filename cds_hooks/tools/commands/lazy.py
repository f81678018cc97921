"""Command groups whose commands are imported only when they are typed, so that the command line starts fast."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

import cds_hooks
from cds_hooks.server.memory import no_collection
from cds_hooks.tools.kit.commands.plain_group import PlainGroup

_PACKAGE = Path(cds_hooks.__file__).parent
_HELP_OF_APP = r'(?:^app = typer\.Typer\([^)]*?help=\(?\s*"|^@app\.callback\(\)\ndef .*?""")'


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command stands: its module and the function or typer app there.

    `module` is in `cds_hooks.tools.commands`, or has its full name.
    """

    module: str
    attribute: str

    @property
    def _module_name(self) -> str:
        return self.module if self.module.startswith("cds_hooks.") else f"cds_hooks.tools.commands.{self.module}"

    @property
    def summary(self) -> str:
        """Return the first sentence of the command's own help.

        It is found in the source: the list of commands is printed without importing any of them.
        """
        source = _PACKAGE.joinpath(*self._module_name.split(".")[1:]).with_suffix(".py").read_text(encoding="utf-8")
        pattern = _HELP_OF_APP if self.attribute == "app" else rf'^def {self.attribute}\(.*?"""'
        match = re.search(rf'{pattern}(.*?[.?])(?=\s|")', source, re.DOTALL | re.MULTILINE)
        return " ".join(match[1].split()) if match is not None else ""

    def load(self, name: str) -> Any:
        """Return the command under this name, imported."""
        command_or_group: Any = getattr(_import_module(self._module_name), self.attribute)
        if not isinstance(command_or_group, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(name)(command_or_group)
            command_or_group = alone
        if command_or_group.rich_markup_mode is not None:
            command_or_group.rich_markup_mode = "markdown"  # help fills its lines, and `[panel]` is no tag of rich
        command: Any = typer.main.get_command(command_or_group)
        command.name = name
        return command


def _import_module(name: str) -> ModuleType:
    """Return the module, imported without garbage collection, which would take 80 of 530 ms and find nothing."""
    with no_collection():
        return import_module(name)


def lazy_group(commands: Mapping[str, Lazy]) -> type[PlainGroup]:
    """Return a group of these commands, in this order, for `typer.Typer(cls=...)`."""

    # Contexts and commands are `Any` here: typer keeps their types private.
    class LazyGroup(PlainGroup):
        def words_of(self, fault: Any) -> str:
            """Return what a value must be, in the words in which a setting is told."""
            from cds_hooks.settings.checks import words_of  # loads pydantic, as the fault has

            return words_of(fault, with_value=True)

        def list_commands(self, ctx: Any) -> list[str]:
            """Return the names, in the order of the help."""
            return [*commands, *super().list_commands(ctx)]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """Return the command of this name, imported now."""
            lazy = commands.get(cmd_name)
            if lazy is None:
                return super().get_command(ctx, cmd_name)
            return lazy.load(cmd_name)

        def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the signature of typer
            """Write the whole line of help of each command, none of which is imported for it."""
            with formatter.section("Commands"):
                formatter.write_dl([(name, commands[name].summary) for name in commands])

    return LazyGroup
