"""Drug allergies: by ingredient and class, how severe, and what is none."""

from typing import Any

import pytest

from fhir.mapping.allergies import Allergy, allergies, allergy_to_class, allergy_to_ingredient
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import RXNORM, SNOMED, record_of

PENICILLINS = "beta_lactam_penicillin_allergen"
ACETAMINOPHEN = "161"


def _allergy(words: str | None = None, code: str | None = None, system: str = RXNORM, **more: Any) -> dict[str, Any]:
    concept: dict[str, Any] = {"text": words} if words else {}
    if code:
        concept["coding"] = [{"system": system, "code": code}]
    return builders.allergy(concept, id="a1") | more


@for_rows("allergy", [_allergy("Acetaminophen"), _allergy("Tylenol"), _allergy(code="161"), _allergy(code="313782")])
def test_an_ingredient_is_matched_by_code_brand_or_words(allergy: dict[str, Any]) -> None:
    found = allergy_to_ingredient(record_of(allergy), ACETAMINOPHEN)
    assert found is not None
    assert found.source == "AllergyIntolerance/a1"
    assert allergy_to_ingredient(record_of(allergy), "7258") is None


@for_rows(
    "allergy",
    [
        _allergy("Penicillin"),
        _allergy("PENICILLINS"),
        _allergy("PCN"),
        _allergy(code="91936005", system=SNOMED),
        _allergy("amoxicillin"),
        _allergy(code="723"),
        _allergy(code="294505008", system=SNOMED),
        _allergy("Penicillin allergy, no allergy to cephalosporins", code="91936005", system=SNOMED),
    ],
)
def test_a_class_is_matched_by_its_name_or_by_a_member(allergy: dict[str, Any]) -> None:
    assert allergy_to_class(record_of(allergy), PENICILLINS) is not None
    assert allergy_to_class(record_of(allergy), "cephalosporin") is None


def test_a_class_is_no_ingredient() -> None:
    assert allergy_to_ingredient(record_of(_allergy("Penicillin")), "723") is None


def test_a_class_that_the_tables_do_not_have_is_an_error() -> None:
    with pytest.raises(KeyError):
        allergy_to_class(record_of(), "penicilin")


@for_rows(
    "allergy",
    [
        _allergy("Shellfish"),
        _allergy(code="300913006", system=SNOMED),
        _allergy("No known allergy to penicillin"),
        _allergy("NKDA"),
        _allergy("Penicillin allergy ruled out"),
        _allergy("Penicillin allergy, oral challenge passed"),
        _allergy("Penicillin allergy, ruled out by oral challenge", code="91936005", system=SNOMED),
        _allergy("Penicillinallergie durch Provokation ausgeschlossen", code="91936005", system=SNOMED),
        _allergy("Ruled out by oral challenge", code="7980", system=RXNORM),
        _allergy("Mother allergic to penicillin", code="7980", system=RXNORM),
        _allergy("Penicillin: delabelled 2024"),
        _allergy("Mother allergic to penicillin"),
        _allergy("Wife has a penicillin allergy"),
        _allergy("Penicillin", clinicalStatus={"coding": [{"code": "resolved"}]}),
        _allergy("Penicillin", clinicalStatus={"coding": [{"code": "inactive"}]}),
        _allergy("Penicillin", clinicalStatus={"text": "Resolved"}),
        _allergy("Penicillin", verificationStatus={"coding": [{"code": "refuted"}]}),
        _allergy("Penicillin", verificationStatus={"coding": [{"code": "entered-in-error"}]}),
        _allergy(),
    ],
)
def test_food_and_what_is_over_or_refuted_is_no_drug_allergy(allergy: dict[str, Any]) -> None:
    assert allergies(record_of(allergy)) == ()


def test_what_a_mother_tells_of_her_child_is_the_childs() -> None:
    assert allergy_to_class(record_of(_allergy("Penicillin (rash, per mother)")), PENICILLINS) is not None


def test_without_a_clinical_status_it_counts() -> None:
    unstated = {key: value for key, value in _allergy("Penicillin").items() if key != "clinicalStatus"}
    assert allergy_to_class(record_of(unstated), PENICILLINS) is not None


