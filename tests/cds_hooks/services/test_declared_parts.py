"""A declared service by itself: whom it leaves out, from which value it speaks, and what its card offers."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from cds_hooks.services._declared import (
    _features_of,
    _ModelAdvisor,
    _never,
    _of_equation,
    _of_model,
    _order,
    _reason_for_nothing,
)
from cds_hooks.services._service_file import AlreadyDone, OfferedOrder, ServiceFile
from fhir.mapping.features.catalog import features_named
from fhir.record.refusals import WhyNot
from models_onnx.declarations import DeclaringFile
from models_onnx.errors import DeclarationError
from models_onnx.serving.registry import load_model
from tests.cds_hooks.services.test_decisions_by_themselves import Json, problem, referral, visit
from tests.each import for_rows
from tests.fhir.builders import AS_OF, ICD10, WOMAN, condition, record_of, service_request

OFFERED = OfferedOrder("Order a visit", "Visit at home within 5 days", 5)
DECLARED = ServiceFile(
    id="own-service", hook="patient-view", title="A title", description="d", usage_requirements="u",
    summary="Result: {value} ({band}). Consider a talk.", orders=(OFFERED, OfferedOrder("Plan a call", "Call soon")),
    equation="prevent_base", output="ascvd|10y", least=0.1, closing="Closing words.",
)  # fmt: skip
OF_MODEL = msgspec.structs.replace(
    DECLARED, equation=None, output=None, least=None, model="mortality_5y", orders=(OFFERED,), seen="died",
    alike="people like this",
)  # fmt: skip
AT_DISCHARGE = msgspec.structs.replace(DECLARED, hook="encounter-discharge")
STAY = visit("IMP", period={"start": "2026-11-15"})


@pytest.fixture
def file(tmp_path: Path) -> DeclaringFile:
    """A file of which only the name is shown."""
    path = tmp_path / "own.service.toml"
    path.write_text("id = 1")
    return DeclaringFile("own", path, path.name, is_in_package=False)


def _call(*resources: Json, encounter: str | None = None, patient: Json = WOMAN) -> Any:
    record = record_of(*resources, patient=patient)
    return SimpleNamespace(
        record=record, request=SimpleNamespace(hook="h", context=SimpleNamespace(encounter_id=encounter))
    )


@for_rows(
    ("declared", "changed", "resources", "reason"),
    [
        (DECLARED, {}, [], None),
        (DECLARED, {}, [STAY], ("outside-population", "The patient is in hospital now; this is for people at home.")),
        (AT_DISCHARGE, {}, [STAY], None),
        (AT_DISCHARGE, {}, [], ("outside-population", "No stay in hospital is on the chart that could end.")),
        (DECLARED, {"only_with": ("diabetes",)}, [condition("E11.9", ICD10)], None),
        (DECLARED, {"only_with": ("diabetes", "dementia")}, [problem("Asthma")],
         ("outside-population", "None of these is on record: diabetes, dementia.")),
        (DECLARED, {"not_with": ("diabetes",)}, [problem("Asthma")], None),
        (DECLARED, {"not_with": ("diabetes",)}, [condition("E11.9", ICD10)],
         ("outside-population", "Not for people with condition E11.9.")),
        (DECLARED, {"already_done": AlreadyDone(("Talk Now",), 30)}, [referral("talk now", "2026-10-20")], None),
        (DECLARED, {"already_done": AlreadyDone(("Talk Now",), 31)}, [referral("talk now", "2026-10-20")],
         ("already-done", "It is planned or was done (ServiceRequest/s1).")),
    ],
)  # fmt: skip
def test_whom_a_declared_service_is_not_for(
    declared: ServiceFile, changed: Json, resources: list[Json], reason: tuple[str, str] | None
) -> None:
    record = record_of(*resources).with_requested(frozenset({"Condition"}))
    advice = _reason_for_nothing(msgspec.structs.replace(declared, **changed), "s", record)
    assert (advice.silences if advice is not None else None) == ([WhyNot("s", *reason)] if reason is not None else None)


def test_an_order_is_for_the_stay_that_ends_and_due_on_its_day() -> None:
    plain = service_request("Call soon", status="draft", authoredOn="2026-11-20")
    due = plain | {"code": {"text": OFFERED.text}, "occurrenceDateTime": "2026-11-25"}
    of_stay = {"encounter": {"reference": "Encounter/e1"}}
    later, soon = DECLARED.orders
    assert _order(DECLARED, soon, _call()) == plain
    assert _order(DECLARED, later, _call()) == due
    assert _order(DECLARED, soon, _call(encounter="e1")) == plain
    assert _order(AT_DISCHARGE, soon, _call()) == plain
    assert _order(AT_DISCHARGE, later, _call(encounter="e1")) == due | of_stay
    at_once = OfferedOrder("Order it", "Now", 0)
    assert _order(DECLARED, at_once, _call())["occurrenceDateTime"] == AS_OF.date().isoformat()


def test_a_model_is_not_asked_about_people_it_is_not_for() -> None:
    model = load_model("mortality_5y")
    advisor = _ModelAdvisor(OF_MODEL, model, model, features_named(model.features))
    population = model.manifest.population
    young = WOMAN | {"birthDate": "1996-11-20"}
    unknown = {name: value for name, value in WOMAN.items() if name != "birthDate"}
    title = model.manifest.title
    assert advisor._outside(record_of()) is None
    for patient, resources, reason, text in (
        (WOMAN | {"deceasedBoolean": True}, [], "deceased", "The patient has died."),
        (young, [], "outside-population", f"{title}: no score. It is for {population.words}; this person is 30."),
        (unknown, [], "age-unknown", None),
    ):
        record = record_of(*resources, patient=cast("Json", patient))
        silence = advisor._outside(record)
        assert silence is not None
        assert (silence.subject, silence.reason) == ("mortality_5y", reason)
        assert text is None or silence.text == text
        advice = asyncio.run(advisor.decide(cast("Any", SimpleNamespace(record=record))))
        assert (advice.silences, advice.cards, advice.models) == ([silence], [], ())


def test_a_declaration_of_what_is_not_there_is_refused(tmp_path: Path, file: DeclaringFile) -> None:
    strange: Any = SimpleNamespace(features=("age_years", "no_such"), manifest=SimpleNamespace(id="m"))
    for refuse, text in (
        (lambda: _features_of(strange, file), "the model m has inputs that nothing here reads: "),
        (
            lambda: _of_model(msgspec.structs.replace(OF_MODEL, model="none"), file, tmp_path),
            "there is no model 'none'; there are ",
        ),
        (
            lambda: _of_equation(msgspec.structs.replace(DECLARED, equation="none"), file),
            "there is no equation 'none'; there are ",
        ),
        (
            lambda: _of_equation(msgspec.structs.replace(DECLARED, output="none"), file),
            "prevent_base has no output 'none'; it has ",
        ),
    ):
        with pytest.raises(DeclarationError) as refused:
            refuse()
        assert text in str(refused.value)
    assert _of_equation(msgspec.structs.replace(DECLARED, output=None), file).id == "own-service"
    with pytest.raises(AssertionError, match="h reached a service whose model cannot be served"):
        asyncio.run(_never(_call()))
