"""Where each attribute stands, and each element, code and name by which an input is one of the nine variables."""

import json
import os
from dataclasses import dataclass
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree.ElementTree import Element, fromstring

import pytest
from msgspec import UNSET

from models_onnx.artifact.manifest import Lineage, Manifest, MissingInputs, Provenance
from models_onnx.equations.card import equation_card
from models_onnx.errors import CardIncomplete
from models_onnx.model_card import attributes
from models_onnx.model_card.attributes import (
    EVIDENCE,
    PREDICTIVE,
    used_as,
    variables_used,
    variables_used_in_words,
)
from models_onnx.model_card.formats import NAMESPACE, card_html, chai_xml, encode_card_as
from models_onnx.model_card.origin import absence_words, lineage_rows, provenance_of, provenance_rows
from models_onnx.model_card.wording import unsafe_words
from tests.each import for_each, for_rows
from tests.models_onnx.model_card.xsd import Schema


@dataclass(frozen=True)
class Input:
    """An input."""

    name: str
    fhir: str = "Observation.value"
    loinc: tuple[str, ...] = ()
    words: str = "An input"


@for_rows("name", ["creatinine_mg_dl", "triage_count", "percentage", "stage", "dosage_mg"])
def test_other_inputs_are_none_of_the_nine(name: str) -> None:
    assert used_as(Input(name)) == frozenset()


def test_an_attribute_has_its_number_its_cite_and_its_place() -> None:
    first, last = PREDICTIVE[0], PREDICTIVE[-1]
    assert (first.number, first.cite, first.section, first.key, first.path, first.may_be_unavailable) == (
        "1", "(B)(1)(i)", "details", "developer", "details.developer", False,
    )  # fmt: skip
    assert (last.number, last.cite, last.path, last.may_be_unavailable) == (
        "31", "(B)(9)(ii)", "updates.correction", True,
    )  # fmt: skip
    race = EVIDENCE[4]
    assert (race.number, race.cite, race.section, race.key, race.may_be_unavailable) == (
        "E5", "(A)(5)", "evidence", "uses.race", False,
    )  # fmt: skip
    cites = [attribute.cite.removeprefix("(B)") for attribute in PREDICTIVE]
    parts = {1: 4, 2: 4, 3: 2, 4: 4, 5: 2, 6: 4, 7: 5, 8: 4, 9: 2}
    roman = ("i", "ii", "iii", "iv", "v")
    assert cites == [f"({part})({step})" for part, count in parts.items() for step in roman[:count]]
    assert [attribute.number for attribute in PREDICTIVE if attribute.may_be_unavailable] == [
        "17", "18", "19", "20", "23", "24", "25", "27", "29", "30", "31",
    ]  # fmt: skip


_ELEMENTS = {
    "Patient.birthDate": "date_of_birth", "Patient.gender": "sex", "Patient.extension:us-core-birthsex": "sex",
    "Patient.extension:us-core-sex": "sex", "Patient.extension:us-core-sexForClinicalUse": "sex",
    "Patient.extension:us-core-race": "race", "Patient.extension:us-core-ethnicity": "ethnicity",
    "Patient.extension:us-core-genderIdentity": "gender_identity", "Patient.communication.language": "language",
    "Patient.address.city": "sdoh", "Patient.address.postalCode": "sdoh", "Coverage.payor": "sdoh",
    "Patient.maritalStatus": "sdoh", "Coverage.type": "sdoh",
}  # fmt: skip
_CODES = {
    "76690-7": "sexual_orientation", "76691-5": "gender_identity", "32624-9": "race", "69490-1": "ethnicity",
    "54899-0": "language", "46098-0": "sex", "76689-9": "sex", "30525-0": "date_of_birth", "21112-8": "date_of_birth",
    "72166-2": "health_status", "44261-6": "health_status", "55758-7": "health_status", "70274-6": "health_status",
    "11323-3": "health_status", "93025-5": "sdoh", "88124-3": "sdoh", "82589-3": "sdoh", "63512-8": "sdoh",
    "71802-3": "sdoh",
}  # fmt: skip
_NAMES = {
    "ethnic_group": "ethnicity", "is_Hispanic": "ethnicity", "race_white": "race", "language_spoken": "language",
    "sexual_orientation": "sexual_orientation", "gender_identity": "gender_identity", "payer": "sdoh",
    "insurance_kind": "sdoh", "income_poverty": "sdoh", "education": "sdoh", "housing": "sdoh",
    "area_deprivation": "sdoh", "postal_code": "sdoh", "zip_code": "sdoh", "self_rated_health": "health_status",
    "smokes": "health_status", "age_years": "date_of_birth", "age_band_5": "date_of_birth", "sex_male": "sex",
    "sex_female": "sex", "age": "date_of_birth", "birth_date": "date_of_birth", "sex": "sex", "gender": "sex",
}  # fmt: skip


