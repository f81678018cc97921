"""The TRIPOD+AI list: every item of the statement, filled from card and manifest or left open for the authors."""

import json

import msgspec

from models_onnx.artifact.folder import CARD, read_manifest
from models_onnx.artifact.manifest import Manifest, Provenance
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.release.tripod import tripod_list

HOME = ARTIFACTS / "readmission_30d"
PARTS = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
"""Items of table 2 of the statement that have parts, and how many."""


def filled(manifest: Manifest) -> dict[str, str]:
    """What is reported, by item; empty where it is open."""
    lines = tripod_list(json.loads((HOME / CARD).read_text()), manifest).splitlines()
    rows = [line.strip("| ").split(" | ", 3) for line in lines if line.startswith("| ")][1:]
    return {row[0]: "" if row[3].startswith("*Open") else row[3] for row in rows if row[0] != "---"}


def test_the_list_has_every_item_and_figures_of_the_model() -> None:
    reported = filled(read_manifest(HOME))
    labels = [f"{item}{part}" for item in range(1, 28) for part in ("abcdefg"[: PARTS.get(item, 0)] or [""])]
    assert list(reported) == labels
    assert len(labels) == 52
    assert "79,156 stays with 8,952 events for 21 inputs; Riley's criteria ask for 5,219 people" in reported["10"]
    assert "AUROC 0.666 (0.659 to 0.673)" in reported["23a"]
    assert {item for item, text in reported.items() if not text} >= {"2", "17", "18b", "18c", "18d", "25"}


def test_what_nobody_knows_of_an_adopted_model_stays_open() -> None:
    adopted = msgspec.structs.replace(read_manifest(HOME), provenance=Provenance("", "12 people of ours"))
    reported = filled(adopted)
    assert not reported["9a"]
    assert not reported["13"]
    assert "Fitted on: not known." in reported["5a"]
    assert reported["4"].startswith("Evaluation of a model that was fitted elsewhere")
