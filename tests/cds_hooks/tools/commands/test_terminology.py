"""`cds-hooks terminology import`: what it says of the files, and what it refuses."""

import csv
import json
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from cds_hooks.tools.commands.terminology import app
from fhir.terminology.allergens import ALLERGEN_CLASSES
from fhir.terminology.importing import import_releases
from fhir.terminology.medications import INGREDIENT_BY_NAME
from fhir.terminology.rf2 import NotARelease
from fhir.terminology.site_table import SITE_COLUMNS, key_of
from fhir.terminology.vaccines import VACCINE_FAMILIES
from tests.program import run_program

_TABLE = "system,code,name,group,drug\nurn:ours,HI,,hf,\nurn:ours,IB,Ourofen forte,,ibuprofen\n"


def _import(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["import", *arguments])
    return result.exit_code, result.output


def test_the_command_says_what_was_read_and_what_was_not(tmp_path: Path) -> None:
    table, other, index = tmp_path / "ours.csv", tmp_path / "other.csv", tmp_path / "terms.idx"
    table.write_text(_TABLE)
    other.write_text("a,b\n1,2\n")
    definitions = tmp_path / "definitions.csv"
    definitions.write_text("kind,key,system,definition\ngroup,gout,ecl,<< 90560007 : 363698007 = << 39352004\n")
    code, said = _import(str(table), str(other), str(definitions), "--out", str(index))
    assert code == 0
    assert "not read: the definition of gout is an expression: it needs a terminology server (--from)" in said
    assert "this site: ours.csv, SHA-256 " in said
    assert "2 codes (2 of urn:ours) and 1 names." in said
    assert "not read: other.csv, line 1: no table that is known" in said
    assert index.is_file()


_GROUPS: Final = (
    "Heart failure", "Asthma", "COPD", "Gout", "Dementia", "Delirium", "Epilepsy", "Migraine", "Syncope", "Obesity",
    "Hypertension", "Osteoporosis", "Osteoarthritis", "Rheumatoid arthritis", "Type 1 diabetes", "Type 2 diabetes",
    "Atrial fibrillation or flutter", "Sleep apnea", "Parkinson disease", "Myasthenia gravis",
)  # fmt: skip
_ANALYTES: Final = ("potassium", "Sodium", "creatinine", "alt", "ast", "albumin", "hemoglobin", "glucose", "inr", "tsh")
_VALUES: Final = {
    "potassium": (4, "mmol/L"), "sodium": (140, "mmol/L"), "creatinine": (1, "mg/dL"), "alt": (20, "U/L"),
    "ast": (20, "U/L"), "albumin": (4, "g/dL"), "hemoglobin": (14, "g/dL"), "glucose": (100, "mg/dL"),
    "inr": (1, "{INR}"), "tsh": (2, "mIU/L"),
}  # fmt: skip


def _table() -> list[dict[str, str]]:
    """100 local codes: 20 problems, 40 drugs, 20 allergens, 10 vaccines and 10 results."""
    drugs = sorted(name for name in INGREDIENT_BY_NAME if name.isalpha())[::40][:40]
    allergens = sorted(key for key in ALLERGEN_CLASSES)[:20]
    columns = {"group": _GROUPS, "drug": drugs, "allergen": allergens, "vaccine": sorted(VACCINE_FAMILIES)[:10],
               "analyte": _ANALYTES}  # fmt: skip
    named = [(kind, name) for kind, names in columns.items() for name in names]
    return [{"system": f"urn:site:{kind}", "code": str(n), kind: name} for n, (kind, name) in enumerate(named)]


def _resource(row: dict[str, str]) -> dict[str, Any]:
    concept = {"coding": [{"system": row["system"], "code": row["code"]}]}
    if "drug" in row:
        return {"resourceType": "MedicationRequest", "status": "active", "medicationCodeableConcept": concept}
    if "vaccine" in row:
        return {"resourceType": "Immunization", "status": "completed", "vaccineCode": concept}
    if "allergen" in row:
        return {"resourceType": "AllergyIntolerance", "code": concept}
    if "analyte" in row:
        number, unit = _VALUES[key_of("analyte", row["analyte"])]
        value = {"value": number, "unit": unit}
        return {"resourceType": "Observation", "status": "final", "code": concept, "valueQuantity": value}
    return {"resourceType": "Condition", "code": concept}


def test_a_table_of_100_local_codes_is_understood_from_its_import_on(tmp_path: Path) -> None:
    rows = _table()
    assert len(rows) == 100
    with (tmp_path / "ours.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, SITE_COLUMNS)
        table.writeheader()
        table.writerows(rows)
    entries = [{"resource": _resource(row)} for row in rows]
    (tmp_path / "chart.json").write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    imported = run_program("terminology", "import", "ours.csv", "--out", "terms.idx", folder=tmp_path)
    assert "100 codes" in imported.stdout, imported.stderr

    def unread(**environment: str) -> list[str]:
        done = run_program("understand", "chart.json", "--json", folder=tmp_path, environment=environment)
        readings = [json.loads(line) for line in done.stdout.splitlines()]
        return [row["code"] for row, reading in zip(rows, readings, strict=True) if not reading["understood"]]

    assert len(unread()) == 100
    assert unread(CDS_TERMINOLOGY="terms.idx") == []


def test_every_row_that_cannot_be_read_is_told_with_its_line_and_the_nearest_names(tmp_path: Path) -> None:
    table = tmp_path / "ours.csv"
    table.write_text(
        "system,code,group,drug\nurn:a,1,hart failure,\nurn:a,2,,metfornin\nurn:a,3,Gout,\nurn:a,3,Asthma,\nurn:a,4,,\n"
    )
    with pytest.raises(NotARelease) as refused:
        import_releases([table], tmp_path / "terms.idx", lambda *_: None)
    told = str(refused.value).splitlines()
    assert told[0].startswith("ours.csv, line 2: there is no group 'hart failure'; near are hf")
    assert told[1].startswith("ours.csv, line 3: there is no drug 'metfornin'; near are metformin")
    assert told[2] == "ours.csv, line 5: '3' means something else in ours.csv, line 4"
    assert told[3].startswith("ours.csv, line 6: none of group, drug")
    assert len(told) == 4
