"""`cds-hooks rules`: checks the medication rules, and tries them on charts. /rules shows each of them."""

import typer

from cds_hooks.tools.commands.rules.check import check, simulate_folder
from cds_hooks.tools.kit.commands.plain_group import PlainGroup

app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Check the medication rules, and try them on charts.",
)
app.command("check")(check)
app.command("simulate")(simulate_folder)
