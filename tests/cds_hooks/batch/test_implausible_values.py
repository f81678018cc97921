"""A chart with a value that nobody can have is scored as the service does: by the twin where that does not read it."""

import json
import re
from typing import Any

import pytest

from cds_hooks.batch.charts import RawChart
from cds_hooks.batch.run import FhirJob, score_folder
from cds_hooks.batch.scoring import Score, questions_about, read_chart, score_records
from cds_hooks.settings import Settings
from models_onnx.errors import BatchRefused
from tests.cds_hooks.kit.samples.reading import AS_OF
from tests.fhir.builders import observation

MODEL = "mortality_5y"
TITLE = "Death within 5 years, adults of 40 and over"
PATIENT = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1950-05-01"}
# The six laboratory values of the twin, and albumin, which only the model reads.
LABS = {
    "3094-0": (14.0, "mg/dL"), "2160-0": (0.9, "mg/dL"), "2345-7": (95.0, "mg/dL"), "6690-2": (7.0, "10*3/uL"),
    "789-8": (4.5, "10*6/uL"), "787-2": (90.0, "fL"), "1751-7": (4.0, "g/dL"),
}  # fmt: skip


def scored(code: str = "", value: float = 0.0) -> Score:
    """What the model says of this chart, with another value of one result."""
    labs = LABS | ({code: (value, LABS[code][1])} if code else {})
    results: list[dict[str, Any]] = [
        observation(code, value, unit, AS_OF.date().isoformat(), patient="p", id=code)
        for code, (value, unit) in labs.items()
    ]
    chart = RawChart("p", [json.dumps(resource).encode() for resource in (PATIENT, *results)])
    (found,) = score_records(questions_about((MODEL,), Settings()), [read_chart(chart, AS_OF)])
    return found


def test_the_twin_scores_where_only_the_model_reads_the_value_that_cannot_be() -> None:
    plain, strange = scored(), scored("1751-7", 400.0)
    assert (plain.by, plain.reason, plain.reason_text) == ("mortality_5y_small", "", "")
    assert plain.value is not None
    assert strange == plain


def test_a_value_of_the_twin_that_cannot_be_leaves_the_reason_of_the_model() -> None:
    strange = scored("3094-0", 50_000.0)
    assert (strange.patient_id, strange.name, strange.by, strange.value, strange.percentile) == (
        "p", MODEL, "", None, None,
    )  # fmt: skip
    assert strange.reason == "too-few-inputs"
    assert strange.reason_text.startswith(
        f"{TITLE}: no score. 6 of the 11 laboratory values are usable, at least 8 are needed. Missing: "
    )


def test_an_output_of_another_form_is_refused_before_anything_is_read(tmp_path: Any) -> None:
    job = FhirJob(tmp_path / "nowhere", AS_OF, tmp_path / "a.txt", Settings())
    forms = ".csv, .parquet or .ndjson (FHIR RiskAssessment, one in a line)"
    with pytest.raises(BatchRefused, match=re.escape(f"that ends in {forms}.")):
        score_folder(job)
