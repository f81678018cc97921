"""How many orders have a daily dose, and why the others have none."""

from pathlib import Path

import orjson

from fhir.mapping.medications.coverage import dose_coverage
from tests.fhir.mapping.charts import request
from tests.fhir.record.charts import bundle


def test_doses_are_counted_by_their_certainty(tmp_path: Path) -> None:
    folder = tmp_path / "fhir" / "made-up"
    folder.mkdir(parents=True)
    drug = "metformin 500 MG Oral Tablet"
    sigs = ["1 tablet bid", "1-2 tablets daily", "1 tablet q6h prn", "1 tablet", "as directed"]
    orders = [request(drug, f"m{index}", dosageInstruction=[{"text": sig}]) for index, sig in enumerate(sigs)]
    (folder / "one.json").write_bytes(orjson.dumps(bundle(*orders, request(drug, "none"))))
    (found,) = dose_coverage(tmp_path)
    assert (found.source, found.orders, found.instructed) == ("made-up requests", 6, 5)
    assert found.certainties == {"exact": 1, "maximum_prn": 1, "range": 1, "unknown": 2}
    assert dict(found.problems) == {"the frequency is not stated": 1, "the words leave the dose open": 1}
    assert found.untimed == 2


def test_one_dose_in_all_is_counted_apart(tmp_path: Path) -> None:
    folder = tmp_path / "fhir" / "made-up"
    folder.mkdir(parents=True)
    once = {"text": "1 tablet", "timing": {"code": {"text": "ONCE"}}}
    repeated = {"text": "1 tablet", "timing": {"code": {"text": "ONCE MR1"}}}
    drug = "metformin 500 MG Oral Tablet"
    orders = [request(drug, f"m{index}", dosageInstruction=[each]) for index, each in enumerate((once, repeated))]
    (folder / "one.json").write_bytes(orjson.dumps(bundle(*orders)))
    (found,) = dose_coverage(tmp_path)
    assert (found.certainties, found.untimed) == ({"once": 1, "unknown": 1}, 0)
    assert dict(found.problems) == {"one dose that may be repeated, and not when": 1}
