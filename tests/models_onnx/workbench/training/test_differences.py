"""What differs between two trainings is named where it stands; groups of rows by their estimates; and sample sizes."""

from typing import Any

import msgspec

from models_onnx.artifact.folder import read_manifest
from models_onnx.artifact.manifest import Manifest
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.training.commands import RetrainedComparison
from models_onnx.workbench.training.pipeline import differences

STORED = read_manifest(ARTIFACTS / "mortality_5y")


def changed(**members: Any) -> Manifest:
    """The committed manifest with these members."""
    return msgspec.structs.replace(STORED, **members)


def evaluated(**figures: Any) -> Manifest:
    """The committed manifest with these figures."""
    return changed(evaluation={**STORED.evaluation, **figures})


def test_a_number_differs_by_more_than_two_thousandths_of_itself_or_of_one() -> None:
    for stored, trained, expected in (
        (10.02, 10.0, []),
        (9.979, 10.0, ["base is 9.979 and should be 10"]),
        (-10.021, -10.0, ["base is -10.021 and should be -10"]),
        (0.502, 0.5003, []),
        (0.503, 0.5, ["base is 0.503 and should be 0.5"]),
    ):
        assert differences(changed(base=stored), changed(base=trained)) == expected


def test_texts_lists_and_members_differ_where_they_stand_and_five_are_enough() -> None:
    assert differences(STORED, STORED) == []
    long = "x" * 70
    assert differences(changed(title=long), changed(title="y")) == [f"title is {long[:60]!r} and should be 'y'"]
    (not_for,) = differences(changed(not_for=("a", "b")), changed(not_for=("a",)))
    assert not_for.startswith("not_for is ")
    groups: list[dict[str, Any]] = [{"group": "f", "n": 5}, {"name": "m", "n": 6}, {"n": 7}]
    moved = [{**group, "n": group["n"] + 1} for group in groups]
    assert differences(evaluated(x=groups), evaluated(x=moved)) == [
        "evaluation.x[f].n is 5 and should be 6",
        "evaluation.x[m].n is 6 and should be 7",
        "evaluation.x[2].n is 7 and should be 8",
    ]
    assert len(differences(evaluated(x=list(range(9))), evaluated(x=list(range(1, 10))))) == 5
    assert differences(evaluated(x=1), evaluated(y=1)) == [
        "evaluation.x is '1' and should be 'None'",
        "evaluation.y is 'None' and should be '1'",
    ]


def test_a_figure_that_groups_of_older_manifests_lack_is_no_difference() -> None:
    older, newer = [{"group": "f", "n": 1}], [{"group": "f", "n": 1, "calibration_slope": 1.0}]
    assert differences(evaluated(subgroups=older), evaluated(subgroups=newer)) == []
    expected = "evaluation.subgroups[f].calibration_slope is '1.0' and should be 'None'"
    assert differences(evaluated(subgroups=newer), evaluated(subgroups=older)) == [expected]
    expected = "evaluation.x[f].calibration_slope is 'None' and should be '1.0'"
    assert differences(evaluated(x=older), evaluated(x=newer)) == [expected]


def test_a_training_agrees_up_to_what_another_processor_may_change() -> None:
    for probability, auroc, passed in ((1e-4, 0.002, True), (1.01e-4, 0.0, False), (0.0, 0.00201, False)):
        assert RetrainedComparison(False, False, "", "", 1, probability, auroc).passed == passed
