"""Coverage of a folder's medications, measured and compared with what the tables' README measured."""

import gzip
from pathlib import Path

import orjson
import pytest

from fhir.mapping.medications.coverage import medication_coverage
from tests.fhir.mapping.charts import request, statement
from tests.fhir.record.charts import bundle


def test_recognised_and_unrecognised_medications_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "fhir" / "made-up"
    folder.mkdir(parents=True)
    chart = bundle(request("metformin"), request("herbal drops", "m2"), request("herbal drops", "m3"), statement("asa"))
    (folder / "one.json.gz").write_bytes(gzip.compress(orjson.dumps(chart)))
    (folder / "two.json").write_bytes(orjson.dumps(bundle(request("metformin"))))
    (folder / "broken.json").write_bytes(b"{")
    (folder / "patient.json").write_bytes(orjson.dumps({"resourceType": "Patient", "id": "p"}))
    requests, statements = medication_coverage(tmp_path)
    assert (requests.source, requests.records, requests.recognised) == ("made-up requests", 4, 2)
    assert (requests.names, requests.names_recognised, requests.share) == (2, 1, 0.5)
    assert requests.unrecognised == (("herbal drops", 2),)
    assert statements.recognised == 1


def test_an_empty_folder_has_no_coverage(tmp_path: Path) -> None:
    assert medication_coverage(tmp_path) == ()


@pytest.mark.outside_data
def test_at_least_as_many_are_recognised_as_the_tables_say(data_folder: Path) -> None:
    found = {one.source: one for one in medication_coverage(data_folder)}
    synthea, requests, statements = (
        found["synthea requests"], found["mimic-iv-demo requests"], found["mimic-iv-demo statements"],
    )  # fmt: skip
    assert synthea.recognised == synthea.records == 1_146
    assert (requests.records, requests.recognised >= 14_531) == (15_422, True)
    assert (statements.records, statements.recognised >= 2_097) == (2_283, True)
    assert found["mimic-iv-demo IV fluids without drug"].recognised == 0