def test_the_substance_of_a_reaction_counts() -> None:
    reaction = {"substance": {"text": "ibuprofen"}, "manifestation": [{"text": "Hives"}]}
    assert allergy_to_ingredient(record_of(_allergy("drug allergy", reaction=[reaction])), "5640") is not None


def test_an_intolerance_is_told_from_an_allergy_and_stands_behind_it() -> None:
    mild = _allergy("penicillin", id="mild", type="intolerance")
    severe = _allergy(
        "amoxicillin", id="severe", type="allergy", reaction=[{"manifestation": [{"text": "Anaphylaxis"}]}]
    )
    found = allergy_to_class(record_of(mild, severe), PENICILLINS)
    assert found is not None
    assert (found.source, found.is_intolerance) == ("AllergyIntolerance/severe", False)
    alone = allergy_to_class(record_of(mild), PENICILLINS)
    assert alone is not None
    assert alone.is_intolerance


def _penicillin(**more: Any) -> Allergy:
    found = allergy_to_class(record_of(_allergy("Penicillin", **more)), PENICILLINS)
    assert found is not None
    return found


def _reacted(*manifestations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"reaction": [{"manifestation": list(manifestations)} | more]}


@for_rows(
    ("words", "more", "severity", "grade"),
    [
        ("Anaphylaxis", {}, "critical", "severe"),
        ("Angioedema", {"criticality": "high"}, "critical", "severe"),
        ("Anaphylactic shock", {"criticality": "low"}, "warning", "severe"),
        ("Skin rash", {"criticality": "low"}, "info", "mild"),
        ("throat swelling", {}, "critical", "severe"),
        ("Facial edema", {}, "critical", "severe"),
        ("swelling of the tongue", {}, "critical", "severe"),
        ("SJS", {}, "critical", "severe"),
        ("Drug reaction with eosinophilia", {}, "critical", "severe"),
        ("haemolytic anaemia", {}, "critical", "severe"),
        ("Quincke-Ödem", {}, "critical", "severe"),
        ("shock anafilattico", {}, "critical", "severe"),
        ("obrzęk naczynioruchowy", {}, "critical", "severe"),
        ("svullnad i ansiktet", {}, "critical", "severe"),
        ("kein Angioödem, Ausschlag", {}, "warning", "mild"),
        ("Übelkeit und Erbrechen", {}, "info", "mild"),
        ("leg swelling", {}, "warning", "mild"),
        ("shortness of breath", {}, "warning", "mild"),
        ("Vomiting", {}, "info", "mild"),
        ("stomach upset", {}, "info", "mild"),
        ("hives and vomiting", {}, "warning", "mild"),
        ("GI bleed", {}, "warning", "mild"),
        ("rash, ten years ago", {}, "warning", "mild"),
    ],
)
def test_the_words_of_a_reaction_say_how_bad_it_was(
    words: str, more: dict[str, Any], severity: str, grade: str
) -> None:
    found = _penicillin(**_reacted({"text": words}), **more)
    assert (found.severity, found.grade) == (severity, grade)


@for_rows(
    ("more", "severity"),
    [
        ({}, "warning"),
        ({"criticality": "low"}, "info"),
        ({"criticality": "high"}, "warning"),
        # A severe one is critical only where it says what happened.
        (_reacted(severity="severe"), "warning"),
        (_reacted({"text": "hives"}, severity="severe"), "warning"),
        (_reacted({"text": "hypotension"}, severity="severe"), "critical"),
        (_reacted({"text": "nausea"}, severity="severe"), "info"),
    ],
)
def test_what_is_said_of_its_severity_counts_with_what_happened(more: dict[str, Any], severity: str) -> None:
    found = _penicillin(**more)
    assert found.severity == severity
    assert "reaction" not in more or found.grade == "severe"


def test_one_reaction_that_is_allergic_among_others_counts() -> None:
    found = _penicillin(**_reacted({"text": "nausea"}, {"text": "hives"}))
    assert (found.severity, found.is_no_allergy) == ("warning", False)
    assert _penicillin(**_reacted({"text": "nausea"}, {"text": "headache"})).is_no_allergy


