"""Invented patients with small charts: as Bulk Data by type, as rows of resources, as charts for calls.

Nobody in them is a person. A patient's number alone decides the chart, so that each path can be given it by itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import Feature
from fhir.terminology.analytes import ANALYTES
from models_onnx.serving.registry import load_model

Resource = dict[str, Any]

MODEL = "mortality_5y"
AS_OF = datetime(2026, 11, 20, 12, tzinfo=UTC)
_AT_ONCE = 1000
# SNOMED CT with the share of the patients who have it.
_CONDITIONS = {
    "44054006": ("Type 2 diabetes mellitus", 0.15),
    "38341003": ("Hypertensive disorder", 0.3),
    "84114007": ("Heart failure", 0.03),
    "26929004": ("Alzheimer's disease", 0.02),
    "13645005": ("Chronic obstructive lung disease", 0.04),
}
# Middle and spread of the measured inputs, roughly those of adults; what is not here is not measured.
_SHAPES = {
    "albumin": (4.2, 0.35),
    "alp": (75.0, 22.0),
    "bun": (15.0, 6.0),
    "creatinine": (0.95, 0.3),
    "glucose": (105.0, 30.0),
    "bilirubin_total": (0.7, 0.25),
    "wbc": (7.0, 2.2),
    "rbc": (4.6, 0.5),
    "mcv": (90.0, 5.5),
    "rdw_cv": (13.5, 1.2),
    "lymphocytes_pct": (29.0, 8.0),
    "sbp": (130.0, 18.0),
    "dbp": (73.0, 11.0),
    "bmi": (28.5, 6.0),
}
_GLUCOSE_MMOL = 18.0156  # mg/dL in one mmol/L


def identity_of(number: int) -> str:
    """The id of the patient with this number."""
    return f"invented-{number:07d}"


def chart_of(number: int) -> list[Resource]:
    """The resources of one patient: who it is, diagnoses, two rounds of tests, visits, sometimes a stay."""
    draw = random.Random(number)
    patient = identity_of(number)
    about = {"subject": {"reference": f"Patient/{patient}"}}
    resources = [_patient(draw, patient)]
    resources += _conditions(draw, patient, about)
    for days in (draw.randint(20, 300), draw.randint(301, 900)):
        resources += _tests(draw, patient, about, days)
    resources += _visits(draw, patient, about)
    return resources


def _day(days: int) -> str:
    return f"{AS_OF - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def _patient(draw: random.Random, patient: str) -> Resource:
    born = AS_OF - timedelta(days=draw.randint(30 * 365, 95 * 365))
    found = {"resourceType": "Patient", "id": patient, "gender": draw.choice(("male", "female"))}
    found["birthDate"] = f"{born:%Y-%m-%d}"
    return found | ({"deceasedDateTime": _day(10)} if draw.random() < 0.01 else {})


def _conditions(draw: random.Random, patient: str, about: Resource) -> Iterator[Resource]:
    for code, (words, share) in _CONDITIONS.items():
        if draw.random() < share:
            yield {
                "resourceType": "Condition",
                "id": f"{patient}-c{code}",
                **about,
                "clinicalStatus": {"coding": [{"code": "active"}]},
                "code": {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": words}]},
                "recordedDate": _day(draw.randint(400, 4000)),
            }


@cache
def _features() -> tuple[Feature, ...]:
    return features_named(load_model(MODEL).features)


def _tests(draw: random.Random, patient: str, about: Resource, days: int) -> Iterator[Resource]:
    lacks_labs = draw.random() < 0.1
    for feature in _features():
        if feature.analyte not in _SHAPES or draw.random() < 0.03:
            continue
        if lacks_labs and feature.analyte not in ("sbp", "dbp", "bmi"):
            continue
        analyte = ANALYTES[feature.analyte]
        value, unit = round(abs(draw.gauss(*_SHAPES[feature.analyte])), 2), analyte.unit
        if feature.analyte == "glucose" and draw.random() < 0.5:
            value, unit = round(value / _GLUCOSE_MMOL, 2), "mmol/L"
        if draw.random() < 0.002:
            value = 9999.0  # what nobody can have: the chart is wrong
        yield {
            "resourceType": "Observation",
            "id": f"{patient}-o{days}-{feature.analyte}"[:64].replace("_", "-"),
            "status": "final",
            **about,
            "code": {"coding": [{"system": "http://loinc.org", "code": next(iter(analyte.loinc))}]},
            "effectiveDateTime": _day(days),
            "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
        }


def _visits(draw: random.Random, patient: str, about: Resource) -> Iterator[Resource]:
    # A stay ended before any of the tests could be of it.
    kinds = [("AMB", draw.randint(5, 600), 0)] * draw.randint(0, 3)
    kinds += [("IMP", 1500, 4)] if draw.random() < 0.1 else []
    for place, (code, days, length) in enumerate(kinds):
        yield {
            "resourceType": "Encounter",
            "id": f"{patient}-e{place}",
            "status": "finished",
            **about,
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code},
            "period": {"start": _day(days), "end": _day(days - length)},
        }


def write_people(folder: Path, count: int) -> None:
    """Writes `export/TYPE.ndjson` and `resources.parquet` (patient_id, resource), the patients in no order."""
    import pyarrow
    import pyarrow.parquet

    export = folder / "export"
    export.mkdir(parents=True)
    schema = pyarrow.schema([("patient_id", pyarrow.string()), ("resource", pyarrow.string())])
    numbers = list(range(count))
    random.Random(0).shuffle(numbers)
    with pyarrow.parquet.ParquetWriter(folder / "resources.parquet", schema) as rows:
        for start in range(0, count, _AT_ONCE):
            written = [
                (identity_of(number), each["resourceType"], json.dumps(each, separators=(",", ":")))
                for number in numbers[start : start + _AT_ONCE]
                for each in chart_of(number)
            ]
            for kind in sorted({kind for _, kind, _ in written}):
                with (export / f"{kind}.ndjson").open("a", encoding="utf-8") as file:
                    file.writelines(f"{text}\n" for _, of, text in written if of == kind)
            columns = [[each[0] for each in written], [each[2] for each in written]]
            rows.write_table(pyarrow.table(columns, schema=schema))
