"""Prints what `cds-hooks equation` found, for the terminal and as JSON."""

from collections.abc import Sequence
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.options import print_json
from models_onnx.equations.arithmetic import Value
from models_onnx.equations.calculate import EquationResult
from models_onnx.equations.card import source_attributes
from models_onnx.equations.declaration import BandTable, Equation, EquationInput
from models_onnx.equations.vectors import VectorCheck
from models_onnx.errors import EquationRefused


def listed(equation: Equation) -> dict[str, Any]:
    """Everything that an equation declares, as JSON."""
    return {
        "id": equation.id,
        "title": equation.title,
        "version": equation.version,
        "citation": equation.citation,
        "doi": equation.doi,
        "inputs": [_input(item) for item in equation.inputs],
        "outputs": [
            {
                "id": output.id,
                "words": output.words,
                "kind": output.kind,
                "unit": output.unit,
                "years": output.horizon_years,
            }
            for output in equation.outputs
        ],
        "population": equation.population,
        "exclusions": [exclusion.words for exclusion in equation.exclusions],
        "cautions": list(equation.cautions),
        "reference": equation.reference,
        "bands": [_table(band) for band in equation.bands],
        "rates": [
            {"of": {str(key): rate for key, rate in rates.of.items()}, "words": rates.words, "source": rates.source}
            for rates in equation.rates
        ],
        "not_on_cards": equation.not_on_cards,
        "attributes": source_attributes(equation),
    }


def _input(item: EquationInput) -> dict[str, Any]:
    return {
        "name": item.name,
        "words": item.words,
        "kind": item.kind,
        "unit": item.unit,
        "range": [item.low, item.high],
        "choices": list(item.choices),
        "loinc": list(item.loinc),
        "feature": item.feature,
        "note": item.note,
    }


def _table(table: BandTable) -> dict[str, Any]:
    return {
        "output": table.output,
        "bands": [
            {"id": band.id, "words": band.words, "from": band.low, "above": band.strictly} for band in table.bands
        ],
        "source": table.source,
        "verified": table.verified,
        "note": table.note,
    }


def show_results(
    equation: Equation,
    results: list[EquationResult | EquationRefused],
    not_found: Sequence[EquationInput],
    as_json: bool,
) -> None:
    """Each output with its working, or the sentence why there is none; what a chart does not say counts as no."""
    if as_json:
        absent = [item.name for item in not_found]
        print_json([{**_result(result), "not_found": absent} for result in results])
        return
    console = Console()
    console.print(f"{equation.title}, {equation.version} ({equation.id})", highlight=False)
    for outcome in results:
        if isinstance(outcome, EquationRefused):
            console.print(f"No value: {outcome.text}", highlight=False)
        else:
            console.print(_drawn(outcome))
    if not_found and not all(isinstance(result, EquationRefused) for result in results):
        words = ", ".join(_inside_a_sentence(item.words) for item in not_found)
        console.print(f"Not found in the chart, so counted as no: {words}.", highlight=False)
    console.print(f"Compared with: {equation.reference}.", highlight=False)


def _inside_a_sentence(words: str) -> str:
    return words if words[1:2].isupper() else f"{words[0].lower()}{words[1:]}"


def _drawn(result: EquationResult) -> Table:
    band = f"; {result.band.words} ({result.table.source})" if result.band and result.table else ""
    table = Table(
        "input", "value", f"part ({result.working.link})", title=f"{result.output.id}: {_value_text(result)}{band}"
    )
    for part in sorted(result.working.contributions, key=lambda part: -abs(part.contribution)):
        item = result.equation.input(part.input)
        table.add_row(item.words, _value(part.value, _unit(item.unit)), f"{part.contribution:+.4f}")
    table.add_row("reference", "", f"{result.working.base:+.4f}")
    return table


def _unit(unit: str) -> str:
    return "" if unit == "1" else f" {unit}"


def _value(value: Value, unit: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}{unit}"


def _value_text(result: EquationResult) -> str:
    if isinstance(result.value, str):
        return result.value
    if result.output.kind == "probability":
        return f"{result.value:.2%}"
    return f"{result.value:.{result.output.decimals}f}{_unit(result.output.unit)}"


def _result(result: EquationResult | EquationRefused) -> dict[str, Any]:
    if isinstance(result, EquationRefused):
        return {"refused": result.reason, "text": result.text, "inputs": list(result.inputs)}
    return {
        "equation": result.equation.id,
        "version": result.equation.version,
        "output": result.output.id,
        "value": result.value,
        "unit": result.output.unit,
        "link": result.working.link,
        "base": result.working.base,
        "contributions": msgspec.to_builtins(result.working.contributions),
        "band": result.band
        and {"id": result.band.id, "words": result.band.words, "source": result.table and result.table.source},
        "rates": [{"rate": rate, "words": rates.words, "source": rates.source} for rates, rate in result.rates()],
    }


def show_checked(equation: Equation, results: list[VectorCheck], vectors: int, as_json: bool) -> None:
    """How many vectors agree, the largest difference, and the first that does not agree."""
    wrong = [result for result in results if not result.agrees]
    largest = max((result.difference for result in results if result.difference is not None), default=0.0)
    if as_json:
        document = {
            "equation": equation.id,
            "version": equation.version,
            "vectors": vectors,
            "checked": len(results),
            "agree": len(results) - len(wrong),
            "largest_relative_difference": largest,
            "disagreements": [
                {
                    "id": check.vector.id,
                    "output": check.vector.output,
                    "expected": check.vector.expected,
                    "found": None if check.refused else check.result,
                    "refused": check.result if check.refused else None,
                }
                for check in wrong
            ],
        }
        print_json(document)
        return
    for check in wrong:
        typer.echo(f"DISAGREES {check.text}", err=True)
    typer.echo(
        f"{equation.id} {equation.version}: {len(results) - len(wrong)} of {vectors} vectors agree, largest relative "
        f"difference {largest:.1e}"
        + ("" if len(results) == vectors else f"; stopped after {len(results)}, --all goes on")
    )
