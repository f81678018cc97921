"""What an ordered study is, by its code and by its words: names of tests, contrast, what is in the beam."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir.mapping.studies import RETEST_INTERVALS, STUDY_CODES, RetestInterval, read_study, screening_groups_of
from fhir.mapping.study_words import goes_into_an_artery, loinc_of_words, modality_named, says_contrast
from fhir.terminology.medications import table_rows
from tests.each import for_rows


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


def test_what_the_patient_is_told_is_a_detail_of_the_order() -> None:
    order = _order("CT abdomen", None)
    assert read_study(order).detail.strip() == "CT abdomen"
    notes = [{"authorString": "a nurse"}, {"text": "in the morning"}]
    told = read_study(order | {"patientInstruction": "Contrast will be given", "note": notes})
    assert " ".join(told.detail.split()) == "CT abdomen in the morning Contrast will be given"
    other = {"text": "CT", "coding": [{"system": "urn:other", "code": "24628-0"}]}
    assert read_study(order | {"code": other}).loincs == ()


def test_what_cannot_be_read_is_no_study() -> None:
    for resource in (
        {},
        {"code": None},
        {"code": {"coding": [None, 3]}},
        {"code": {"coding": "x"}, "note": 7},
        {"code": {"coding": [{"display": "the ordered study"}]}},
    ):
        assert read_study(resource).groups == frozenset()


def test_every_interval_has_days_and_a_source() -> None:
    for interval in RETEST_INTERVALS.values():
        assert 0 < interval.days <= 90
        assert interval.source


def test_a_screening_is_known_by_its_codes_else_by_its_words() -> None:
    dxa, words = "104938-6", "Screening mammogram"
    assert screening_groups_of([None, dxa], words) == {"dxa"}
    assert screening_groups_of(["1-8", None], words) == {"mammography"}
    assert screening_groups_of([dxa], "") == {"dxa"}
    assert screening_groups_of([], "") == frozenset()


def test_an_order_says_whether_it_is_urgent() -> None:
    for priority, is_urgent in (("stat", True), ("asap", True), ("urgent", False), ("routine", False), (None, False)):
        assert read_study(_order("Ferritin", "2276-4", priority=priority)).urgent is is_urgent
    assert not read_study(_order("Ferritin", "2276-4")).urgent


@for_rows(
    ("apart", "ordered", "other", "is_same", "spares", "repeats"),
    [
        ("", "a", "a", True, True, True), ("", "a", "b", True, True, True), ("", "a", "c", False, True, True),
        ("", "c", "p", True, True, True), ("", "a", "x", False, False, False),
        ("always", "a", "b", True, True, True), ("always", "a", "c", False, False, False),
        ("always", "p", "c", True, True, True),
        ("twice", "a", "b", True, True, True), ("twice", "a", "c", False, True, False),
    ],
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


@for_rows(
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


@for_rows(
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


@for_rows(
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
    assert screening_groups_of([None], "Bone density scan") == {"dxa"}
    assert screening_groups_of([None], "Ultrasound bone densitometry of heel") == frozenset()


@given(st.text(max_size=300))
def test_no_text_of_an_order_stops_its_reading(words: str) -> None:
    reason = {"coding": [words, {"display": words}]}  # a coding that is none is read over
    study = read_study({"code": {"text": words}, "note": [{"text": words}], "reasonCode": [reason]})
    assert study.groups <= read_study({"code": {"text": words}}).groups | {"iodine", "gadolinium"}
