"""`cds-hooks equation`: lists the published equations, calculates one, checks one against a file of vectors."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.equation.output import listed, show_checked, show_results
from cds_hooks.commands.options import AsJson, print_json
from cds_hooks.commands.sentences import failure
from cds_hooks.kit.simulator.chart import ChartError, open_chart
from cds_hooks.settings import settings
from fhir.record.reading import read_record
from fhir.record.resources import decoder
from models_onnx.artifact.files import write_whole
from models_onnx.equations.calculate import EquationResult, Quantity
from models_onnx.equations.compiled import PUBLISHED, onnx_file_name
from models_onnx.equations.declaration import Equation, compilable_outputs, find_equations, get_equation
from models_onnx.equations.record_inputs import RecordInputs, inputs_from_record
from models_onnx.equations.vectors import VectorCheck, check_vectors, own_vectors, read_vectors
from models_onnx.errors import EquationRefused, ModelError

app = typer.Typer(no_args_is_help=True, help="The published equations: list, work out, check.")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the equations; with --json also inputs, bands, cautions and the 13 source attributes.

    Example: cds-hooks equation list
    """
    equations = find_equations().values()
    if as_json:
        documents = [listed(equation) for equation in equations]
        print_json(documents)
        return
    table = Table("id", "title", "version", "outputs", "on cards", title="Published equations")
    for item in equations:
        outputs = ", ".join(output.id for output in item.outputs)
        table.add_row(item.id, item.title, item.version, outputs, "no" if item.not_on_cards else "yes")
    Console().print(table)


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The equation's id; see: cds-hooks equation list.")],
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT=VALUE", help="An input, as in age=60 or creatinine='120 umol/L'; again for each."
        ),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(help="Inputs as a JSON object, a file with one, or - for standard input.")
    ] = None,
    patient: Annotated[
        Path | None, typer.Option(help="Take the inputs from this chart: a Bundle, or sample:ID; what is given wins.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="One output only, for example 'ascvd|10y'.")] = None,
    as_json: AsJson = False,
) -> None:
    """Work an equation out and show its value, its band and how each input contributes.

    Exit codes: 0 every output asked for has a value, 1 one was refused and says why, 2 the name or the inputs cannot
    be used.

    Example: cds-hooks equation run fib4 age=57 ast=85 alt=60 platelets=90

    Example: cds-hooks equation run kfre_4 --patient sample:ckd-uacr
    """
    try:
        equation = get_equation(name)
        values = {**_json_inputs(inputs), **_named_inputs(assignments or [])}
        if output is not None and output not in {output.id for output in equation.outputs}:
            raise ValueError(f"{name} has no output {output!r}; it has: {', '.join(o.id for o in equation.outputs)}")
        if strange := sorted(set(values) - {item.name for item in equation.inputs}):
            inputs_there = ", ".join(item.name for item in equation.inputs)
            raise ValueError(f"{name} has no input {', '.join(strange)}; it has: {inputs_there}")
        charted = _charted(equation, patient)
    except (ModelError, ChartError, ValueError, OSError) as error:
        raise failure(str(error), 2) from error
    outputs = [output] if output is not None else [output.id for output in equation.outputs]
    with _own_code_fails_in_a_sentence(equation):
        results = [_worked_out(charted, values, output) for output in outputs]
    show_results(equation, results, charted.not_found, as_json)
    raise typer.Exit(1 if any(isinstance(result, EquationRefused) for result in results) else 0)


@app.command()
def check(
    file: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="An equation's id, for its own test vectors, or JSON in the format of shared/data/equations.",
        ),
    ],
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Go on after the first disagreement.")] = False,
) -> None:
    """Check an equation against its own test vectors or those of a file: to 1e-3, whole numbers exactly.

    A vector whose `expected` is null expects a refusal. Inputs may state their unit.

    Exit codes: 0 every vector agrees, 1 one does not and is named with both values, 2 the name or the file cannot be
    used.

    Example: cds-hooks equation check fib4

    Example: cds-hooks equation check vectors/fib4.json
    """
    try:
        if file.endswith(".json"):
            equation, vectors = read_vectors(Path(file))
        else:
            equation = get_equation(file)
            vectors = own_vectors(equation)
    except ModelError as error:
        raise failure(str(error), 2) from error
    results: list[VectorCheck] = []
    with _own_code_fails_in_a_sentence(equation):
        for result in check_vectors(equation, vectors):
            results.append(result)
            if not result.agrees and not every:
                break
    show_checked(equation, results, len(vectors), as_json)
    raise typer.Exit(0 if all(result.agrees for result in results) else 1)


