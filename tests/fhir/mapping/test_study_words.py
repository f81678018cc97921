"""What the words of an order say of a study: names of tests, contrast, what is in the beam."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.mapping.studies import RETEST_INTERVALS, STUDY_CODES, read_study, screening_groups_of
from fhir.mapping.study_words import goes_into_an_artery, loinc_of_words, modality_named, says_contrast
from fhir.terminology.medications import table_rows


@pytest.mark.parametrize(
    ("words", "loinc"),
    [
        ("Haemoglobin A1c (HbA1c), blood", "4548-4"),
        ("Hemoglobin A1c measurement (procedure)", "4548-4"),
        ("TSH", "3016-3"),
        ("TSH with reflex to free T4", "3016-3"),
        ("Serum ferritin level", "2276-4"),
        ("Pap smear with HPV", "82675-0"),
        ("CBC w/ diff", "57021-8"),
        ("TSH receptor antibody", None),
        ("Free PSA", None),
        ("Hemoglobin", None),
        ("CA 15-3", None),
        ("calcium score", None),
        ("", None),
    ],
)
def test_a_test_is_known_by_its_name_and_nothing_beside_it(words: str, loinc: str | None) -> None:
    assert loinc_of_words(words) == loinc


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("CT ABD/PEL W CON", True),
        ("CT abdomen without oral contrast, with IV contrast", True),
        ("CT abdomen with oral and IV contrast", True),
        ("CT abdomen with oral contrast only", False),
        ("CT abdomen with oral contrast, without IV contrast", False),
        ("CT head w/o contrast with coronal reformats", False),
        ("CT C/A/P with", True),
        ("CT w/ & w/o", True),
        ("CT chest, allergy to IV contrast", False),
        ("CT urogram", True),
        ("CT urogram without contrast", False),
        ("CT of the chest", False),
    ],
)
def test_contrast_is_what_goes_into_a_vessel(words: str, given: bool) -> None:
    assert says_contrast(words, "", is_coded=False) is given


@pytest.mark.parametrize(
    ("words", "modality", "artery"),
    [
        ("CT coronary angiogram", "CT", False),
        ("MR angiography of the neck", "MR", False),
        ("Coronary angiography", "XA", True),
        ("Right heart catheterization", "", False),
        ("Leg venogram", "XA", False),
        ("Fluorescein angiography", "", False),
        ("Aortogram with CO2", "", False),
        ("Hip X-ray", "XR", False),
        ("MRI brain on the 3T scanner", "MR", False),
        ("Scanner thoracique", "CT", False),
        ("TAC craneal", "CT", False),
    ],
)
def test_a_study_of_vessels_without_a_scanner_is_its_own_modality(words: str, modality: str, artery: bool) -> None:
    assert (modality_named(words), goes_into_an_artery(words)) == (modality, artery)


def test_every_name_of_a_test_has_a_code_that_a_rule_is_about_and_is_read_as_it() -> None:
    for row in table_rows("test_names.csv"):
        assert read_study({"code": {"coding": [{"code": row["loinc"]}]}}).groups, row["loinc"]
        for name in row["names"].split(";"):
            assert loinc_of_words(name) == row["loinc"], name


def test_a_code_of_another_study_is_not_overruled_by_its_words() -> None:
    code = next(loinc for loinc, one in STUDY_CODES.items() if one.modality == "XR")
    order = {"code": {"text": "TSH", "coding": [{"system": "http://loinc.org", "code": code}]}}
    assert "lab" not in read_study(order).groups


def test_tests_of_one_row_spare_each_other_only_where_they_are_the_same() -> None:
    minerals, thyroid, lipids = (RETEST_INTERVALS[code] for code in ("2777-1", "3016-3", "57698-3"))
    assert not minerals.spares("2777-1", "17861-6")
    assert minerals.spares("2777-1", "2777-1")
    assert thyroid.spares("3024-7", "3016-3")
    assert not thyroid.repeats("3024-7", "3016-3")
    assert lipids.spares("57698-3", "13457-7")
    assert not lipids.spares("2571-8", "13457-7")


def test_a_screening_is_known_by_the_words_of_a_procedure() -> None:
    assert screening_groups_of(["24623002"], "Screening mammography (procedure)") == {"mammography"}
    assert screening_groups_of([None], "Diagnostic mammogram of a lump") == frozenset()


@given(st.text(max_size=300))
def test_no_text_of_an_order_stops_its_reading(words: str) -> None:
    study = read_study({"code": {"text": words}, "note": [{"text": words}]})
    assert study.groups <= read_study({"code": {"text": words}}).groups | {"iodine", "gadolinium"}
