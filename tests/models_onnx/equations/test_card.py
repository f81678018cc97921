"""The card of a published equation: its thirteen attributes, worked out by hand from what the equation reads."""

import pytest

from models_onnx.equations.card import equation_card, has_equation, inputs_of_kind, source_attributes
from models_onnx.equations.declaration import get_equation
from models_onnx.errors import UnknownEquation
from tests.models_onnx.equations.declared import first_equations

NOT_USED = {
    "race": "not used: no input is race",
    "ethnicity": "not used: no input is ethnicity",
    "language": "not used: no input is language",
    "sexual_orientation": "not used: no input is sexual orientation",
    "gender_identity": "not used: no input is gender identity",
    "sex": "not used: no input is sex",
    "date_of_birth": "not used: no input is date of birth",
    "sdoh": "not used: no input is social determinants of health",
    "health_status": "not used: no input is health status assessment",
}


def uses(name: str) -> dict[str, str]:
    """What the card says of each of the nine kinds of data."""
    prefix = "evidence.uses."
    attributes = source_attributes(get_equation(name))
    return {key.removeprefix(prefix): words for key, words in attributes.items() if key.startswith(prefix)}


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("gad7", {"health_status": "used: GAD-7 total (total)"}),
        ("phq9", {"health_status": "used: PHQ-9 total (total)"}),
        ("news2", {}),
        ("kfre_4", {"sex": "used: Sex (sex)", "date_of_birth": "used: Age (age)"}),
        ("pooled_cohort", {"race": "used: Race group (race_group)", "sex": "used: Sex (sex)",
                           "date_of_birth": "used: Age (age)", "health_status": "used: Smokes (current_smoker)"}),
    ],
)  # fmt: skip
def test_which_demographic_data_an_equation_uses(name: str, used: dict[str, str]) -> None:
    assert uses(name) == NOT_USED | used


def test_every_equation_tells_the_kinds_of_its_inputs() -> None:
    kinds = {
        name: {key: inputs for key in NOT_USED if (inputs := inputs_of_kind(equation, key))}
        for name, equation in first_equations().items()
    }
    both = {"sex": ("sex",), "date_of_birth": ("age",)}
    assert kinds == {
        "cha2ds2_vasc": both, "ckd_epi_2021_creatinine": both, "cockcroft_gault": both,
        "fib4": {"date_of_birth": ("age",)}, "gad7": {"health_status": ("total",)},
        "has_bled": {"date_of_birth": ("age",), "health_status": ("alcohol_excess",)},
        "hospital_score": {}, "kfre_4": both, "lace": {}, "meld3": {"sex": ("sex",)}, "news2": {},
        "phq9": {"health_status": ("total",)},
        "pooled_cohort": both | {"race": ("race_group",), "health_status": ("current_smoker",)},
        "prevent_base": both | {"health_status": ("current_smoker",)},
    }  # fmt: skip


def test_the_product_of_a_card_says_for_whom_it_is_and_how_far_it_looks_ahead() -> None:
    card = equation_card("kfre_4")
    assert (card["format"], card["kind"]) == ("cds-hooks-onnx/model-card/1", "evidence-based")
    assert card["model"] == {
        "id": "kfre_4", "version": get_equation("kfre_4").version, "title": get_equation("kfre_4").title,
    }  # fmt: skip
    common = {"section_1557", "statement", "security"}
    usual = {"population", "not_for", "cautions", "reference_cohort"}
    assert set(card["product"]) == {*common, *usual, "horizon_hours"}
    assert card["product"]["horizon_hours"] == 17532.0, "two years of 8,766 hours"
    news = equation_card("news2")["product"]
    assert set(news) == {*common, *usual, "not_on_cards"}
    assert news["not_for"] == ["younger than 16", "pregnancy", "injury of the spinal cord"]
    assert news["cautions"] == ["All seven readings must be of one set: an old reading makes a wrong total."]
    assert (news["population"], news["reference_cohort"]) == (
        "adults of 16 and over in acute care", "all seven readings normal: 0 points",
    )  # fmt: skip
    assert equation_card("prevent_base")["product"]["horizon_hours"] == 87660.0
    assert set(equation_card("gad7")["product"]) == {*common, *usual}
    assert equation_card("gad7")["evidence"]["developer"] == {
        "words": "the cds-hooks-onnx project (translation of the published equation; not its authors)",
        "from": "declared",
    }


def test_an_equation_that_is_not_there_has_no_card() -> None:
    assert (has_equation("gad7"), has_equation("gad8")) == (True, False)
    with pytest.raises(UnknownEquation):
        equation_card("gad8")
