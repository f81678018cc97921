"""Analytes against the file of LOINC codes, and every conversion of a unit against formulas and definitions."""

import csv
import re
from typing import Final

import pytest

from fhir.terminology.analytes import ANALYTES
from tests.conftest import ROOT

_ATOMS: Final = {
    "C": 12.011, "H": 1.008, "N": 14.007, "O": 15.999, "P": 30.974, "Ca": 40.078, "Mg": 24.305, "K": 39.098,
}  # fmt: skip
_ATOMS_MORE: Final = {"Co": 58.933, "Na": 22.990, "Cl": 35.45}
"""Standard atomic weights (CIAAW, IUPAC 2021, abridged)."""
_FORMULAS: Final = {
    "creatinine": "C4H7N3O", "bun": "N2", "glucose": "C6H12O6", "glucose_fasting": "C6H12O6", "calcium": "Ca",
    "ionized_calcium": "Ca", "phosphate": "P", "magnesium": "Mg", "potassium": "K", "bilirubin_total": "C33H36N4O6",
    "bilirubin_direct": "C33H36N4O6", "cholesterol_total": "C27H46O", "hdl_cholesterol": "C27H46O",
    "ldl_cholesterol": "C27H46O", "triglycerides": "C57H104O6", "uric_acid": "C5H4N4O3", "lactate": "C3H6O3",
    "digoxin_level": "C41H64O14", "phenytoin_level": "C15H12N2O2", "carbamazepine_level": "C15H12N2O",
    "vitamin_b12": "C63H88CoN14O14P", "uacr": "C4H7N3O", "upcr": "C4H7N3O", "ammonia": "NH3",
    "theophylline_level": "C7H8N4O2", "vancomycin_trough": "C66H75Cl2N9O24", "beta_hydroxybutyrate": "C4H8O3",
}  # fmt: skip
# g/mol of proteins: haemoglobin as its subunit with one iron (16,114), peptides by their sequence, CRP by convention.
_PROTEINS: Final = {"hemoglobin": 16114.0, "bnp": 3464.0, "nt_probnp": 8457.0, "crp": 105000.0}
_CHARGES: Final = {
    "magnesium": 2, "sodium": 1, "potassium": 1, "chloride": 1, "bicarbonate": 1, "anion_gap": 1, "lithium_level": 1,
}  # fmt: skip
_PREFIXES: Final = {"": 1.0, "d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
_BASES: Final = {"g": "mass", "mol": "amount", "L": "volume", "m": "length", "s": "time", "eq": "charge"}
# Definitions (UCUM 2.1; NIST SP 811): one in the unit of the table.
_DEFINED: Final = {
    ("kPa", "mm[Hg]"): (7.50062, 0.0), ("[in_i]", "cm"): (2.54, 0.0), ("[lb_av]", "kg"): (0.45359237, 0.0),
    ("[oz_av]", "kg"): (0.45359237 / 16, 0.0), ("g", "kg"): (0.001, 0.0), ("[degF]", "Cel"): (5 / 9, -32 * 5 / 9),
    ("ukat/L", "U/L"): (60.0, 0.0), ("mmol/mol", "%"): (0.09148, 2.152), ("10*9/L", "10*3/uL"): (1.0, 0.0),
    ("10*12/L", "10*6/uL"): (1.0, 0.0), ("/uL", "10*3/uL"): (0.001, 0.0), ("L/L", "%"): (100.0, 0.0),
    ("um3", "fL"): (1.0, 0.0), ("10*3/uL", "/uL"): (1e3, 0.0), ("10*9/L", "/uL"): (1e3, 0.0),
    ("10*6/L", "/uL"): (1.0, 0.0),
}  # fmt: skip
_ONE: Final = {"1", "", "{ratio}", "{fraction}", "mg/mg", "g/g"}


def _grams_per_mole(analyte: str) -> float:
    if analyte in _PROTEINS:
        return _PROTEINS[analyte]
    weights = _ATOMS | _ATOMS_MORE
    return sum(weights[atom] * int(count or 1) for atom, count in re.findall(r"([A-Z][a-z]?)(\d*)", _FORMULAS[analyte]))


def _quantity(unit: str) -> tuple[float, str]:
    """A unit in base units and its kind: "umol" is 1e-6 of an amount."""
    for base, kind in _BASES.items():
        if unit.endswith(base) and unit.removesuffix(base) in _PREFIXES:
            return _PREFIXES[unit.removesuffix(base)], kind
    raise LookupError(f"the tests do not know the unit {unit!r}: say what it is in {__name__}")


def expected_conversion(analyte: str, unit: str, to: str) -> tuple[float, float]:
    """Return factor and offset by definition, or by the mass of a mole where one side counts molecules."""
    if unit == to:
        return 1.0, 0.0
    if (unit, to) in _DEFINED:
        return _DEFINED[unit, to]
    if unit in _ONE:
        return {"%": 100.0, "mg/g": 1000.0}.get(to, 1.0), 0.0
    sides = [part.split("/") for part in (unit, to)]
    factor = 1.0
    for position, (ours, theirs) in enumerate(zip(*sides, strict=True)):
        (size, kind), (other_size, other_kind) = _quantity(ours), _quantity(theirs)
        step = size / other_size
        if kind == "charge":
            step, kind = step / _CHARGES[analyte], "amount"
        if kind != other_kind:
            assert {kind, other_kind} == {"amount", "mass"}, f"{analyte}: {unit} is no {to}"
            step *= _grams_per_mole(analyte) if kind == "amount" else 1 / _grams_per_mole(analyte)
        factor = factor * step if position == 0 else factor / step
    return factor, 0.0


# Units of activity have no size: one international unit of these is one of the table's.
_BY_CONVENTION: Final = {("[IU]/L", "U/L"), ("u[IU]/mL", "m[IU]/L"), ("mL/min", "mL/min/{1.73_m2}"), ("%", "g/dL")}


def _written_units() -> list[tuple[str, str, float, float]]:
    """Analyte, unit, factor and offset as they stand in the table."""
    with (ROOT / "fhir" / "terminology" / "tables" / "analytes.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    written = []
    for row in rows:
        for entry in row["units"].split(";"):
            unit, _, formula = entry.partition("=")
            factor, offset = re.fullmatch(r"([\d.]+)([+-][\d.]+)?", formula).groups()  # type: ignore[union-attr]
            written.append((row["key"], unit, float(factor), float(offset or 0)))
    return written


def test_every_conversion_is_what_the_mass_of_a_mole_or_a_definition_gives() -> None:
    faults = []
    for analyte, unit, factor, offset in _written_units():
        to = ANALYTES[analyte].unit
        expected = (1.0, 0.0) if (unit, to) in _BY_CONVENTION else expected_conversion(analyte, unit, to)
        tolerance = 0.005 if analyte not in _PROTEINS else 0.01
        if (factor, offset) != pytest.approx(expected, rel=tolerance):
            faults.append(f"{analyte}: 1 {unit} is {factor} {offset:+g} {to} in the table, {expected} by physics")
    assert not faults, "\n".join(faults)