@for_rows(
    ("words", "is_rash_only", "is_no_allergy"),
    [
        ("hives", True, False),
        ("hives, tongue swelling", False, False),
        ("nausea", False, True),
        ("nausea and anaphylaxis", False, False),
        (None, False, False),
    ],
)
def test_a_rash_or_a_side_effect_alone_is_told_from_what_is_dangerous(
    words: str | None, is_rash_only: bool, is_no_allergy: bool
) -> None:
    found = _penicillin(**(_reacted({"text": words}) if words else {}))
    assert (found.is_rash_only, found.is_no_allergy) == (is_rash_only, is_no_allergy)


def test_an_allergy_that_stands_on_both_lists_is_one() -> None:
    problems = [
        {"resourceType": "Condition", "id": words, "code": {"text": f"Allergy to {words}"}}
        for words in ("penicillin", "ibuprofen")
    ]
    sources = [allergy.source for allergy in allergies(record_of(_allergy("Penicillin", id="a"), *problems))]
    assert sources == ["AllergyIntolerance/a", "Condition/ibuprofen"]


def test_a_manifestation_that_is_only_a_code_is_read() -> None:
    found = _penicillin(**_reacted({"coding": [{"system": SNOMED, "code": "39579001"}]}))
    assert (found.severity, found.reactions) == ("critical", ("anaphylaxis",))


def test_without_a_manifestation_the_description_or_the_note_is_read() -> None:
    unknown = {"coding": [{"system": SNOMED, "code": "123"}]}
    assert _penicillin(**_reacted(unknown, description="anaphylactic shock in 2010")).severity == "critical"
    assert _penicillin(note=[{"text": "wheezing and hives"}]).reactions == ("wheezing and hives",)
    assert _penicillin(**_reacted({"text": "rash"}, description="no anaphylaxis")).severity == "warning"


@for_rows(
    ("note", "severity"),
    [
        ("rash, no anaphylaxis", "warning"),
        ("hives without angioedema or swelling of the tongue", "warning"),
        ("denies anaphylaxis", "warning"),
        ("not sure whether anaphylaxis", "critical"),
        ("no hives, anaphylaxis", "critical"),
        ("possible anaphylaxis", "critical"),
    ],
)
def test_a_reaction_that_the_note_denies_is_none_but_a_possible_one_counts(note: str, severity: str) -> None:
    assert _penicillin(note=[{"text": note}]).severity == severity


@pytest.mark.parametrize(("words", "severity"), [("anaphylaxis", "warning"), ("hives", "info"), (None, "info")])
def test_an_intolerance_is_one_step_lower(words: str | None, severity: str) -> None:
    found = _penicillin(type="intolerance", **(_reacted({"text": words}) if words else {}))
    assert found.severity == severity
    assert found.is_no_allergy is (words is None)


@for_rows(
    ("entry", "severity", "reactions", "is_unsure"),
    [
        (_allergy("PCN -> anaphylaxis (1998), tolerates cefazolin"), "critical", ("anaphylaxis",), False),
        (_allergy("Penicillin - N/V, hives"), "warning", ("hives",), False),
        (_allergy("Penicillin - nausea, fainted"), "warning", ("fainted",), False),
        (_allergy("Penicillin, gastric bypass"), "warning", (), False),
        (_allergy("Penicillin (no rash, diarrhea)"), "info", ("diarrhea",), False),
        (_allergy("Penicillin V 500 QID anaphylaxis"), "warning", ("anaphylaxis",), True),
        (_allergy("Penicillin label, mother was told"), "info", (), True),
        (_allergy("no known allergies; label says penicillin, hives"), "info", ("hives",), True),
        (_allergy("Penicillin") | {"clinicalStatus": {}}, "warning", (), False),
        (_allergy("Allergy to antibiotic", note=[{}, {"text": "PCN - hives"}]), "info", ("PCN - hives",), True),
        (_allergy("Allergy to antibiotic", reaction=[{"description": "PCN - hives"}]), "info", ("PCN - hives",), True),
        (_allergy() | {"code": None, "substance": {"text": "PCN"}, "status": "unconfirmed"}, "warning", (), False),
        (_allergy("penicillin challenge negative 2024, hives with amoxicillin 2025"), "warning", ("hives",), False),
    ],
)  # fmt: skip
def test_the_name_tells_of_reactions_and_what_is_not_clear_is_an_allergy_in_doubt(
    entry: dict[str, Any], severity: str, reactions: tuple[str, ...], is_unsure: bool
) -> None:
    found = allergy_to_class(record_of(entry), PENICILLINS)
    assert found is not None
    assert (found.severity, found.reactions, found.is_unsure) == (severity, reactions, is_unsure)


