"""Charts drawn by chance from words, codes and days near the limits: the same in every run, by their number.

Nobody would write them: half of what a chart can get wrong is in them. tests/cards/drawn.py reads them.
"""

from datetime import UTC, datetime
from typing import Any, Final

Json = dict[str, Any]
AS_OF: Final = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
_SNOMED, _LOINC, _CVX = "http://snomed.info/sct", "http://loinc.org", "http://hl7.org/fhir/sid/cvx"
_DAYS: Final = (
    0, 0.3, 1, 2, 3, 6, 7, 8, 13, 14, 15, 21, 27, 28, 29, 30, 31, 45, 59, 60, 61, 89, 90, 91, 120, 167, 179, 180, 181,
    182, 183, 270, 280, 300, 330, 364, 365, 366, 400, 700, 729, 730, 731, 1095, 1096, 1825, 1826, 3650, 3653, -1, -20,
)  # fmt: skip
_TESTS: Final = ("82810-3", "2106-3", "2118-8", "19080-1", "11778-8", "11779-6", "18185-9", "49051-6", "57021-8",
                 "14563-1", "21440-3", "10524-7", "13955-0", "56888-1", "38265-5", "24606-6", "8664-5", "63773-6",
                 "72166-2", "54899-0", "29771-3", "1558-6", "4548-4", "8665-2", "50373-0", "79191-3")  # fmt: skip