def test_every_element_code_and_name_of_the_nine() -> None:
    assert {element: used_as(Input("x", element)) for element in _ELEMENTS} == {
        element: frozenset({use}) for element, use in _ELEMENTS.items()
    }
    assert {code: used_as(Input("x", loinc=("1-8", code))) for code in _CODES} == {
        code: frozenset({use}) for code, use in _CODES.items()
    }
    assert set(attributes._LOINC) == set(_CODES)
    assert {name: used_as(Input(name)) for name in _NAMES} == {name: frozenset({use}) for name, use in _NAMES.items()}
    assert used_as(Input("race_income", "Patient.gender", ("93025-5",))) == {"race", "sdoh", "sex"}


@for_rows("name", ["agender", "sex_years", "ages", "birth_dates", "trace_metal_count"])
def test_a_name_counts_whole_where_its_part_would_be_too_common(name: str) -> None:
    expected = {"race"} if "race" in name else set()
    assert used_as(Input(name)) == expected


def test_what_is_used_and_what_is_not_in_words() -> None:
    nothing = variables_used([])
    assert variables_used_in_words(nothing) == (
        "Used as inputs: none of the nine. Not used: race, ethnicity, language, sexual orientation, gender identity, "
        "sex, date of birth, social determinants of health, health status assessment."
    )
    some = variables_used([Input("age"), Input("sex_male"), Input("age_band"), Input("bun")])
    assert variables_used_in_words(some) == (
        "Used as inputs: sex (input sex_male); date of birth (input age, age_band). Not used: race, ethnicity, "
        "language, sexual orientation, gender identity, social determinants of health, health status assessment."
    )
    assert variables_used_in_words({name: ["x"] for name in nothing}).endswith("Not used: none.")


DIRECTIVES = {
    "Stop metformin.": "Stop", "The risk is high. Please refer the patient.": "Please refer",
    "High: start a statin": "start", "Risk (high) Order a test": "Order", "Of note:\n- Begin dialysis": "Begin",
    "Really? Avoid it": "Avoid", "Do not discharge": "", "Make sure that somebody looks": "Make sure",
    "Call the nurse": "Call", "Please page the resident": "Please page", "You must look": "You must",
    "The patient has to go": "", "Patients need to fast": "Patients need to", "It must be stopped": "must be stopped",
    "It should immediately be withheld": "should immediately be withheld", "He is to be admitted": "is to be admitted",
    "We strongly recommend it": "We strongly recommend", "The model advises it": "The model advises",
    "The score requires a visit": "The score requires", "A test is strongly recommended": "is strongly recommended",
    "A visit is mandatory": "is mandatory", "It is time to talk": "It is time to",
}  # fmt: skip
HARMLESS = (
    "Gives information to consider when deciding.", "The clinician may start a statin.", "Do nothing about it.",
    "A call by the nurse came first.", "Transfer of care is not an input.", "Call by name", "Hold",
    "Patients who needed to fast were left out.", "The recommended dose is not an input.", "It is timed to the visit.",
    "Nobody must look.", "",
)  # fmt: skip


def test_a_directive_takes_the_decision_from_the_clinician() -> None:
    def check(text: str, words: str) -> None:
        found = list(unsafe_words(text))
        assert found[:1] == ([f"it directs instead of offering: '{words}'"] if words else [])

    for_each(((text, (text, words)) for text, words in DIRECTIVES.items()), check)


def test_what_only_looks_like_a_directive_may_be_said() -> None:
    for_each(((text, (text,)) for text in HARMLESS), lambda text: _is_said(text))


def _is_said(text: str) -> None:
    assert list(unsafe_words(text)) == []


def test_everything_that_is_wrong_is_said_in_one_order() -> None:
    assert list(unsafe_words("Urgent: start it, which prevents strokes")) == [
        "it directs instead of offering: 'start'", "it claims an effect: 'prevents'", "it sounds an alarm: 'Urgent'",
    ]  # fmt: skip


def _manifest(**facts: Any) -> Manifest:
    whole = {
        "provenance": UNSET, "lineage": UNSET, "missing_inputs": UNSET,
        "cohort": SimpleNamespace(n=12345, words="adults of a study"),
        "period": SimpleNamespace(training="1999-2018", recalibration="2003-2014"),
        "required": SimpleNamespace(always=("age_years",)),
    }  # fmt: skip
    return cast(Manifest, SimpleNamespace(**{**whole, **facts}))


PROVENANCE = Provenance("10 people of A", "20 people of B", "30 people of C")


def test_on_whom_a_model_was_fitted_evaluated_and_recalibrated() -> None:
    people = "12,345 adults of a study, 1999-2018"
    alike = SimpleNamespace(training="1999-2018", recalibration="1999-2018")
    assert provenance_of(_manifest()) == Provenance(
        people, "the same people, each by a model that was fitted without them", "2003-2014"
    )
    assert provenance_of(_manifest(period=alike)).recalibrated_on == ""
    fitted = Lineage(code="abc", fitted_sha256="f0")
    assert provenance_of(_manifest(lineage=fitted)) == Provenance("", people, "2003-2014")
    assert provenance_of(_manifest(provenance=PROVENANCE, lineage=fitted)) is PROVENANCE
    assert provenance_rows(_manifest(lineage=fitted, period=alike)) == [
        ("Fitted on", "not known"),
        ("Evaluated on", people),
        ("Recalibrated on", "nobody: it was not recalibrated"),
    ]
    assert [words for _, words in provenance_rows(_manifest(provenance=PROVENANCE))] == [
        "10 people of A", "20 people of B", "30 people of C",
    ]  # fmt: skip