@for_rows(
    "entry",
    [
        _allergy("rash with amoxicillin as a child, amoxicillin challenge negative 2024"),
        _allergy("PCN rash 1990; passed oral amoxicillin challenge"),
        _allergy("Penicillin allergy de-labelled after a negative challenge"),
        _allergy("Ancef anaphylaxis (not penicillin)"),
        _allergy() | {"code": None, "substance": {"text": "PCN"}, "status": "refuted"},
        _allergy("NKDA. Takes amoxicillin before dental work"),
        _allergy("No known allergies", note=[{"text": "mother has a penicillin allergy"}]),
    ],
)
def test_what_was_given_since_without_a_reaction_or_is_not_meant_is_no_allergy(entry: dict[str, Any]) -> None:
    assert allergy_to_class(record_of(entry), PENICILLINS) is None


@pytest.mark.parametrize("words", ["Penicillin?", "possible penicillin allergy", "Questionable PCN"])
def test_words_that_are_unsure_are_info(words: str) -> None:
    found = allergy_to_class(record_of(_allergy(words, **_reacted({"text": "anaphylaxis"}))), PENICILLINS)
    assert found is not None
    assert (found.severity, found.is_unsure) == ("info", True)


def test_the_day_it_was_recorded_comes_along() -> None:
    assert _penicillin(recordedDate="2015-03-02").recorded is not None
    assert _penicillin(onsetDateTime="2015").recorded is not None
    assert _penicillin().recorded is None


def test_an_entry_that_could_be_any_drug_is_named_and_pollen_is_not() -> None:
    none_known = {"coding": [{"system": SNOMED, "code": "716186003"}]}
    chart = [_allergy("Zzqvexol"), _allergy("Zzqvexol"), _allergy("Fnordine", category=["medication"]), _allergy("Qwy")]
    chart += [
        _allergy(words) for words in ("cat dander", "Wespengift", "noix", "NKDA", "flu shot", "latex", "penicillin")
    ]
    chart += [_allergy("Gwiddle", category=["food"]), _allergy() | {"code": none_known}]
    record = record_of(*(allergy | {"id": f"a{number}"} for number, allergy in enumerate(chart)))
    assert len(allergies(record)) == 1
    (refusal,) = record.refusals
    assert refusal.reason == "allergies-unreadable"
    assert refusal.text == "3 allergies could not be read: Zzqvexol; Fnordine; Qwy."


@pytest.mark.parametrize(
    "words", ["Label says penicillin", "Peanuts at her school", "latex. Penicillin on the form of a visitor"]
)
def test_words_that_are_not_clear_are_an_allergy_in_doubt_and_named(words: str) -> None:
    record = record_of(_allergy(words, category=["food"]))
    in_doubt = allergy_to_class(record, PENICILLINS)
    assert in_doubt is None if "Peanuts" in words else in_doubt is not None and in_doubt.is_unsure
    assert [refusal.text for refusal in record.refusals] == [f"1 allergy could not be read: {words}."]


def test_words_that_are_not_clear_do_not_take_back_a_code() -> None:
    record = record_of(_allergy("penicillin: see the form of the visit", code="91936005", system=SNOMED))
    assert (allergy_to_class(record, PENICILLINS) is not None, record.refusals) == (True, ())


