"""The table of analytes is complete and says one thing only."""

import csv
from pathlib import Path

import pytest

from fhir.terminology.analytes import ANALYTES


def test_no_code_belongs_to_two_analytes() -> None:
    codes = [code for analyte in ANALYTES.values() for code in analyte.loinc]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("key", sorted(ANALYTES))
def test_every_analyte_has_codes_a_unit_a_range_and_a_source(key: str) -> None:
    analyte = ANALYTES[key]
    assert all(analyte.loinc)
    assert analyte.words
    assert analyte.source
    assert analyte.plausible_low < analyte.plausible_high
    identity = analyte.conversion(analyte.unit)
    assert identity is not None
    assert (identity.factor, identity.offset) == (1.0, 0.0)


def test_lactate_is_not_lactate_dehydrogenase() -> None:
    assert not set(ANALYTES["lactate"].loinc) & set(ANALYTES["ldh"].loinc)


def test_red_cell_width_as_sd_is_not_taken_for_cv() -> None:
    assert "21000-5" not in ANALYTES["rdw_cv"].loinc


def test_where_two_sources_differ_the_narrower_plausible_range_stands(data_folder: Path) -> None:
    same = {"bilirubin": "bilirubin_total", "a1c": "hba1c", "weight": "body_weight", "height": "body_height"}
    with (data_folder / "medications" / "labs.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            analyte = ANALYTES.get(same.get(row["key"], row["key"]))
            if analyte is not None and row["plausible_low"]:
                assert analyte.plausible_low >= float(row["plausible_low"])
                assert analyte.plausible_high <= float(row["plausible_high"])
