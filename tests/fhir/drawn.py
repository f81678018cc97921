"""Charts drawn by chance from words, codes and days near the limits: the same in every run, by their number.

Nobody would write them: half of what a chart can get wrong is in them. tests/cards/drawn.py reads them.
"""

from datetime import UTC, datetime
from typing import Any, Final

Json = dict[str, Any]
AS_OF: Final = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
_SNOMED, _LOINC, _CVX = "http://snomed.info/sct", "http://loinc.org", "http://hl7.org/fhir/sid/cvx"