@for_rows(
    ("entry", "words"),
    [
        (_allergy("Tylenol", "161"), "Tylenol"),
        (_allergy(code="161"), "acetaminophen"),
        (_allergy() | {"code": {"coding": [{"system": RXNORM, "code": "161", "display": "APAP"}]}}, "APAP"),
        (_allergy() | {"code": None, "reaction": [{"substance": {"text": "amoxicillin"}}]}, "amoxicillin"),
        (
            _allergy() | {"code": {"coding": [{"code": "x"}]}, "reaction": [{"substance": {"text": "amoxicillin"}}]},
            "amoxicillin",
        ),
    ],
)
def test_an_allergy_is_called_as_in_the_chart_or_by_its_drug(entry: dict[str, Any], words: str) -> None:
    (allergy,) = allergies(record_of(entry))
    assert allergy.words == words


@for_rows(
    ("condition", "severity"),
    [
        ({"code": {"text": "Penicillin allergy (anaphylaxis)"}}, "critical"),
        ({"code": {"text": "Allergy to penicillin"}}, "warning"),
        ({"code": {"text": "Alergia à penicilina"}}, "warning"),
        ({"code": {"text": "Allergia alle penicilline"}}, "warning"),
        ({"code": {"text": "Allergique à la pénicilline"}}, "warning"),
        ({"code": {"text": "Allergia stagionale"}}, None),
        ({"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z88.0"}]}}, "warning"),
        ({"code": {"coding": [{"code": "Z88.0"}]}}, None),
        ({"code": {"coding": [{"system": SNOMED, "code": "91936005"}]}}, "warning"),
        ({"code": {"text": "Penicillin allergy ruled out"}}, None),
        ({"code": {"text": "Allergy to penicillin"}, "abatementDateTime": "2020-01-01"}, None),
        ({"code": {"text": "Allergy to penicillin"}, "clinicalStatus": {"coding": [{"code": "inactive"}]}}, None),
        ({"code": {"text": "Allergy to penicillin"}, "abatementString": "in childhood"}, None),
        ({"code": {"text": "No penicillin allergy"}}, None),
        ({"code": {"text": "Mother is allergic to penicillin"}}, None),
        ({"code": {"text": "Penicillin allergy"}, "abatementDateTime": "2020"}, None),
        ({"code": {"text": "Anaphylaxis due to penicillin"}, "abatementDateTime": "2020"}, "critical"),
        (
            {
                "code": {"text": "Anaphylaxis due to penicillin"},
                "verificationStatus": {"coding": [{"code": "provisional"}]},
            },
            "warning",
        ),
    ],
)
def test_an_allergy_on_the_problem_list_counts_as_one(condition: dict[str, Any], severity: str | None) -> None:
    problem = {"resourceType": "Condition", "id": "p", **condition}
    allergy = allergy_to_class(record_of(problem), PENICILLINS)
    assert (allergy.severity if allergy else None) == severity
    assert allergy is None or allergy.source == "Condition/p"


@for_rows(
    ("problem", "drugs"),
    [
        ("Amiodarone-induced pulmonary toxicity", ["amiodarone"]),
        ("DRESS secondary to phenytoin", ["phenytoin"]),
        ("Methotrexate pneumonitis", ["methotrexate"]),
        ("ACE inhibitor cough", ["ace_inhibitor"]),
        ("Statin intolerance", ["statin"]),
        ("Opioid-induced constipation", []),
        ("Steroid-induced hyperglycemia", []),
        ("Anemia due to iron deficiency", []),
        ("Optic neuritis due to MS", []),
        ("Increased risk of gentamicin-induced hearing loss", []),
        ("Family history of statin-induced myopathy", []),
        ("No evidence of amiodarone-induced lung toxicity", []),
        ("Heparin-induced thrombocytopenia", []),  # a condition of its own
    ],
)
def test_what_a_drug_has_done_by_the_problem_list_speaks_against_it(problem: str, drugs: list[str]) -> None:
    resolved = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
    condition = {"resourceType": "Condition", "id": "p", "code": {"text": problem}, **resolved}
    read = allergies(record_of(condition))
    assert [
        name for entry in read for name in sorted({*(drug.name for drug in entry.allergen.ingredients)})
        or sorted(entry.allergen.named_classes)
    ] == drugs  # fmt: skip
    assert all(entry.is_harm and entry.reactions == (problem,) for entry in read)
