"""Tables of another form than what was read: vaccines, preventive services, names, codes, the specification."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir.terminology.conditions import CONDITION_GROUPS, condition_groups_of
from tests.conftest import ROOT

Json = dict[str, Any]
TABLES = ROOT / "fhir" / "terminology" / "tables"
VACCINES = ROOT / "cards" / "vaccines" / "data"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _parts(text: str, separator: str = ";") -> set[str]:
    return {part.strip() for part in text.split(separator) if part.strip()}


def _differences(pairs: Iterable[tuple[str, object, object]]) -> str:
    faults = [f"{name}: {ours!r}, the publisher has {theirs!r}" for name, ours, theirs in pairs if ours != theirs]
    return "\n".join(faults[:20])


# CDC's immunization tables (CDSi 4.64)


_ANTIGENS = {"JE": "Japanese Encephalitis", "YF": "Yellow Fever", "TBE": "TBE", "Orthopox": "Orthopoxvirus"}
"""Short names of the file for what CDC's XML calls otherwise."""


def _antigens() -> list[Json]:
    return [
        document
        for path in sorted(VACCINES.glob("*.json"))
        if "antigen" in (document := json.loads(path.read_text(encoding="utf-8")))
    ]


def test_the_series_of_vaccines_are_cdcs(data_folder: Path) -> None:
    rows = _rows(data_folder / "preventive" / "cdsi_series.csv")
    theirs = {(_ANTIGENS.get(row["antigen"], row["antigen"]), row["series"]): row for row in rows}
    ours = {(antigen["antigen"], series["name"]): series for antigen in _antigens() for series in antigen["series"]}
    assert set(ours) == set(theirs)

    def pairs() -> Iterator[tuple[str, object, object]]:
        for key, series in ours.items():
            row = theirs[key]
            for member, column in {
                "type": "type",
                "group": "group",
                "priority": "priority",
                "min_age_to_start": "min_age_to_start",
                "max_age_to_start": "max_age_to_start",
            }.items():
                yield f"{key}, {member}", series.get(member) or "", row[column]
            yield f"{key}, default", bool(series.get("default")), row["default"] == "Yes"
            yield f"{key}, doses", len(series["doses"]), int(row["doses"])
            if row["preference"].isdigit():
                yield f"{key}, preference", series.get("preference"), int(row["preference"])

    assert not _differences(pairs())


# Names of drugs


_IRON = ("ferr", "iron", "heme")
_SAME = {"cyanocobalamin": "vitamin b12", "phytonadione": "vitamin k1", "andexanet alfa": "coagulation factor xa"}


def test_a_brand_name_is_the_drug_that_rxnorm_says(data_folder: Path) -> None:
    brands: dict[str, set[str]] = {}
    for row in _rows(data_folder / "drugnames" / "rxnorm_products.csv"):
        if row["brand"]:
            brands.setdefault(row["brand"].lower(), set()).update(_parts(row["ingredients"].lower()))
    compared, faults = 0, []
    for row in _rows(TABLES / "brand_names.csv"):
        if not row["source"].startswith("RxNorm"):  # the EU says of some biologicals which protein it is
            continue
        theirs = brands.get(row["text"])
        if not theirs:
            continue
        compared += 1
        for ours in _parts(row["ingredients"]):
            beginnings = _IRON if ours == "ferrous sulfate" else (_SAME.get(ours, ours.split()[0].split(",")[0][:5]),)
            if not any(beginning in name for beginning in beginnings for name in theirs):
                faults.append(f"{row['text']}: {ours}, RxNorm has {sorted(theirs)}")
    assert not faults, "\n".join(faults[:20])
    assert compared >= 2500


# Conditions


def test_every_code_that_a_file_has_of_a_condition_group_means_that_group(data_folder: Path) -> None:
    """A group may have more codes than the file; it may not have lost one."""
    codes = [
        (row["group"], row["system"], row["code"]) for row in _rows(data_folder / "codes" / "condition_groups.csv")
    ]
    systems = {
        "snomed": "http://snomed.info/sct",
        "icd10_prefix": "http://hl7.org/fhir/sid/icd-10-cm",
        "icd9_prefix": "http://hl7.org/fhir/sid/icd-9-cm",
    }
    codes += [
        (row["key"], system, code)
        for row in _rows(data_folder / "medications" / "conditions.csv")
        for column, system in systems.items()
        for code in _parts(row[column])
    ]
    compared, lost = 0, []
    for name, system, code in codes:
        group = CONDITION_GROUPS.get(name)
        if group is not None and name not in ("tobacco_use", "tobacco_history"):  # told apart by the fifth character
            compared += 1
            if group.key not in condition_groups_of(system, code):
                lost.append(f"{name}: {code} of {system}")
    # Too wide in the file: bronchitis, other degenerations of the brain, what ends a pregnancy, a large prostate
    # without retention, and a valve prosthesis of any kind, the group heart_valve_prosthesis_kind_not_stated.
    narrower = {"copd: J40", "copd: 490", "dementia: G318", "dementia: 3311", "dementia: 3312"}
    narrower |= {"mechanical_valve: Z95.2", "mechanical_valve: V43.3", "bph_retention: 266569009"}
    narrower |= {f"pregnancy: {code}" for code in ("O", "Z33", "63", "64", "65", "66", "67")}
    lost = [code for code in lost if code.partition(" of ")[0] not in narrower]
    assert not lost, f"{len(lost)} codes mean another group or none: {lost[:20]}"
    assert compared > 900


@pytest.mark.slow
def test_every_loinc_code_of_a_table_has_its_check_digit() -> None:
    """The last digit of a LOINC code follows from the others (Luhn's formula), so that a mistyped code is noticed."""
    codes = [
        (path.name, code)
        for path in sorted(TABLES.glob("*.csv"))
        for row in _rows(path)
        for code in re.findall(r"\b\d{3,6}-\d\b", row.get("loinc") or "")
    ]
    assert len(codes) > 2500
    assert [(name, code) for name, code in codes if _check_digit(code[:-2]) != int(code[-1])] == []


def _check_digit(number: str) -> int:
    doubled = "".join(str(int(digit) * (2 - position % 2)) for position, digit in enumerate(reversed(number)))
    return -sum(map(int, doubled)) % 10
