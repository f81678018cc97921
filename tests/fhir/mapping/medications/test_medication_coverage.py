"""Coverage of a folder's medications, measured and compared with what the tables' README measured."""

import gzip
from pathlib import Path

import orjson
import pytest

from fhir.mapping.medications.coverage import identified_orders, medication_coverage
from fhir.terminology.medication_names import read_order_name
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


def test_what_is_no_drug_is_counted_apart(tmp_path: Path) -> None:
    folder = tmp_path / "fhir" / "made-up"
    folder.mkdir(parents=True)
    chart = bundle(request("lancets"), request("Lactated Ringers", "m2"), request("metformin", "m3"))
    (folder / "one.json").write_bytes(orjson.dumps(chart))
    (requests,) = medication_coverage(tmp_path)
    assert (requests.records, requests.recognised, requests.excluded) == (1, 1, {"fluid": 1, "supply": 1})


def test_the_rxnorm_names_given_are_read_as_words(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "1", "display": "unheard of 5 MG"}
    other = coding | {"display": "metformin 500 MG Oral Tablet"}
    case = {"any": [{"medicationCodeableConcept": {"coding": [coding, other, coding | {"system": "urn:other"}]}}]}
    (tmp_path / "cases" / "one.json").write_bytes(orjson.dumps(case))
    (names,) = medication_coverage(tmp_path)
    assert (names.source, names.records, names.recognised) == ("RxNorm names as words", 2, 1)
    assert names.unrecognised == (("unheard of 5 MG", 1),)


def test_an_empty_folder_has_no_coverage(tmp_path: Path) -> None:
    assert medication_coverage(tmp_path) == ()


@pytest.mark.slow
@pytest.mark.outside_data
def test_at_least_as_many_are_recognised_as_the_tables_say(data_folder: Path) -> None:
    found = {one.source: one for one in medication_coverage(data_folder)}
    names = [
        "synthea requests", "mimic-iv-demo requests", "mimic-iv-demo statements", "RxNorm names as words",
    ]  # fmt: skip
    assert all(found[name].share >= 0.98 for name in names)
    requests, statements = found["mimic-iv-demo requests"], found["mimic-iv-demo statements"]
    # What is left out of the shares is little, and no drug.
    assert (requests.records, requests.excluded) == (15_201, {"fluid": 221})
    assert (statements.records, statements.excluded) == (2_205, {"fluid": 6, "supply": 72})
    assert found["mimic-iv-demo IV fluids without drug"].records == 0


@pytest.mark.outside_data
def test_words_and_rxnorm_code_of_an_order_mean_the_same_drug(data_folder: Path) -> None:
    compared = 0
    for _, order, identity in identified_orders(data_folder):
        concept = order.medicationCodeableConcept
        if concept is None or identity.rxnorm is None or not concept.words:
            continue
        by_words = read_order_name(concept.words)
        assert set(by_words.ingredients) == set(identity.ingredients), concept.words
        assert identity.doubt is None
        compared += 1
    assert compared > 1_000
