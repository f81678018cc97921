"""The page of a model: everything of its manifest that a reader needs, and gaps said as gaps."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx
import orjson
import pytest
from msgspec.structs import replace

from cds_hooks.pages.model_files import ModelFiles, evidence_of
from cds_hooks.pages.models.views import performance
from cds_hooks.settings import Settings
from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card.attributes import PREDICTIVE
from models_onnx.serving.registry import ARTIFACTS, model_ids
from tests.cds_hooks.calls import client
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.pages.rendered import model_page
from tests.cds_hooks.web.decisions import SITE
from tests.contracts.markup import Page, faults

NAME = "mortality_5y"


def _manifest() -> Manifest:
    manifest = ModelFiles(None).manifest(NAME)
    assert manifest is not None
    return manifest


def test_the_page_is_as_a_page_must_be() -> None:
    assert faults(model_page(SITE, _manifest())) == []


def test_every_group_stands_with_its_people_and_its_figures_or_with_not_enough_data() -> None:
    page = Page(model_page(SITE, _manifest()))
    groups = performance(_manifest()).groups
    assert groups
    for group in groups:
        row = page.row(f"{group.name} | {group.every.people:,}, {group.every.events:,} | ")
        assert ("not enough data" in row) or (group.every.happened is not None and group.every.ranking is not None)
        if group.every.ranking is not None:
            assert f"{100 * group.every.ranking.value:.0f} (" in row


def test_every_bin_input_and_exclusion_has_its_row() -> None:
    page, manifest = Page(model_page(SITE, _manifest())), _manifest()
    for each in manifest.reference.bins:
        assert page.row(f"{100 * each.predicted:.1f}", f"{100 * each.rate:.1f}", f"{each.count:,}")
    for feature in manifest.features:
        assert page.row(feature.loinc[0] if feature.loinc else feature.fhir)
    for step in manifest.cohort.exclusions:
        assert page.row(step.words, f"{step.count:,}")


def test_the_threshold_of_this_server_is_marked_in_the_table_of_capacities() -> None:
    assert Page(model_page(SITE, _manifest())).row("as it is here").startswith("10 as it is here | ")
    stricter = Page(model_page(replace(SITE, alert_share=0.05), _manifest()))
    assert stricter.row("as set here").startswith("5 as set here | ")


# The model card over HTTP: on the model's page, and in the two forms that machines read.
async def _get(folder: Path, path: str) -> httpx.Response:
    async with client(folder) as calls:
        return await calls.get(path)


async def test_the_page_of_a_model_shows_every_attribute_its_state_and_its_gates(tmp_path: Path) -> None:
    answer = await _get(tmp_path, "/models/mortality_5y")
    assert answer.status_code == 200
    assert faults(answer.text) == []
    for attribute in PREDICTIVE:
        assert f"<dt>{attribute.number} {attribute.title}</dt>" in answer.text
    assert "<dt>Digest of its release</dt>" in answer.text
    assert "Did it pass its gates?" in answer.text


@pytest.mark.parametrize(("form", "media"), [("json", "application/json"), ("chai.xml", "application/xml")])
async def test_the_card_is_served_in_each_form(tmp_path: Path, form: str, media: str) -> None:
    answer = await _get(tmp_path, f"/models/mortality_5y/card.{form}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media)
    if form == "json":
        assert json.loads(answer.content)["kind"] == "predictive"
    else:
        assert b"<AppliedModelCard" in answer.content


@pytest.mark.parametrize(
    "path", ["mortality_5y/card.exe", "mortality_5y/card.fhir.json", "no_such/card.json", "..%2Fmortality_5y/card.json"]
)
async def test_another_form_or_model_is_not_found(tmp_path: Path, path: str) -> None:
    assert (await _get(tmp_path, f"/models/{path}")).status_code == 404


MODEL_FILES_NAME = "readmission_30d_early"
BESIDE = f"{MODEL_FILES_NAME}@0.9.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the site with a version beside a model."""
    shutil.copytree(ARTIFACTS / MODEL_FILES_NAME, tmp_path / BESIDE)
    return tmp_path


def test_a_folder_of_the_site_adds_versions_beside_the_models(folder: Path) -> None:
    files = ModelFiles(folder)
    assert files.names() == sorted(model_ids())
    assert (files.folder(BESIDE), files.folder(MODEL_FILES_NAME), files.folder("none")) == (
        folder / BESIDE,
        ARTIFACTS / MODEL_FILES_NAME,
        None,
    )
    assert list(files.manifests()) == files.names()


def test_a_model_of_the_site_takes_the_place_of_the_one_of_the_package(tmp_path: Path) -> None:
    shutil.copytree(ARTIFACTS / MODEL_FILES_NAME, tmp_path / MODEL_FILES_NAME)
    assert ModelFiles(tmp_path).folder(MODEL_FILES_NAME) in (ARTIFACTS / MODEL_FILES_NAME, tmp_path / MODEL_FILES_NAME)
    assert ModelFiles(tmp_path).names() == sorted(model_ids())


def test_what_cannot_be_read_is_logged_once_and_there_is_none_of_it(folder: Path) -> None:
    for name in ("manifest.json", "gates.json", "model.onnx", "release.json"):
        (folder / BESIDE / name).write_bytes(b"{")
    files = ModelFiles(folder)
    with capture_logs() as lines:
        for _ in range(2):
            assert (files.manifest(BESIDE), files.card(BESIDE), files.release(BESIDE)) == (None, None, None)
            assert files.gates(BESIDE) == []
    assert [line["event"] for line in lines] == [
        "manifest refused",
        "card refused",
        "release refused",
        "gates refused",
    ]
    assert {line["level"] for line in lines} == {"error"}
    assert (files.manifest("none"), files.gates("none")) == (None, [])


def test_a_card_has_two_forms_the_second_by_the_clock_of_the_calls() -> None:
    files, settings = ModelFiles(None), Settings(as_of=datetime(2026, 11, 20, 9, tzinfo=UTC))
    written = files.card_as(MODEL_FILES_NAME, "json", settings)
    assert written is not None
    assert (orjson.loads(written[0]), written[1]) == (files.card(MODEL_FILES_NAME), "application/json")
    xml = files.card_as(MODEL_FILES_NAME, "chai.xml", settings)
    assert xml is not None
    assert (b"2026-11-20" in xml[0], xml[1]) == (True, "application/xml")
    for form in ("pdf", "fhir.json"):
        assert files.card_as(MODEL_FILES_NAME, form, settings) is None
    assert files.card_as("none", "json", settings) is None


def test_the_documents_of_a_rule_are_those_of_its_table() -> None:
    assert evidence_of("no-such-rule") == ()
    assert evidence_of("renal-metformin")
