"""Where a stay ends, by code or by words; a number of another code system says nothing."""

import pytest

from fhir.mapping.destinations import destination_in_words, destination_named, destination_of
from fhir.record.datatypes import CodeableConcept, Coding

NUBC, OTHER = "https://www.nubc.org/CodeSystem/PatDischargeStatus", "urn:oid:1.2.840.114350.1.13"


def key(destination: object) -> str | None:
    return getattr(destination, "key", None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("01", "home"), ("1", "home"), (" snf ", "skilled_nursing"), ("SNF", "skilled_nursing"), ("", None), (None, None),
     ("0", None), ("20", "died"), ("30", None)],
)  # fmt: skip
def test_a_code_is_read_however_it_is_written(code: str | None, expected: str | None) -> None:
    assert key(destination_of(code)) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Hospice at home", "hospice"),
        ("Long-term acute care", "long_term_hospital"),
        ("Psychiatric unit", "psychiatric"),
        ("Patient expired", "died"),
        ("Nursing facility", "skilled_nursing"),
        ("Nursing home", "intermediate_care"),
        ("Rehab", "rehabilitation"),
        ("Home health service", "home_health"),
        ("HOME", "home"),
        ("Acute care hospital", "hospital"),
        ("Court", None),
    ],
)
def test_words_name_a_destination(words: str, expected: str | None) -> None:
    assert key(destination_in_words(words)) == expected


@pytest.mark.parametrize(
    ("codings", "text", "expected"),
    [
        (((NUBC, "06", None),), None, "home_health"),
        (((OTHER, "06", None),), None, None),
        (((None, "06", None),), None, "home_health"),
        (((OTHER, "06", "Hospice"),), None, "hospice"),
        (((OTHER, "06", "Hospice"), (NUBC, "01", None)), "Rehab", "home"),
        (((OTHER, "06", "Hospice"),), "Rehab", "rehabilitation"),
        (((NUBC, "30", "Hospice"),), "Still here", "hospice"),
        ((("urn:oid:2.16.840.1.113883.12.112", "03", None),), None, "skilled_nursing"),
        ((("urn:oid:2.16.840.1.113883.12.1121", "03", None),), None, None),
        ((), None, None),
    ],
)
def test_codes_go_before_words_and_the_text_before_a_display(
    codings: tuple[tuple[str | None, str, str | None], ...], text: str | None, expected: str | None
) -> None:
    concept = CodeableConcept(tuple(Coding(*coding) for coding in codings), text)
    assert key(destination_named(concept)) == expected
    assert destination_named(None) is None
