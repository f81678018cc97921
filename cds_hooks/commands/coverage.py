"""`cds-hooks coverage`: checks the policies of payers, and counts what they would ask for."""

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cards.coverage.approval import policy_tables
from cards.coverage.policy import Policies, PolicyFault, load_policies
from cards.coverage.proposals import load_proposals
from cards.coverage.simulation import simulate_orders, wrong_cases
from cds_hooks.commands.options import AsJson, failure, print_json, said_in_a_sentence


def coverage(
    folder: Annotated[Path | None, typer.Argument(exists=True, file_okay=False, help="The payer's own folder.")] = None,
    changes: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="FIRST LAST", help="List what is in force on only one of these days, each YYYY-MM-DD."),
    ] = None,
    charts: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Count what is asked for the orders in these Bundles (*.json)."
        ),
    ] = None,
    payer: Annotated[str, typer.Option(help="With --charts: the id of the payer whose rules are tried.")] = "medicare",
    as_json: AsJson = False,
) -> None:
    """Check the policies of this package and of a payer's own folder, and run the cases of the folder.

    Prints how many rows and criteria each payer has, which rows end, and the version. With --changes the codes are
    listed for which another list is in force on the last day than on the first. With --charts all orders of the charts
    are judged as if the payer covered each patient, and counted by code; nothing is recorded.

    Exit code 1 where a file cannot be used, a case is answered otherwise than it expects, or no order has a rule; 2
    where a day or the payer makes no sense.

    Example: cds-hooks coverage --changes 2024-08-11 2026-04-13
    """
    with said_in_a_sentence(PolicyFault):
        policies = load_policies(folder)
        load_proposals(folder, policies.payers)
        list(policy_tables(policies))
        if changes is not None:
            _print_changes(policies, *changes)
        elif charts is not None:
            _print_counts(_counts(policies, charts, payer), as_json)
        else:
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


def _print_changes(policies: Policies, first: str, last: str) -> None:
    try:
        days = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as error:
        raise failure("A day is written as YYYY-MM-DD.", 2) from error
    if days[1] < days[0]:
        raise failure("The last day is before the first.", 2)
    for row in policies.every():
        before, after = (row.is_in_force(day) for day in days)
        if before != after:
            since = row.effective_from if after else row.effective_to
            typer.echo(f"{'+' if after else '-'} {row.code} {row.category} ({row.pa_needed or row.basis}, {since})")


def _counts(policies: Policies, charts: Path, payer: str) -> list[dict[str, Any]]:
    if payer not in policies.payers:
        raise failure(f"There is no payer {payer}; there are {', '.join(policies.payers)}.", 2)
    counts: Counter[tuple[str, str, str]] = Counter()
    for path in sorted(charts.rglob("*.json")):
        counts.update(simulate_orders(path.read_bytes(), policies, policies.payers[payer], datetime.now(UTC)))
    if not counts:
        raise failure("No order in this folder has a rule of this payer.")
    return [
        {"code": code, "covered": covered, "pa_needed": pa_needed, "orders": count}
        for (code, covered, pa_needed), count in sorted(counts.items())
    ]


def _print_counts(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['code']}: {row['orders']} orders, {row['covered']}, {row['pa_needed'] or 'nothing said'}")
