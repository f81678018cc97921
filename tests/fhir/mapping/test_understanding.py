"""What is read of one resource: each type, what its status and its text say, and what is not understood."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.understanding import understand

_SNOMED, _ICD10 = "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"


def _of(kind: str, **elements: Any) -> Any:
    return understand({"resourceType": kind, "id": "1", **elements})


def test_what_nothing_matches_is_not_understood_with_the_reason() -> None:
    reading = _of("Condition", code={"coding": [{"system": _SNOMED, "code": "1"}], "text": "Snorgling"})
    assert (reading.understood, reading.reason) == (False, "no code of the tables and no phrase")
    assert not _of("Condition").understood


# How much of the problems and vaccinations of public charts is understood, by source (shared/data/fhir).


_LEAST = {"mimic-iv-demo Condition": 1.0, "synthea Condition": 0.98, "synthea Immunization": 1.0}


@pytest.mark.slow
@pytest.mark.outside_data
def test_the_share_of_public_charts_that_is_understood_does_not_fall(data_folder: Path) -> None:
    read: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    kinds = {name.partition(" ")[2] for name in _LEAST}
    for path in sorted((data_folder / "fhir").glob("*/*.json.gz")):
        bundle = json.loads(gzip.decompress(path.read_bytes()))
        for resource in (entry["resource"] for entry in bundle.get("entry", ())):
            if resource["resourceType"] in kinds:
                source = f"{path.parent.name} {resource['resourceType']}"
                reading = understand(resource)
                seen[source] += 1
                read[source] += reading.understood
                if not reading.understood:
                    unread[f"{source}: {reading.words}"] += 1
    shares = {source: read[source] / number for source, number in seen.items()}
    print(shares, unread.most_common(20))
    assert {source for source, least in _LEAST.items() if shares.get(source, 1.0) < least} == set()
