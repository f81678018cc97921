"""`cds-hooks model sample-size`: how many people a model needs, before any is trained."""

from typing import Annotated

import typer

from cds_hooks.commands.model.console import AsJson, print_json, problems


def sample_size(
    prevalence: Annotated[float, typer.Option(help="The share of people with the outcome, 0 to 1.")],
    parameters: Annotated[int, typer.Option(min=1, help="Terms of the model: a spline or a code counts each of its.")],
    auroc: Annotated[float | None, typer.Option(help="The AUROC that is expected, as of a published model.")] = None,
    r2: Annotated[float | None, typer.Option(help="Or its Cox-Snell R2.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how many people a model of a yes-or-no outcome needs before it is trained (Riley, BMJ 2020;368:m441).

    Three criteria: a shrinkage of at least 0.9, an optimism in the explained share of at most 0.05, and the overall
    risk within 0.05. Without a published R2 the AUROC gives it.

    Exit codes: 0 said, 2 the figures cannot be.

    Example: cds-hooks model sample-size --prevalence 0.17 --parameters 24 --auroc 0.8
    """
    with problems():
        from models_onnx.workbench.sample_size import sample_size as needed

        size = needed(prevalence, parameters, auroc, r2)
    if as_json:
        print_json({"people": size.people, "events": size.events, "criteria": size})
        return
    typer.echo(f"{size.people:,} people, of whom {size.events:,} with the outcome (Cox-Snell R2 {size.r2:.3f}).")
    typer.echo(f"For a shrinkage of at least 0.9: {size.shrinkage:,}.")
    typer.echo(f"For an optimism in R2 of at most 0.05: {size.optimism:,}.")
    typer.echo(f"For the overall risk within 0.05: {size.overall_risk:,}.")
