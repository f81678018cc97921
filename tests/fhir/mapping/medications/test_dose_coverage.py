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
