"""What an ordered study is, by its code and by its words: names of tests, contrast, what is in the beam."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir.mapping.studies import RetestInterval, read_study, screening_groups_of
from tests.each import for_rows, rows_of


def _order(text: str, loinc: str | None = None, **more: Any) -> dict[str, Any]:
    coding = [{"system": "http://loinc.org", "code": loinc}] if loinc else []
    return {"resourceType": "ServiceRequest", "code": {"text": text, "coding": coding}, **more}


@for_rows(
    ("text", "loinc", "groups"),
    [
        ("CT chest with contrast", "24628-0", {"iodine"}),
        ("CT abdomen and pelvis with contrast", "36813-4", {"iodine", "uterus"}),
        ("CT abdomen and pelvis without contrast", "36952-0", {"uterus"}),
        ("MR brain without and with contrast", "24587-8", {"mr", "gadolinium"}),
        ("MR lumbar spine", "30679-5", {"mr", "lumbar_spine"}),
        ("X-ray lumbar spine", "24970-6", {"uterus", "lumbar_spine"}),
        ("CT colonography screening", "79069-1", {"uterus"}),
        ("DXA", "24966-4", {"dxa"}),
        ("CT chest and lumbar spine", "24628-0", {"iodine"}),
        ("PSA", "2857-1", {"psa", "lab"}),
        ("Pap test", "10524-7", {"cervical"}),
        ("Ferritin", "2276-4", {"lab"}),
        ("Chest X-ray", None, set()),
        ("CT abdomen w contrast", None, {"iodine", "uterus"}),
        ("CT head w/o contrast", None, set()),
        ("MRI brain with and without contrast", None, {"mr", "gadolinium"}),
        ("MRI lumbar spine", None, {"mr", "lumbar_spine"}),
        ("Consult to cardiology", None, set()),
    ],
)
def test_the_groups_of_an_order(text: str, loinc: str | None, groups: set[str]) -> None:
    assert read_study(_order(text, loinc)).groups == groups


def test_what_cannot_be_read_is_no_study() -> None:
    for resource in (
        {},
        {"code": None},
        {"code": {"coding": [None, 3]}},
        {"code": {"coding": "x"}, "note": 7},
        {"code": {"coding": [{"display": "the ordered study"}]}},
    ):
        assert read_study(resource).groups == frozenset()


def test_a_screening_is_known_by_its_codes_else_by_its_words() -> None:
    dxa, words = "104938-6", "Screening mammogram"
    assert screening_groups_of([None, dxa], words) == {"dxa"}
    assert screening_groups_of(["1-8", None], words) == {"mammography"}
    assert screening_groups_of([dxa], "") == {"dxa"}
    assert screening_groups_of([], "") == frozenset()


@for_rows(
    ("apart", "ordered", "other", "is_same", "spares", "repeats"),
    rows_of(__file__, "a_test_of_the_same_row_spares_or_repeats_another"),
)  # fmt: skip
def test_a_test_of_the_same_row_spares_or_repeats_another(
    apart: str, ordered: str, other: str, is_same: bool, spares: bool, repeats: bool
) -> None:
    interval = RetestInterval(
        "k", "K", frozenset("abcp"), 7.0, None, None, frozenset(), frozenset("p"), frozenset("ab"), apart, "source"
    )
    assert interval.is_same(ordered, other) is is_same
    assert interval.spares(ordered, other) is spares
    assert interval.repeats(ordered, other) is repeats


@given(st.text(max_size=300))
def test_no_text_of_an_order_stops_its_reading(words: str) -> None:
    reason = {"coding": [words, {"display": words}]}  # a coding that is none is read over
    study = read_study({"code": {"text": words}, "note": [{"text": words}], "reasonCode": [reason]})
    assert study.groups <= read_study({"code": {"text": words}}).groups | {"iodine", "gadolinium"}
