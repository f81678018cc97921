"""Hooks that a site declares: read, answered, listed; and a sentence for each way of declaring one wrongly."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from cds_hooks.call.protocol.hooks.declared import DeclaredHook, WrongDeclaration, read_declarations
from cds_hooks.call.protocol.request import read_context
from cds_hooks.call.services import find_services
from cds_hooks.errors import BadRequest
from cds_hooks.evidence.storage.decision import read_basis
from tests.cds_hooks.call.services.chart_cases import AS_OF
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.each import each_row
from tests.live import record_in
from tests.recorded import list_decisions

NAME = "org.example.ward-round-start"
GOOD: dict[str, Any] = {
    "name": NAME, "version": "1.0", "like": "patient-view", "services": [PLANNING],
    "field": [{"name": "wardId", "type": "string", "required": True, "token": True},
              {"name": "encounterId", "type": "string", "required": True}, {"name": "beds", "type": "array"},
              {"name": "plan", "type": "object"}, {"name": "round", "type": "number"},
              {"name": "urgent", "type": "boolean"}],
}  # fmt: skip
CONTEXT = {"userId": "Practitioner/1", "patientId": "p1", "encounterId": "e1", "wardId": "w1"}
TOML = f"""
[[hook]]
name = "{NAME}"
version = "1.0"
like = "patient-view"
services = ["{PLANNING}"]

[[hook.field]]
name = "wardId"
type = "string"
required = true
token = true
"""


def declared(folder: Path, *hooks: dict[str, Any]) -> list[DeclaredHook]:
    """The declarations of a file with these hooks."""
    file = folder / "hooks.toml"
    file.write_text(f"hook = {toml(hooks)}")
    return read_declarations(file)


def toml(value: Any) -> str:
    """A value of JSON on one line of TOML."""
    if isinstance(value, dict):
        members = ", ".join(f"{name} = {toml(member)}" for name, member in value.items())
        return f"{{{members}}}"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list | tuple) else json.dumps(value)


def test_a_declared_hook_has_the_fields_of_the_one_it_extends_and_its_own(tmp_path: Path) -> None:
    (found,) = declared(tmp_path, GOOD)
    assert dict(found.hook.fields) == {
        "patientId": True, "userId": True, "encounterId": True, "wardId": True, "beds": False, "plan": False,
        "round": False, "urgent": False,
    }  # fmt: skip
    assert found.hook.tokens == {"userId", "patientId", "encounterId", "wardId"}
    context: Any = read_context(
        found.hook, Raw(json.dumps(CONTEXT | {"plan": {"a": 1}, "round": 2, "beds": [1]}).encode())
    )
    assert (context.wardId, context.patient_id, bytes(context.plan)) == ("w1", "p1", b'{"a": 1}')


@pytest.mark.parametrize(
    "change", [{"wardId": None}, {"wardId": 7}, {"wardId": " "}, {"plan": []}, {"urgent": "yes"}, {"encounterId": None}]
)
def test_a_call_that_does_not_fit_the_declaration_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (found,) = declared(tmp_path, GOOD)
    (name,) = change
    with pytest.raises(BadRequest, match=name):
        read_context(found.hook, Raw(json.dumps(CONTEXT | change).encode()))


async def test_a_service_is_listed_under_it_and_answers_it(tmp_path: Path, as_of: datetime) -> None:
    file = tmp_path / "hooks.toml"
    file.write_text(TOML)
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    request |= {"hook": NAME, "context": request["context"] | {"wardId": "w1"}}
    async with client(tmp_path, as_of=as_of, models_folder=tmp_path, protocol_version="3.0") as calls:
        listed = (await calls.get("/cds-services")).json()["services"]
        answer = await calls.post(f"/cds-services/{PLANNING}", json=request)
        del request["context"]["wardId"]
        refused = await calls.post(f"/cds-services/{PLANNING}", json=request)
    entry = next(each for each in listed if each["hook"] == NAME)
    assert (entry["id"], entry["hookVersion"]) == (f"{PLANNING}-{NAME}", "1.0")
    assert len(answer.json()["cards"]) == 1
    assert refused.status_code == 400
    assert "wardId" in refused.text


async def test_an_opening_under_a_hook_of_the_site_shows_what_patient_view_shows(tmp_path: Path) -> None:
    file = tmp_path / "hooks.toml"
    file.write_text(TOML.replace(PLANNING, "chart-opening"))
    shown: dict[str, list[list[str]]] = {}
    async with client(tmp_path, as_of=AS_OF, services=None, models_folder=tmp_path) as calls:
        for sample in ("diabetes-no-statin", "nsaid-egfr-25", "fatty-liver"):
            request = request_for("chart-opening", "patient-view", sample, AS_OF, None)
            for hook in ("patient-view", NAME):
                own = request | {"hook": hook, "context": request["context"] | {"wardId": "w1"}}
                answer = await calls.post("/cds-services/chart-opening", json=own)
                shown.setdefault(hook, []).append([card["detail"] for card in answer.json()["cards"]])
    assert shown[NAME] == shown["patient-view"]
    assert any(len(details) > 1 for details in shown[NAME])
    on_record = list_decisions(record_in(tmp_path))  # from which other workers know what an opening showed
    assert {read_basis(decision.basis).moment or decision.hook for decision in on_record} == {"patient-view"}


@each_row(("change", "said"))
def test_a_wrong_declaration_is_refused_with_a_sentence(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongDeclaration, match=said):
        declared(tmp_path, GOOD | change)


@pytest.mark.parametrize("name", ["name", "version", "like", "services"])
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongDeclaration, match=f"{name}` is required and missing"):
        declared(tmp_path, {key: value for key, value in GOOD.items() if key != name})


def test_one_name_is_declared_once(tmp_path: Path) -> None:
    with pytest.raises(WrongDeclaration, match="declared twice"):
        declared(tmp_path, GOOD, GOOD)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("hooks.toml", "[[hook]", "not valid TOML"),
        ("hooks.toml", "hook = " + "[" * 5_000, "not valid TOML"),
        ("hooks.toml", "hook = " + "9" * 5_000, "not valid TOML"),
        ("hooks.toml", "hook = 7", "`hook` must be a list"),
        ("hooks.toml", "\xff", "hooks.toml"),
        ("hooks.json", "{}", "write the hooks as hooks.toml"),
    ],
)
def test_a_file_that_cannot_be_used_is_said(tmp_path: Path, file: str, text: str, said: str) -> None:
    (tmp_path / file).write_bytes(text.encode("latin-1"))
    with pytest.raises(WrongDeclaration, match=said):
        read_declarations(tmp_path / file)
    with pytest.raises(WrongDeclaration, match="is not there"):
        read_declarations(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"services": ["nobody"]}, "there is no service nobody"), ({"like": "order-sign"}, "does not answer order-sign")],
)
def test_a_service_that_cannot_answer_is_said(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongDeclaration, match=said):
        find_services(declared(tmp_path, GOOD | {"field": []} | change))
