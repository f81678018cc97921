"""`cds-hooks equation`: lists the published equations, shows what one declares, or its value for a person."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import AsJson, failure, print_json
from cds_hooks.tools.kit.simulator.chart import ChartError, open_chart
from cds_hooks.tools.kit.tables import print_table
from fhir.record.record import read_record
from fhir.record.resources import decoder
from models_onnx.equations.calculate import EquationResult, Quantity, RecordInputs, inputs_from_record, limits
from models_onnx.equations.card import equation_document, result_document
from models_onnx.equations.declaration import Equation, find_equations, get_equation
from models_onnx.errors import EquationRefused, ModelError


def equation(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The equation's id; without it all are listed.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT=VALUE", help="An input, as in age=60 or creatinine='120 umol/L'; again for each."
        ),
    ] = None,
    patient: Annotated[
        Path | None, typer.Option(help="Take the inputs from this chart: a Bundle, or sample:ID; what is given wins.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the published equations, show the inputs of one, or its value for a person.

    With NAME its inputs and their limits; with inputs, too, each output, its band and the inputs' parts. With --json
    the list has also bands, cautions and the 13 source attributes of each.

    Exit codes: 0 shown, 1 an output was refused and says why, 2 the name or the inputs cannot be used.

    Example: cds-hooks equation fib4 age=57 ast=85 alt=60 platelets=90

    Example: cds-hooks equation kfre_4 --patient sample:ckd-uacr
    """
    if name is None:
        _list(as_json)
        return
    try:
        declared = get_equation(name)
        given = dict(_assignment(text) for text in assignments or [])
        charted = _charted(declared, patient) if patient is not None else RecordInputs(declared, {}, {}, {}, (), None)
    except (ModelError, ChartError, ValueError) as error:
        raise failure(str(error), 2) from error
    if not given and patient is None:
        print_json(equation_document(declared)) if as_json else _print_inputs(declared)
        return
    charted = charted.with_given(given)
    outcomes = [_outcome(charted, output.id) for output in declared.outputs]
    if as_json:
        absent = [item.name for item in charted.not_found]
        print_json([{**result_document(outcome), "not_found": absent} for outcome in outcomes])
    else:
        _print_outcomes(charted, outcomes)
    raise typer.Exit(1 if any(isinstance(outcome, EquationRefused) for outcome in outcomes) else 0)


def _list(as_json: bool) -> None:
    equations = find_equations().values()
    if as_json:
        print_json([equation_document(equation) for equation in equations])
        return
    table = Table("id", "title", "version", "outputs", title="Published equations")
    for item in equations:
        outputs = ", ".join(output.id for output in item.outputs)
        table.add_row(item.id, item.title, item.version, outputs)
    print_table(table)


def _assignment(text: str) -> tuple[str, Any]:
    """Return the name and the value of an input; ValueError where the text is none."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise ValueError(f"{text!r} is not INPUT=VALUE, for example age=60")
    number, _, unit = value.strip().partition(" ")
    return name.strip(), Quantity(number, unit.strip()) if unit.strip() else number


def _charted(equation: Equation, patient: Path) -> RecordInputs:
    now = settings().as_of or datetime.now(UTC)
    chart = open_chart(patient, now)
    resources: dict[str, Any] = {}
    for position, resource in enumerate(chart.resources):
        with suppress(msgspec.DecodeError):  # what cannot be read is no fact; the server reports it
            resources[str(position)] = decoder.decode(orjson.dumps(resource))
    of_site = {"calibration": settings().kfre_region} if "calibration" in equation.inputs_by_name else {}
    return inputs_from_record(equation, read_record(resources, chart.patient["id"], now), of_site)


def _outcome(charted: RecordInputs, output: str) -> EquationResult | EquationRefused:
    try:
        return charted.calculate(output)
    except EquationRefused as refused:
        return refused


def _print_inputs(equation: Equation) -> None:
    table = Table("input", "meaning", "unit", "limits", title=f"{equation.title}, {equation.version} ({equation.id})")
    for item in equation.inputs:
        allowed = " or ".join(item.choices) or ("yes or no" if item.kind == "yes-no" else limits(item))
        table.add_row(item.name, item.words, "" if item.unit == "1" else item.unit, allowed)
    print_table(table)
    typer.echo(f"For {equation.population}. {equation.citation}.")


def _print_outcomes(charted: RecordInputs, outcomes: list[EquationResult | EquationRefused]) -> None:
    equation, console = charted.equation, Console(highlight=False)
    console.print(f"{equation.title}, {equation.version} ({equation.id})")
    for outcome in outcomes:
        if isinstance(outcome, EquationRefused):
            console.print(f"No value: {outcome.text}")
        else:
            print_table(_result_table(outcome), console)
    if charted.not_found and any(isinstance(outcome, EquationResult) for outcome in outcomes):
        words = ", ".join(item.words_in_sentence for item in charted.not_found)
        console.print(f"Not found in the chart, so counted as no: {words}.")
    console.print(f"Compared with: {equation.reference}.")


def _result_table(result: EquationResult) -> Table:
    band = f"; {result.band.words} ({result.table.source})" if result.band and result.table else ""
    title = f"{result.output.id}: {result.value_text}{band}"
    table = Table("input", "value", f"part ({result.working.link})", title=title)
    for part in sorted(result.working.contributions, key=lambda part: -abs(part.contribution)):
        item = result.equation.input(part.input)
        yes_or_no = "yes" if part.value else "no"
        number = part.value if isinstance(part.value, str) else f"{part.value:g}{item.unit_text}"
        value = yes_or_no if isinstance(part.value, bool) else number
        table.add_row(item.words, value, f"{part.contribution:+.4f}")
    table.add_row("reference", "", f"{result.working.base:+.4f}")
    return table