def test_what_a_model_was_made_with() -> None:
    assert lineage_rows(_manifest()) == [("code, lock and packages", "not recorded")]
    assert lineage_rows(_manifest(lineage=Lineage(code="abc"))) == [
        ("code", "abc"),
        ("declaration, SHA-256", "not recorded"),
        ("development lock, SHA-256", "no lock: not a checkout"),
        ("the 0 installed packages, SHA-256", "not recorded"),
    ]
    whole = Lineage(
        code="abc", declaration_sha256="d", fitted_sha256="f", lock_sha256="l", packages_sha256="p", packages=91
    )
    assert lineage_rows(_manifest(lineage=whole)) == [
        ("code", "abc"),
        ("declaration, SHA-256", "d"),
        ("fitted model, SHA-256", "f"),
        ("development lock, SHA-256", "l"),
        ("the 91 installed packages, SHA-256", "p"),
    ]


def test_what_a_missing_input_counts_as() -> None:
    average = "A missing input is named and contributes 0: it counts as the average of the reference cohort."
    assert absence_words(_manifest()) == average
    assert absence_words(_manifest(missing_inputs=MissingInputs(kind="average"))) == average
    imputed = MissingInputs(kind="imputed", values={"age_years": 50.0, "bun_mg_dl": 14.56789, "inr": 1.0})
    assert absence_words(_manifest(missing_inputs=imputed)) == (
        "A missing input is named and counts as a value that is put in its place: `bun_mg_dl` 14.57, `inr` 1."
    )
    assert absence_words(_manifest(missing_inputs=MissingInputs(kind="learned"))) == (
        "A missing input is named, and its absence raises or lowers the estimate by itself, as was learned from "
        "people in whom it was missing: where such values are asked for from other people, this may not hold."
    )


# Sections of CHAI's card v0.2 in order, as facts of its public schema.
SECTIONS = [
    "BasicInfo", "ReleaseInfo", "ModelSummary", "UsesAndDirections", "Warnings", "TrustIngredients", "KeyMetrics",
    "Resources", "Bibliography",
]  # fmt: skip


def chai(card: dict[str, Any]) -> Element:
    """CHAI's card, parsed."""
    return fromstring(chai_xml(card, "validated", "2026-11-20"))  # noqa: S314 - our own output


def test_chais_card_has_its_sections_in_order_and_no_empty_element(card: dict[str, Any]) -> None:
    root = chai(card)
    assert [child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in root] == SECTIONS
    assert [child.tag for child in root.iter() if not len(child) and not (child.text or "").strip()] == []


def test_every_result_of_chais_card_is_json_with_a_kind(card: dict[str, Any]) -> None:
    values = [json.loads(str(found.text)) for found in chai(card).iter(f"{{{NAMESPACE}}}ValueJson")]
    assert len(values) > 10
    assert {value["kind"] for value in values} <= {"single", "text"}


def test_chais_card_is_valid_against_the_published_schema(card: dict[str, Any], data_folder: Path) -> None:
    path = Path(os.environ.get("CHAI_SCHEMA") or data_folder / "chai" / "schema.xsd")
    if not path.is_file():
        pytest.skip("CHAI's schema v0.2 is not here; set CHAI_SCHEMA to mc-schema/v0.2/schema.xsd")
    schema = Schema(path)
    assert schema.problems(chai(card)) == []
    broken = chai(card)
    broken.remove(broken[3])
    assert schema.problems(broken)[0] == "AppliedModelCard/UsesAndDirections is missing"


def test_chais_card_is_refused_for_an_incomplete_or_evidence_based_card(card: dict[str, Any]) -> None:
    with pytest.raises(CardIncomplete, match="evidence-based"):
        chai_xml(equation_card("fib4"), "active", "2026-11-20")
    card["details"]["funding"]["words"] = ""
    with pytest.raises(CardIncomplete, match="attribute 2 "):
        chai_xml(card, "active", "2026-11-20")


class Reader(HTMLParser):
    """Tags, attributes and what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "line", "rect", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_words_of_a_card_are_never_markup(card: dict[str, Any]) -> None:
    card["purpose"]["users"]["words"] = "<script>alert(1)</script> & nurses"
    text = card_html(card)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; nurses" in text


def test_a_card_with_gaps_is_shown_with_its_gaps(card: dict[str, Any]) -> None:
    card["purpose"]["users"]["words"] = ""
    assert "<strong>Blank</strong>" in card_html(card)


def test_a_card_is_written_in_the_form_that_was_asked_for(card: dict[str, Any]) -> None:
    day = date(2026, 11, 20)
    assert json.loads(encode_card_as(card, "json", "validated", day)) == card
    assert encode_card_as(card, "html", "validated", day) == card_html(card).encode()
    assert encode_card_as(card, "chai", "validated", day) == chai_xml(card, "validated", "2026-11-20")
