"""Routes: local or for the whole body, by code and by words."""

import pytest

from fhir.terminology.dosing import SNOMED, is_local_route


@pytest.mark.parametrize(
    ("system", "code", "words", "local"),
    [
        (SNOMED, "6064005", None, True),
        (SNOMED, "26643006", "Oral route", False),
        (SNOMED, "999", "Ophthalmic route", True),
        (None, "BOTH EYES", None, True),
        (None, "IV DRIP", None, False),
        (None, "PR", None, False),
        (None, "PO/NG", None, False),
        (None, None, "topically to affected area", True),
        (None, None, "intranasal", True),
        (None, None, "inhalation", True),
        (None, None, "subcutaneous", False),
        (None, None, "transdermal", False),
        (None, None, None, None),
    ],
)
def test_a_route_is_local_or_not(system: str | None, code: str | None, words: str | None, local: bool | None) -> None:
    assert is_local_route(system, code, words) is local
