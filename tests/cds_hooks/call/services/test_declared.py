"""Services that a site declares as data: found, answered like any other, and refused with file, line and fault."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cards.card import Card, check_card
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.services import find_services
from cds_hooks.samples import load_patient
from cds_hooks.tools.kit.simulator.chart import Chart, resources_of
from cds_hooks.tools.kit.simulator.request import build_request
from models_onnx.errors import DeclarationError
from tests.cds_hooks.calls import client, ours
from tests.each import each_row, for_rows

OF_MODEL = """
id = "home-visit"
hook = "encounter-discharge"
model = "readmission_30d"
share = 0.2
title = "Who may need a visit at home"
description = "Estimates the chance of readmission within 30 days of a stay with diabetes."
usage_requirements = "For care managers at discharge; never shown to patients."
summary = "Readmission within 30 days: {estimate} (higher than {higher} in 100 of stays). Consider a visit at home."
seen = "came back"
alike = "stays like this one"
closing = "For planning after discharge, not for emergencies."
only_with = ["diabetes"]

[[orders]]
label = "Order a visit at home"
text = "Visit at home within 5 days of discharge"
in_days = 5
"""
OF_EQUATION = """
id = "heart-talk"
hook = "patient-view"
equation = "prevent_base"
output = "ascvd|10y"
least = 0.10
title = "Who may benefit from a talk about the heart"
description = "Estimates the 10-year risk with PREVENT and, from 10 in 100 on, suggests a talk with the nurse."
usage_requirements = "For nurses at an outpatient visit; never shown to patients."
summary = "Heart attack or stroke within 10 years: {value} ({band} risk). Consider a talk with the nurse."
not_with = ["dementia"]

[[orders]]
label = "Order a talk with the nurse"
text = "Talk with the nurse about the heart"

[[orders]]
label = "Plan a call"
text = "Call by the nurse"
in_days = 14

