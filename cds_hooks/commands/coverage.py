"""`cds-hooks coverage`: checks the policies of payers."""

from pathlib import Path
from typing import Annotated

import typer

from cards.coverage.approval import policy_tables
from cards.coverage.policy import Policies, PolicyFault, load_policies
from cards.coverage.proposals import load_proposals
from cards.coverage.simulation import wrong_cases
from cds_hooks.commands.options import said_in_a_sentence


def coverage(
    folder: Annotated[Path | None, typer.Argument(exists=True, file_okay=False, help="The payer's own folder.")] = None,
) -> None:
    """Check the policies of this package and of a payer's own folder, and run the cases of the folder.

    Prints how many rows and criteria each payer has, how many rows end, and the version. Exit code 1 where a file
    cannot be used, or a case is answered otherwise than it expects.

    Example: cds-hooks coverage
    """
    with said_in_a_sentence(PolicyFault):
        policies = load_policies(folder)
        load_proposals(folder, policies.payers)
        list(policy_tables(policies))
        _check(policies, folder)


def _check(policies: Policies, folder: Path | None) -> None:
    rows = list(policies.every())
    for payer in policies.payers.values():
        of_payer = [row for row in rows if row.payer == payer.id]
        ended = sum(row.effective_to is not None for row in of_payer)
        typer.echo(f"{payer.id}: {len(of_payer)} rows, {ended} with an end. {payer.name}")
    typer.echo(f"{len(policies.criteria)} sets of criteria. Version {policies.version}.")
    count, wrong = wrong_cases(folder, policies) if folder is not None else (0, [])
    for sentence in wrong:
        typer.echo(sentence, err=True)
    typer.echo(f"{count} cases, {len(wrong)} wrong.")
    if wrong:
        raise typer.Exit(1)
