"""`cds-hooks rules simulate`: runs the rules over a folder of charts and counts the cards."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cards.rules.engine.governance import SiteRules, SuppressionPolicy, all_rule_versions
from cds_hooks.governance.rules_file import RulesFileError, read_rules_file
from cds_hooks.governance.simulation import Simulation, simulate
from models_onnx.errors import TrainingRefused
from models_onnx.training.data.charts import read_charts


def simulate_folder(
    folder: Annotated[Path, typer.Argument(exists=True, metavar="FOLDER", help="Charts: Bundles or NDJSON, .gz too.")],
    orders: Annotated[int, typer.Option(min=1, help="Orders of each patient, at most, evenly over time.")] = 10,
    examples: Annotated[int, typer.Option(min=0, help="Examples of each rule, at most.")] = 2,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="With the switches of this rules file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge each order of these charts as of the moment it was written, and count what the rules say per 100 orders.

    Facts dated later are left out; earlier orders count as active until they ended. Nothing is recorded. Exit code 2
    where the folder holds no orders.

    Example: cds-hooks rules simulate charts/ --orders 20
    """
    try:
        site = read_rules_file(file) if file is not None else SiteRules()
    except RulesFileError as error:
        typer.echo(f"{error}.", err=True)
        raise typer.Exit(1) from error
    simulation = Simulation()
    console = Console(stderr=True)
    hearing = SuppressionPolicy(
        site, all_rule_versions(), needs_approval=False, client="", units=tuple, answers={}, as_of=0.0
    )
    try:
        charts = read_charts(folder, unreadable=lambda problem: typer.echo(f"Left out: {problem}.", err=True))
        for chart in track(charts, "charts", console=console, disable=as_json or not console.is_terminal):
            simulate(simulation, [chart.patient, *chart.resources], orders, hearing)
    except TrainingRefused as problem:
        typer.echo(f"{str(problem)[0].upper()}{str(problem)[1:]}.", err=True)
        raise typer.Exit(2) from problem
    if not simulation.orders:
        typer.echo(f"{folder} holds no chart with dated medication orders.", err=True)
        raise typer.Exit(2)
    if as_json:
        typer.echo(orjson.dumps(_as_json(simulation, examples), option=orjson.OPT_INDENT_2))
    else:
        _draw(simulation, examples)


def _draw(simulation: Simulation, examples: int) -> None:
    console = Console()
    console.print(_sentence(simulation), highlight=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("rule", no_wrap=True)
    table.add_column("per 100", justify="right")
    table.add_column("times", justify="right")
    table.add_column("examples", overflow="fold")
    for rule, spoken in sorted(simulation.spoken.items(), key=lambda one: -len(one[1])):
        shown = "\n".join(f"{one.band}: {one.summary}" for one in spoken[:examples])
        table.add_row(rule, f"{simulation.per_100(len(spoken)):.2f}", str(len(spoken)), shown)
    console.print(table)


def _sentence(simulation: Simulation) -> str:
    loud = ", ".join(f"{number} {indicator}" for indicator, number in sorted(simulation.indicators.items()))
    return (
        f"{simulation.orders:,} orders of {simulation.charts} patients: {simulation.with_card} with a card "
        f"({simulation.per_100(simulation.with_card):.1f} per 100; {loud or 'none'}); "
        f"{simulation.not_recognised} orders were not recognised."
    )


def _as_json(simulation: Simulation, examples: int) -> dict[str, Any]:
    rules = {
        rule: {
            "times": len(spoken),
            "per_100_orders": round(simulation.per_100(len(spoken)), 3),
            "examples": [
                {"band": one.band, "indicator": one.indicator, "drug": one.drug, "summary": one.summary}
                for one in spoken[:examples]
            ],
        }
        for rule, spoken in sorted(simulation.spoken.items())
    }
    return {
        "orders": simulation.orders,
        "patients": simulation.charts,
        "not_recognised": simulation.not_recognised,
        "cards": simulation.with_card,
        "cards_per_100_orders": round(simulation.per_100(simulation.with_card), 3),
        "indicators": dict(simulation.indicators),
        "rules": rules,
    }
