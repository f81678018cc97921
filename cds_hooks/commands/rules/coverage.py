"""`cds-hooks rules show --coverage`: which checks exist for each drug and test of the tables, and which do not."""

from typing import Any

import typer
from msgspec import to_builtins
from rich import box
from rich.console import Console
from rich.table import Table

from cards.rules.engine.coverage import (
    CHECKS,
    AnalyteCoverage,
    DrugCoverage,
    StudyCoverage,
    analyte_coverage,
    drug_coverage,
    study_coverage,
    study_in_words,
)
from cards.rules.engine.rule_book import rule_book
from cds_hooks.commands.options import print_json
from fhir.terminology.medication_names import read_order_name


def show_coverage(drug: str | None, as_json: bool) -> None:
    """Print which checks exist for each drug and test, or for one; end with exit code 1 where none is called so."""
    rules = rule_book().rules
    drugs, orders = drug_coverage(rules), study_coverage(rules)
    if drug is not None:
        members = {ingredient.rxcui for ingredient in read_order_name(drug).ingredients} | {drug}
        drugs = [row for row in drugs if row.rxcui in members or row.name.startswith(drug.lower())]
        orders = [order for order in orders if drug in order.loincs or order.words.lower().startswith(drug.lower())]
        if not drugs and not orders and (order_in_words := study_in_words(drug, rules)) is not None:
            orders = [order_in_words]
        if not drugs and not orders:
            typer.echo(
                f"No ingredient or test of the tables is called {drug}, nor is that the code of one. An order whose "
                "words are not recognised is not checked, and the answer says so (see cds-hooks understand).",
                err=True,
            )
            raise typer.Exit(1)
    tests = analyte_coverage(rules) if drug is None else []
    if as_json:
        print_json(_as_json(drugs, orders, tests))
        return
    console = Console()
    if named_drugs := [drug_row for drug_row in drugs if drug_row.is_named or drug is not None]:
        console.print(_checks("drug", [(drug_row.name, drug_row) for drug_row in named_drugs]))
    if orders:
        console.print(_checks("order of imaging or a test", [(order.words, order) for order in orders]))
    if drug is None:
        console.print(_tests(tests))
        for line in _counted(drugs, orders, tests):
            console.print(line, highlight=False, soft_wrap=True)


def _as_json(drugs: list[DrugCoverage], orders: list[StudyCoverage], tests: list[AnalyteCoverage]) -> dict[str, Any]:
    return {
        "checks": list(CHECKS),
        "drugs": [to_builtins(drug) | {"lacks": list(drug.lacks)} for drug in drugs],
        "orders": [to_builtins(order) | {"lacks": list(order.lacks)} for order in orders],
        "tests": [to_builtins(test) for test in tests],
        "counts": {check: sum(check in drug.checks for drug in drugs) for check in CHECKS}
        | {"drugs": len(drugs), "drugs_with_a_rule": sum(drug.is_named for drug in drugs)},
    }


def _checks(what: str, rows: list[tuple[str, DrugCoverage]] | list[tuple[str, StudyCoverage]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in (what, "checks", "none for"):
        table.add_column(column, overflow="fold")
    for words, drug_row in rows:
        checks = ", ".join(f"{check} {len(rules)}" for check, rules in drug_row.checks.items())
        table.add_row(words, checks or "none", ", ".join(drug_row.lacks))
    return table


def _tests(tests: list[AnalyteCoverage]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("test", overflow="fold")
    table.add_column("rules that read it", justify="right")
    table.add_column("rules that can order it", justify="right")
    for test in tests:
        if test.read_by or test.ordered_by:
            table.add_row(test.words, str(len(test.read_by)), str(len(test.ordered_by)))
    return table


def _counted(drugs: list[DrugCoverage], orders: list[StudyCoverage], tests: list[AnalyteCoverage]) -> list[str]:
    named_count = sum(drug.is_named for drug in drugs)
    checks = ", ".join(f"{check} {sum(check in drug.checks for drug in drugs)}" for check in CHECKS)
    unread = [test.words for test in tests if not test.read_by and not test.ordered_by]
    codes = sum(len(order.loincs) for order in orders)
    checked = sum(len(order.loincs) for order in orders if order.checks)
    return [
        f"{codes:,} codes of imaging and tests that are ordered: a rule is about {checked:,} of them.",
        f"{len(drugs):,} ingredients: a rule is about {named_count:,} of them, "
        f"none about {len(drugs) - named_count:,} (--json).",
        f"Ingredients with each check: {checks}.",
        f"No rule reads or orders: {', '.join(unread)}.",
    ]
