"""QRY: prefetch queries keep to the restricted subset, for every version of the protocol."""

import re

import pytest

from tests.conformance.conftest import Opened
from tests.conformance.rows import row
from tests.conformance.templates import Template, templates

# FHIR R4, search parameters of the resource types that are asked for.
DATES = frozenset(
    {
        "date", "authored", "authoredon", "authored-on", "created", "onset-date", "recorded-date", "effective",
        "effective-time",
        "_lastUpdated",
    }
)  # fmt: skip
REFERENCES = frozenset({"patient", "subject", "encounter", "practitioner"})
TOKENS = frozenset({"code", "category", "status", "clinical-status", "intent", "type", "_id"})
RESULTS = frozenset({"_count", "_sort"})


@pytest.fixture(params=["1.0", "2.0", "3.0"])
def searches(request: pytest.FixtureRequest, opened: Opened) -> list[Template]:
    """The searches as clients of one version get them."""
    found = [each for each in templates(opened(protocol_version=request.param).discovery()) if each.parameters]
    assert found
    return found


def _of(searches: list[Template], names: frozenset[str]) -> list[tuple[str, str, str]]:
    return [
        (each.key, name, value)
        for each in searches
        for name, value in each.parameters
        if name.partition(":")[0] in names
    ]


@row("QRY-01", "QRY-09", "QRY-10")
def test_every_parameter_is_of_the_subset(searches: list[Template]) -> None:
    for each in searches:
        for name, value in each.parameters:
            assert name.partition(":")[0] in DATES | REFERENCES | TOKENS | RESULTS, f"{each.key}: {name}"
            assert value


@row("QRY-03")
def test_a_search_is_of_one_type(searches: list[Template]) -> None:
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", each.path) for each in searches)


@row("QRY-04")
def test_a_reference_is_the_patient_or_from_2_0_on_the_user(searches: list[Template]) -> None:
    found = _of(searches, REFERENCES)
    assert ("patient", "{{context.patientId}}") in {(name, value) for _, name, value in found}
    others = {(key, name, value) for key, name, value in found if name != "patient"}
    assert others <= {("userRoles", "practitioner", "{{userPractitionerId}}")}


@row("QRY-05")
def test_a_token_is_equal_to_something(searches: list[Template]) -> None:
    found = _of(searches, TOKENS)
    assert found
    assert all(name.partition(":")[2] in ("", "in") for _, name, _ in found)


@row("QRY-06")
def test_a_date_has_one_of_five_prefixes(searches: list[Template]) -> None:
    for _, name, value in _of(searches, DATES):
        assert ":" not in name
        assert re.fullmatch(r"(eq|lt|gt|ge|le)?(\d{4}.*|\{\{.*\}\})", value)


@row("QRY-07")
def test_a_count_is_a_number(searches: list[Template]) -> None:
    assert all(int(value) > 0 for _, _, value in _of(searches, frozenset({"_count"})))


@row("QRY-08")
def test_what_is_sorted_is_sorted_by_date_newest_first(searches: list[Template]) -> None:
    for key, name, value in _of(searches, frozenset({"_sort"})):
        assert name == "_sort"
        assert value.removeprefix("-") in DATES, key