[already_done]
words = ["talk with the nurse"]
days = 365
"""


def folder_with(folder: Path, text: str, name: str = "own") -> Path:
    """A folder of a site with one declared service."""
    models = folder / "models"
    models.mkdir(exist_ok=True)
    (models / f"{name}.service.toml").write_text(text, encoding="utf-8")
    return models


async def answer(folder: Path, text: str, sample: str, as_of: datetime, change: Any = None) -> Any:
    """What the declared service answers about a sample patient, over the protocol."""
    models = folder_with(folder, text)
    found = find_services(file="separate", site_folder=models)
    (service,) = [found[name] for name in set(found) - set(find_services(file="separate"))]
    (entry,) = service.discovery()
    request = build_request(entry, Chart(resources_of(load_patient(sample, as_of))), [])
    if change is not None:
        change(request["prefetch"])
    async with client(folder, as_of=as_of, models_folder=models) as calls:
        listed = (await calls.get("/cds-services")).json()["services"]
        assert service.id in [each["id"] for each in listed]
        return await calls.post(f"/cds-services/{service.id}", json=request)


def fault(folder: Path, text: str) -> str:
    """The error that the declaration ends with."""
    with pytest.raises(DeclarationError) as refused:
        find_services(file="separate", site_folder=folder_with(folder, text))
    return str(refused.value)


async def test_a_model_speaks_in_the_words_of_the_file_and_offers_its_order(tmp_path: Path, as_of: datetime) -> None:
    (card,) = (await answer(tmp_path, OF_MODEL, "going-home-diabetes", as_of)).json()["cards"]
    check_card(msgspec.convert(card, Card))
    assert card["summary"].startswith("Readmission within 30 days: ")
    assert card["summary"].endswith("Consider a visit at home.")
    assert card["source"]["topic"]["code"] == "home-visit"
    (suggestion,) = card["suggestions"]
    order = suggestion["actions"][0]["resource"]
    assert suggestion["label"] == "Order a visit at home"
    assert order["code"]["text"] == "Visit at home within 5 days of discharge"
    assert order["occurrenceDateTime"] == "2026-11-25"
    assert order["status"] == "draft"
    assert order["encounter"]["reference"] == "Encounter/going-home-diabetes-stay"
    assert card["extension"]["org.cds-hooks-onnx"]["model"]["id"] == "readmission_30d"


async def test_an_equation_speaks_from_the_declared_value_on(tmp_path: Path, as_of: datetime) -> None:
    (card,) = (await answer(tmp_path, OF_EQUATION, "diabetes-no-statin", as_of)).json()["cards"]
    assert card["summary"] == (
        "Heart attack or stroke within 10 years: 18 in 100 (high risk). Consider a talk with the nurse."
    )
    assert [each["label"] for each in card["suggestions"]] == ["Order a talk with the nurse", "Plan a call"]


async def test_below_the_declared_value_the_reason_is_said(tmp_path: Path, as_of: datetime) -> None:
    told = await answer(tmp_path, OF_EQUATION.replace("least = 0.10", "least = 0.5"), "diabetes-no-statin", as_of)
    assert told.json()["cards"] == []
    assert [each["reason"] for each in ours(told)["silence"]] == ["below-threshold"]


@pytest.mark.parametrize(("sample", "reason"), [("hospice", "palliative"), ("deceased", "deceased")])
async def test_who_is_past_such_advice_gets_none(sample: str, reason: str, tmp_path: Path, as_of: datetime) -> None:
    told = await answer(tmp_path, OF_EQUATION, sample, as_of)
    assert told.json()["cards"] == []
    assert reason in [each["reason"] for each in ours(told)["silence"]]


async def test_a_condition_that_was_not_sent_is_not_known_rather_than_absent(tmp_path: Path, as_of: datetime) -> None:
    told = await answer(tmp_path, OF_EQUATION, "diabetes-no-statin", as_of, lambda prefetch: prefetch.pop("conditions"))
    assert told.json()["cards"] == []
    assert ours(told)["silence"][0]["reason"] == "input-missing"


async def test_a_card_is_for_people_with_one_of_the_named_conditions(tmp_path: Path, as_of: datetime) -> None:
    text = OF_EQUATION.replace('not_with = ["dementia"]', 'only_with = ["dementia"]')
    told = await answer(tmp_path, text, "diabetes-no-statin", as_of)
    assert [each["reason"] for each in ours(told)["silence"]] == ["outside-population"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('id = "home-visit"', 'id = "order-safety"', "the id 'order-safety' is already that of another service"),
        ('id = "home-visit"', 'id = "Home Visit"', "docs/adding/model.md lists the members"),
        ('model = "readmission_30d"', 'model = "sepsis"', "line 4: there is no model 'sepsis'; there are mortality"),
        (
            '"encounter-discharge"',
            '"order-sign"',
            "line 3: `hook` must be 'encounter-discharge' or 'patient-view'; received 'order-sign'",
        ),
        ("share = 0.2", "share = 2", "share"),
        ('"encounter-discharge"', '"patient-view"', "line 3: patient-view is for people who are not in hospital, and"),
        ("share = 0.2", "sahre = 0.2", "line 5: `sahre` is not a known member; the nearest known one is `share`"),
        ("share = 0.2", "least = 0.2", "line 5: least is for an equation"),
        ('["diabetes"]', '["diabetis"]', "only_with: there is no group of conditions 'diabetis'"),
        ("{estimate}", "{estimat}", "summary has no place for {estimat}; there are estimate, higher"),
        ("{estimate}", "{estimate", "summary: "),
        ("{estimate} (higher than {higher} in 100 of stays)", "high", "summary does not say the result"),
        ("Consider a visit at home.", "A visit at home.", "summary does not say 'consider'"),
        ("Consider a visit at home.", f"Consider {'a visit ' * 9}.", "is the most"),
        ('"came back"', '" "', "seen has no words"),
        ('"Order a visit at home"', '" "', "label has no words"),
        ('"stays like this one"', '"stays\\u202e like this one"', "alike has a character that cannot be seen (U+202E)"),
        ('"stays like this one"', '"stays\\u0000 like this one"', "alike has a character that cannot be seen (U+0000)"),
        ("For planning after", "For {estimate} after", "closing has braces: only the summary has places"),
        ("title = ", "title = = ", "the file is not valid TOML"),
        ("share = 0.2", "share = " + "[" * 5_000, "the file is not valid TOML"),
        ("share = 0.2", "share = " + "9" * 5_000, "the file is not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in OF_MODEL
    text = fault(tmp_path, OF_MODEL.replace(old, new, 1))
    assert text.startswith("own.service.toml, line ")
    assert said in text


@each_row(("old", "new", "said"))
def test_a_mistake_about_an_equation_is_named(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in OF_EQUATION
    assert said in fault(tmp_path, OF_EQUATION.replace(old, new, 1))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"CDS_MODELS_FOLDER: the folder .*nowhere is not there"):
        find_services(file="separate", site_folder=tmp_path / "nowhere")


async def test_a_model_of_the_folder_whose_files_were_changed_is_out_and_the_others_go_on(
    tmp_path: Path, as_of: datetime
) -> None:
    models = folder_with(tmp_path, OF_MODEL.replace("readmission_30d", "own_30d"))
    (models / "own_30d").mkdir()
    (models / "own_30d" / "manifest.json").write_text("{}", encoding="utf-8")
    async with client(tmp_path, as_of=as_of, models_folder=models) as calls:
        ready, out, other, listed = [
            await calls.get(path) for path in ("/readyz", "/models/own_30d", "/models/mortality_5y", "/models")
        ]
    assert "own_30d" in ready.text
    assert [out.status_code, other.status_code, listed.status_code] == [503, 200, 200]


WITHIN_AGES = """
id = "time-ahead"
hook = "patient-view"
model = "mortality_5y"
within_age_band = true
title = "Who may want to talk about the time ahead"
description = "Estimates the chance of death within 5 years and suggests a talk."
usage_requirements = "For clinicians at an outpatient visit; never shown to patients."
summary = "Death within 5 years: {estimate} (higher than {higher} in 100 of adults). Consider a talk."

[[orders]]
label = "Plan a talk"
text = "Talk about the time ahead"
"""


@each_row(("old", "new", "said"))
def test_a_mistake_about_thresholds_within_ages_is_named(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert said in fault(tmp_path, WITHIN_AGES.replace(old, new, 1))


@for_rows(("members", "said"))
def test_needs_that_no_template_can_bring_are_refused(members: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        Needs.of(**members)
