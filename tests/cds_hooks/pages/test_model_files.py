"""What is read of the folders of models: which there are, and the card of a version."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from cds_hooks.pages.model_files import ModelFiles, evidence_of
from cds_hooks.settings import Settings
from models_onnx.serving.registry import ARTIFACTS, model_ids
from tests.cds_hooks.logged import capture_logs

NAME = "readmission_30d_early"
BESIDE = f"{NAME}@0.9.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the site with a version beside a model."""
    shutil.copytree(ARTIFACTS / NAME, tmp_path / BESIDE)
    return tmp_path


def test_a_folder_of_the_site_adds_versions_beside_the_models(folder: Path) -> None:
    files = ModelFiles(folder)
    assert files.names() == sorted(model_ids())
    assert (files.folder(BESIDE), files.folder(NAME), files.folder("none")) == (folder / BESIDE, ARTIFACTS / NAME, None)
    assert list(files.manifests()) == files.names()


def test_a_model_of_the_site_takes_the_place_of_the_one_of_the_package(tmp_path: Path) -> None:
    shutil.copytree(ARTIFACTS / NAME, tmp_path / NAME)
    assert ModelFiles(tmp_path).folder(NAME) in (ARTIFACTS / NAME, tmp_path / NAME)
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
    written = files.card_as(NAME, "json", settings)
    assert written is not None
    assert (orjson.loads(written[0]), written[1]) == (files.card(NAME), "application/json")
    xml = files.card_as(NAME, "chai.xml", settings)
    assert xml is not None
    assert (b"2026-11-20" in xml[0], xml[1]) == (True, "application/xml")
    for form in ("pdf", "fhir.json"):
        assert files.card_as(NAME, form, settings) is None
    assert files.card_as("none", "json", settings) is None


def test_the_documents_of_a_rule_are_those_of_its_table() -> None:
    assert evidence_of("no-such-rule") == ()
    assert evidence_of("renal-metformin")
