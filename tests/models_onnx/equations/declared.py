"""What every equation declares, as `tests/cases/equations.csv` has it: `python -m tests.renew equations` writes it.

A change of an equation, and a new one, must be written there, where a reviewer reads it beside its source.
"""

import csv
import sys
from collections.abc import Iterator
from typing import Final

from models_onnx.equations.declaration import Equation, find_equations
from tests.conftest import ROOT

FILE: Final = ROOT / "tests/cases/equations.csv"
FIRST: Final = (
    *("cha2ds2_vasc", "ckd_epi_2021_creatinine", "cockcroft_gault", "fib4", "gad7", "has_bled", "hospital_score"),
    *("kfre_4", "lace", "meld3", "news2", "phq9", "pooled_cohort", "prevent_base"),
)
"""The equations whose declaration is also typed a second time, in the tests of this folder."""


def first_equations() -> dict[str, Equation]:
    """Those equations, by id."""
    equations = find_equations()
    return {name: equations[name] for name in FIRST}


def rows() -> Iterator[tuple[str, str, str]]:
    """Yields equation, member and what it declares, in words."""
    for name, equation in find_equations().items():
        yield name, "source", f"{equation.version}; {equation.citation}; reviewed {equation.reviewed}"
        for item in equation.inputs:
            limits = f"{item.low} to {item.high} {item.unit}; {'/'.join(item.choices)}"
            needed = f"; for {' '.join(item.for_outputs)}" if item.for_outputs else ""
            yield name, f"input {item.name}", f"{item.kind} {item.feature or 'by hand'}; {limits}{needed}"
        for output in equation.outputs:
            range_words = f"{output.low} to {output.high} {output.unit}, {output.decimals} decimals"
            yield name, f"output {output.id}", f"{output.kind}; {range_words}; {output.horizon_years}; {output.words}"
        for table in equation.bands:
            bands = " ".join(f"{band.id}:{'over ' if band.strictly else ''}{band.low}" for band in table.bands)
            yield name, f"bands {table.output}", f"{bands} ({table.source})"
        for exclusion in equation.exclusions:
            yield name, "not for", f"{exclusion.words}: {' '.join(exclusion.features)}"
        yield name, "only with", f"{' '.join(equation.only_with)}; on no card: {equation.not_on_cards}"


def confirmed_rows() -> list[tuple[str, str, str]]:
    """The rows of the file."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return [(row["equation"], row["member"], row["declared"]) for row in csv.DictReader(file)]


if __name__ == "__main__" and "--write" in sys.argv:
    with FILE.open("w", encoding="utf-8", newline="") as output:
        csv.writer(output, lineterminator="\n").writerows([("equation", "member", "declared"), *rows()])
