"""The code table against the concept maps of HL7's v2-to-FHIR guide."""

import csv
import os
from pathlib import Path

import pytest

from cds_hooks.events.v2.coding import code_table
from tests.conftest import ROOT

MAPS = Path(os.environ.get("CDS_SPEC_DIR", ROOT.parent / "shared" / "spec")) / "v2-to-fhir" / "codesystems"
OWN_CHOICE = {
    "observation-status": set("ABVURSINO"),
    "encounter-class": {"R", "B"},
    "encounter-status": {"A12"},
    "order-status": {"XO", "XX", "XR", "DE"},
    "repeat-pattern": {"Q1H", "Q2H", "Q3H", "Q4H", "Q6H", "Q8H", "Q1D", "Q1W"},
}
"""Codes that the guide leaves open (see coding.py), or has by their words alone ("every 1 hours")."""
SHEETS = {
    "observation-status": "ObservationResultStatusCodesInterpretation", "gender": "AdministrativeSex",
    "encounter-class": "PatientClass[EncounterClass]", "encounter-status": "Event[EncounterStatus]",
    "order-status": "OrderControlCode[ServiceRequest.status]", "order-state": "OrderStatus",
    "immunization-status": "CompletionStatus", "allergy-category": "AllergenType[AllergyIntoleranceCategory]",
    "allergy-type": "AllergyType", "allergy-criticality": "AllergySeverity[AllergyIntolerance.criticality]",
    "allergy-severity": "AllergySeverity[AllergyIntolerance.reaction.severity]", "route": "RouteOfAdministration",
    "repeat-pattern": "RepeatPattern",
}  # fmt: skip


def _map(sheet: str) -> dict[str, str]:
    file: Path = MAPS / f"HL7 Concept Map_ {sheet} - Sheet1.csv"
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.reader(opened))[2:]
    return {row[0].strip(): row[6].strip() for row in rows if len(row) > 6 and row[0].strip() and row[6].strip()}


@pytest.mark.outside_data
@pytest.mark.skipif(not MAPS.is_dir(), reason="needs the shared specifications (CDS_SPEC_DIR): v2-to-fhir")
@pytest.mark.parametrize("table", SHEETS)
def test_the_codes_are_those_of_the_guide(table: str) -> None:
    guide = _map(SHEETS[table])
    mine = {code: fhir for code, fhir in code_table(table).items() if code not in OWN_CHOICE.get(table, ())}
    assert mine == {code: guide.get(code) for code in mine}
    assert mine
