"""A what-if asks the recorded equation again with other values, for inputs that a source names, and says so."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.package_tests.markup import Page, faults
from cds_hooks.pages.explain.recorded_decision import Basis, read_basis
from cds_hooks.pages.explain.what_if import NOTHING_CHANGED, WhatIf, ask, what_if
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import get_decision
from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import equation_digest, get_equation
from tests.cds_hooks.calls import ours
from tests.cds_hooks.pages.rendered import explanation_page
from tests.cds_hooks.services.equation_calls import answer_of_site
from tests.cds_hooks.web.decisions import SITE, decided, explained

OF_SITE = {"calibration": "north_america"}
_PERSON = Basis(
    as_of=datetime(2026, 11, 20, 9, tzinfo=UTC),
    features={
        "age_years": (62.0, "", ""), "sex_male": (0.0, "", ""), "egfr_ckd_epi_2021": (38.5, "", ""),
        "uacr_mg_g": (355.0, "2026-10-04", "Observation/1"),
    },
    scores={
        "id": "kfre_4", "output": "5y",
        "sha256": equation_digest(get_equation("kfre_4")),
        "value": calculate(
            get_equation("kfre_4"),
            {"age": 62.0, "sex": "female", "egfr": 38.5, "uacr": 355.0, "calibration": "north_america"}, "5y",
        ).number,
    },
)  # fmt: skip


def _decided(folder: Path, service: str, sample: str) -> Decision:
    found = get_decision(
        f"sqlite:///{folder}/decisions.sqlite3", ours(answer_of_site(folder, service, sample))["decision"]
    )
    assert found is not None
    return found


@pytest.fixture(scope="module")
def statin(tmp_path_factory: pytest.TempPathFactory) -> Decision:
    """A decision of PREVENT about a smoker with a systolic pressure of 148 and a cholesterol of 218."""
    return _decided(tmp_path_factory.mktemp("statin"), "statin-discussion", "diabetes-no-statin")


@pytest.fixture(scope="module")
def basis(statin: Decision) -> Basis:
    return read_basis(statin)


@pytest.fixture(scope="module")
def question(basis: Basis) -> WhatIf:
    found = what_if(basis, OF_SITE)
    assert found is not None
    return found


def test_the_answer_is_what_the_equation_says_with_the_changed_values(question: WhatIf, basis: Basis) -> None:
    assert basis.scores is not None
    assert question.percent == pytest.approx(100 * basis.scores["value"])
    asked = ask(question, {"to-sbp": "125", "to-current_smoker": "no", "to-total_cholesterol": "218"})
    assert asked.answer is not None
    by_hand = calculate(
        get_equation("prevent_base"), {**question.values, "sbp": 125.0, "current_smoker": False}, "ascvd|10y"
    )
    assert asked.answer.percent == pytest.approx(100 * by_hand.number)
    assert asked.answer.people < question.people
    assert [(each.words, each.before, each.after) for each in asked.answer.changes] == [
        ("Systolic pressure", "148 mmHg", "125 mmHg"),
        ("Smokes", "yes", "no"),
    ]


def test_only_inputs_that_a_source_names_can_be_changed(question: WhatIf) -> None:
    assert [one.item.name for one in question.movable] == ["sbp", "total_cholesterol", "current_smoker"]
    asked = ask(question, {"to-age": "30", "to-sex": "female", "to-statin": "yes", "age": "30"})
    assert asked.answer is None
    assert asked.problems == {"": NOTHING_CHANGED}


@pytest.mark.parametrize("text", ["90", "148.5", "200", "-120", "1e2", "nan", "inf", "٣٠", "125 mmHg", "<b>", "0x7d"])
def test_an_implausible_value_is_refused_with_a_sentence_beside_its_field(question: WhatIf, text: str) -> None:
    asked = ask(question, {"to-sbp": text, "to-current_smoker": "no"})
    assert asked.answer is None
    assert asked.problems == {
        "to-sbp": "Type a number from 110 to less than 148 mmHg, the value now. It can only be lowered."
    }
    assert ask(question, {"to-current_smoker": "maybe"}).problems == {
        "to-current_smoker": "Smokes can be left at yes or set to no."
    }


@given(text=st.text(max_size=60), other=st.text(max_size=10))
def test_whatever_is_typed_is_answered_within_the_range_or_refused(text: str, other: str) -> None:
    found = what_if(_PERSON, OF_SITE)
    assert found is not None
    asked = ask(found, {"to-uacr": text, "to-egfr": other})
    assert (asked.answer is None) is bool(asked.problems)
    if asked.answer is not None:
        assert asked.answer.percent < found.percent


def test_a_comma_is_read_as_the_decimal_point_of_a_person() -> None:
    found = what_if(_PERSON, OF_SITE)
    assert found is not None
    with_comma, with_point = ask(found, {"to-uacr": "100,5"}).answer, ask(found, {"to-uacr": "100.5"}).answer
    assert with_comma is not None
    assert with_comma == with_point


def test_nothing_is_said_where_the_recorded_inputs_do_not_give_the_recorded_estimate(basis: Basis) -> None:
    assert basis.scores is not None
    for change in ({"value": 0.5}, {"sha256": "00" * 32}, {"output": "heart_failure|10y"}, {"id": "nothing"}):
        assert what_if(msgspec.structs.replace(basis, scores={**basis.scores, **change}), OF_SITE) is None, change
    features = {name: each for name, each in basis.features.items() if name != "sbp_mmhg"}
    assert what_if(msgspec.structs.replace(basis, features=features), OF_SITE) is None
    assert what_if(msgspec.structs.replace(basis, scores=None), OF_SITE) is None
    assert what_if(_PERSON, {"calibration": "non_north_america"}) is None


def test_an_input_at_its_lowest_and_a_no_are_not_offered(basis: Basis) -> None:
    assert basis.scores is not None
    features = {**basis.features, "sbp_mmhg": (108.0, "", ""), "smokes": (0.0, "", "")}
    found = what_if(basis, OF_SITE)
    assert found is not None
    values = {**found.values, "sbp": 108.0, "current_smoker": False}
    scores = {**basis.scores, "value": calculate(get_equation("prevent_base"), values, "ascvd|10y").number}
    other = what_if(msgspec.structs.replace(basis, features=features, scores=scores), OF_SITE)
    assert other is not None
    assert [one.item.name for one in other.movable] == ["total_cholesterol"]


def test_a_trained_model_has_no_what_if_because_no_source_names_one_of_its_inputs(tmp_path: Path) -> None:
    assert what_if(read_basis(decided(tmp_path, "planning-talk")), OF_SITE) is None


def test_the_page_says_that_it_is_an_association_and_names_document_year_and_review(
    statin: Decision, question: WhatIf
) -> None:
    asked = ask(question, {"to-sbp": "120"})
    page = Page(explanation_page(SITE, explained(statin), (), (), asked))
    assert faults(page.html) == []
    assert f"With the recorded values: about {question.people} in 100" in page.text
    assert asked.answer is not None
    assert f"With the changed values: about {asked.answer.people} in 100" in page.text
    assert "Changed: Systolic pressure from 148 mmHg to 120 mmHg" in page.text
    assert "It does not say that changing a value in this patient changes the outcome" in page.text
    assert "American Heart Association and nine other societies, 2017" in page.text
    assert "Reviewed 2026-11-21" in page.text
    assert 'method="post"' in page.html


def test_hostile_text_in_a_field_is_shown_as_text(statin: Decision, question: WhatIf) -> None:
    hostile = '"><script>alert(1)</script>'
    html = explanation_page(SITE, explained(statin), (), (), ask(question, {"to-sbp": hostile}))
    assert "<script>alert" not in html
    assert faults(html) == []
