"""A query is made of parts, and no part can become another."""

from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.client.errors import InvalidQuery
from fhir.client.query import Read, Search, escaped


def test_a_read_is_type_and_id() -> None:
    assert Read("Patient", "p1").path == "Patient/p1"


@pytest.mark.parametrize("identity", ["ez067.1-A", "x" * 194, "draft‑rx‑1", "a b", "ä"])
def test_an_id_is_taken_as_real_servers_give_it(identity: str) -> None:
    assert unquote(Read("Patient", identity).path) == f"Patient/{identity}"


@pytest.mark.parametrize(
    "identity", ["", " ", ".", "..", "a/b", "../metadata", "a?b=c", "a#b", "a%2fb", "a\\b", "a\nb"]
)
def test_an_id_that_would_leave_its_place_is_no_query(identity: str) -> None:
    with pytest.raises(InvalidQuery):
        Read("Patient", identity)


@pytest.mark.parametrize("kind", ["", "patient", "Patient/..", "$everything", "http://elsewhere/Patient"])
def test_a_type_is_a_type(kind: str) -> None:
    with pytest.raises(InvalidQuery):
        Search(kind, ())
    with pytest.raises(InvalidQuery):
        Read(kind, "p1")


def test_a_parameters_name_is_a_name() -> None:
    with pytest.raises(InvalidQuery):
        Search("Patient", (("a&b", "c"),))


@given(st.text(), st.text())
def test_whatever_a_value_holds_it_stays_one_parameter(first: str, second: str) -> None:
    search = Search("Observation", (("patient", first), ("code", second)))
    assert parse_qsl(search.form, keep_blank_values=True) == [("patient", first), ("code", second)]


@given(st.text())
def test_an_escaped_value_has_no_separator_of_its_own(value: str) -> None:
    plain = escaped(value).replace("\\\\", "").replace("\\,", "").replace("\\|", "").replace("\\$", "")
    assert not set(plain) & set(",|$\\")


def test_a_query_beyond_1800_characters_is_long() -> None:
    assert not Search("Observation", (("code", "x" * 1780),)).is_long
    assert Search("Observation", (("code", "x" * 1800),)).is_long
