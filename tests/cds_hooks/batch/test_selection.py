"""Which models and equations are asked of a panel, what is read for them, and whom a model is not for."""

from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.batch import scoring
from cds_hooks.batch.scoring import questions_about
from cds_hooks.services import _model
from cds_hooks.settings import Settings
from cds_hooks.trusted_models import AbsentModel
from fhir.record.refusals import WhyNot
from models_onnx.equations.declaration import find_equations
from models_onnx.errors import BatchRefused
from models_onnx.serving.registry import load_model

MODEL = "mortality_5y"


def test_a_name_that_is_neither_a_model_nor_an_equation_is_refused_with_those_there_are() -> None:
    with pytest.raises(BatchRefused) as refused:
        questions_about(("fib4", "unheard-of"), Settings())
    assert str(refused.value).startswith("'unheard-of' is neither a model nor an equation; there are: ")
    for name in (MODEL, "fib4"):
        assert name in str(refused.value)


def test_without_names_every_equation_and_the_models_of_which_cards_are_shown_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_services: dict[str, Any] = {
        name: SimpleNamespace(model=SimpleNamespace(id=name, features=())) for name in ("shown", "withheld")
    }
    monkeypatch.setattr(scoring, "_of_services", lambda _: of_services)
    monkeypatch.setattr(scoring, "why_withheld", lambda model: None if model.id == "shown" else "a draft")
    asked = questions_about((), Settings())
    assert list(asked.models) == [of_services["shown"]]
    assert [item.id for item in asked.equations] == list(find_equations())
    assert list(questions_about(("withheld",), Settings()).models) == [of_services["withheld"]]


def test_a_model_that_is_not_there_is_of_no_service_and_named_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = AbsentModel(MODEL, ValueError("its signature does not fit"), ())
    services = {
        "a": SimpleNamespace(of_chart=None),
        "b": SimpleNamespace(of_chart=SimpleNamespace(model=absent)),
        "c": SimpleNamespace(of_chart=SimpleNamespace(model=SimpleNamespace(manifest=SimpleNamespace(id="m")))),
    }
    monkeypatch.setattr(scoring, "find_services", lambda **_: services)
    assert scoring._of_services(Settings()) == {"m": services["c"].of_chart}
    monkeypatch.setattr(scoring, "site_model", lambda *_: absent)
    with pytest.raises(BatchRefused, match="mortality_5y cannot be used: its signature does not fit"):
        questions_about((MODEL,), Settings())


def test_what_is_read_says_also_who_objects_and_whom_a_model_is_not_for() -> None:
    of_models = {"Condition", "Encounter", "Procedure", "ServiceRequest"}
    flags = frozenset({("urn:x", "no")})
    models: Any = [SimpleNamespace(model=SimpleNamespace(features=()))]
    for some, opting_out, resources in (
        ([], frozenset(), {"Consent"}),
        ([], flags, {"Consent", "Flag"}),
        (models, frozenset(), {"Consent", *of_models}),
    ):
        assert set(scoring._needs(some, (), opting_out).resources) == resources


@pytest.mark.parametrize(
    ("deceased", "age", "reason"),
    [(True, 70.0, "deceased"), (False, 5.0, "outside-population"), (False, 70.0, None)],
)
def test_a_model_is_silent_of_the_dead_and_those_it_is_not_for(
    deceased: bool, age: float, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_model, "find_condition", lambda *_: None)
    record: Any = SimpleNamespace(deceased=deceased, age_years=lambda: age)
    silence = scoring._outside(load_model(MODEL), record)
    assert (silence and (silence.subject, silence.reason)) == (reason and (MODEL, reason))


def test_a_condition_that_a_population_leaves_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    population = SimpleNamespace(words="adults without dialysis", exclude_conditions=("stroke", "dialysis"))
    model: Any = SimpleNamespace(manifest=SimpleNamespace(id="m", population=population))
    record: Any = SimpleNamespace(deceased=False, age_years=lambda: 70.0)
    monkeypatch.setattr(_model, "not_in_population", lambda *_: None)
    monkeypatch.setattr(_model, "find_condition", lambda _, key: key == "dialysis" or None)
    silence = scoring._outside(model, record)
    assert silence is not None
    assert silence.text == "The model is for adults without dialysis; dialysis is on record."


def test_a_model_without_a_service_reads_the_chart_and_brings_its_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_of_services", lambda _: {})
    (alone,) = questions_about((MODEL,), Settings()).models
    assert alone.model.manifest.id == MODEL
    twin = alone.model.manifest.twin
    assert alone.twin.manifest.id == (twin.id if twin is not None else MODEL)
    record: Any = SimpleNamespace(deceased=True)
    assert alone.outside(record) == WhyNot(MODEL, "deceased", "The patient has died.")