@app.command("compile")
def compile_(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One equation only.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; default: beside the equations.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: compare with the files that are there.")
    ] = False,
) -> None:
    """Write the self-explaining ONNX files of the equations that are linear or points, each proven to 1e-5.

    Exit codes: 0 written (with --check: the same to the byte), 1 a file differs or does not agree with its equation,
    2 there is no such equation.

    Example: cds-hooks equation compile --check
    """
    try:
        from models_onnx.workbench.compiler.equation import compile_equation, verify_equation
    except ModuleNotFoundError as error:
        raise failure(f"{error.name} is not installed; this needs the extra: cds-hooks-onnx[train]", 2) from error
    folder, differing = out or PUBLISHED, 0
    compilable = compilable_outputs()
    chosen = [(equation, output) for equation, output in compilable if name in (None, equation.id)]
    if not chosen:
        names = ", ".join(sorted({equation.id for equation, _ in compilable}))
        raise failure(f"{name} is not compiled; these are: {names}", 2)
    for equation, output in chosen:
        content = compile_equation(equation, output)
        try:
            gap = verify_equation(equation, output, content)
        except ModelError as error:
            raise failure(str(error)) from error
        path = folder / onnx_file_name(equation.id, output)
        is_same = path.is_file() and path.read_bytes() == content
        differing += not is_same
        if not check:
            write_whole(path, content)
        outcome = "the same" if is_same else "DIFFERS" if check else "written"
        typer.echo(f"{path.name}: {len(content):,} bytes, largest difference {gap:.1e}, {outcome}")
    raise typer.Exit(1 if check and differing else 0)


@contextmanager
def _own_code_fails_in_a_sentence(equation: Equation) -> Iterator[None]:
    """Ends the command with exit code 2 and the line of the equation's file where its own code raises an error."""
    try:
        yield
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [(Path(frame.filename), frame.lineno) for frame in frames if Path(frame.filename).parent == PUBLISHED]
        location = "".join(f"models_onnx/equations/published/{file.name}, line {line}: " for file, line in lines[-1:])
        raise failure(f"{location}the code of {equation.id} fails ({type(error).__name__}: {error})", 2) from error


def _charted(equation: Equation, patient: Path | None) -> RecordInputs:
    """The inputs of the chart; none without one."""
    if patient is None:
        return RecordInputs(equation, {}, {}, {}, (), None)
    now = settings().as_of or datetime.now(UTC)
    chart = open_chart(patient, now)
    resources: dict[str, Any] = {}
    for position, resource in enumerate(chart.resources):
        with suppress(msgspec.DecodeError):  # what cannot be read is no fact; the server reports it
            resources[str(position)] = decoder.decode(orjson.dumps(resource))
    of_site = {"calibration": settings().kfre_region} if any(i.name == "calibration" for i in equation.inputs) else {}
    return inputs_from_record(equation, read_record(resources, chart.patient["id"], now), of_site)


def _worked_out(charted: RecordInputs, values: dict[str, Any], output: str) -> EquationResult | EquationRefused:
    """The result from what was given, else from the chart."""
    absent = {name: gap for name, gap in charted.missing.items() if name not in values}
    try:
        return replace(charted, given={**charted.given, **values}, missing=absent).calculate(output)
    except EquationRefused as refused:
        return refused


def _json_inputs(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    content = sys.stdin.read() if text == "-" else text if text.lstrip().startswith("{") else Path(text).read_text()
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"--inputs is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("--inputs is not a JSON object of inputs by name")
    return {name: _quantity(value) for name, value in document.items()}


def _quantity(value: Any) -> Any:
    if isinstance(value, dict) and "value" in value:
        return Quantity(value["value"], str(value["unit"])) if value.get("unit") else value["value"]
    return value


def _named_inputs(assignments: list[str]) -> dict[str, Any]:
    pairs = [_named_input(text) for text in assignments]
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} is given twice")
    return dict(pairs)


def _named_input(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise ValueError(f"{text!r} is not INPUT=VALUE, for example age=60")
    number, _, unit = value.strip().partition(" ")
    return name.strip(), Quantity(number, unit.strip()) if unit.strip() else number
