"""The model card over HTTP: on the model's page, and in the two forms that machines read."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from cds_hooks.package_tests.markup import faults
from models_onnx.model_card.attributes import PREDICTIVE
from tests.cds_hooks.calls import client


def _get(folder: Path, path: str) -> httpx.Response:
    async def call() -> httpx.Response:
        async with client(folder) as calls:
            return await calls.get(path)

    return asyncio.run(call())


def test_the_page_of_a_model_shows_every_attribute_its_state_and_its_gates(tmp_path: Path) -> None:
    answer = _get(tmp_path, "/models/mortality_5y")
    assert answer.status_code == 200
    assert faults(answer.text) == []
    for attribute in PREDICTIVE:
        assert f"<dt>{attribute.number} {attribute.title}</dt>" in answer.text
    assert "<dt>Digest of its release</dt>" in answer.text
    assert "Did it pass its gates?" in answer.text


@pytest.mark.parametrize(("form", "media"), [("json", "application/json"), ("chai.xml", "application/xml")])
def test_the_card_is_served_in_each_form(tmp_path: Path, form: str, media: str) -> None:
    answer = _get(tmp_path, f"/models/mortality_5y/card.{form}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media)
    if form == "json":
        assert json.loads(answer.content)["kind"] == "predictive"
    else:
        assert b"<AppliedModelCard" in answer.content


@pytest.mark.parametrize(
    "path", ["mortality_5y/card.exe", "mortality_5y/card.fhir.json", "no_such/card.json", "..%2Fmortality_5y/card.json"]
)
def test_another_form_or_model_is_not_found(tmp_path: Path, path: str) -> None:
    assert _get(tmp_path, f"/models/{path}").status_code == 404
