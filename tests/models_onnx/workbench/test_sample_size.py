"""The people that a model needs, against the figures of the authors' own program."""

import pytest
from typer.testing import CliRunner

from cds_hooks import cli
from models_onnx.errors import TrainingRefused
from models_onnx.workbench.sample_size import r2_of, sample_size


def test_the_published_example_of_a_binary_outcome() -> None:
    size = sample_size(0.174, 24, r2=0.288)  # pmsampsize, the package of Riley et al., help page: 623, 662 and 221
    assert (size.shrinkage, size.optimism, size.overall_risk, size.people) == (623, 662, 221, 662)


def test_a_better_model_has_a_higher_r2_which_never_passes_its_limit() -> None:
    values = [r2_of(auroc, 0.2) for auroc in (0.51, 0.6, 0.7, 0.8, 0.9, 0.99)]
    assert values == sorted(values)
    assert 0 < values[0] < 0.001
    assert values[-1] < 0.64
    assert sample_size(0.2, 10, auroc=0.8).people > sample_size(0.2, 10, auroc=0.9).overall_risk


@pytest.mark.parametrize(
    ("prevalence", "auroc", "r2", "says"),
    [
        (0.0, 0.8, None, "must be between 0 and 1"),
        (0.2, None, None, "either the AUROC"),
        (0.2, 0.8, 0.2, "either the AUROC"),
        (0.2, 0.5, None, "must be above 0.5"),
        (0.2, None, 0.9, "cannot be: with this outcome it is between 0 and 0.632"),
    ],
)
def test_figures_that_cannot_be_are_refused(
    prevalence: float, auroc: float | None, r2: float | None, says: str
) -> None:
    with pytest.raises(TrainingRefused, match=says):
        sample_size(prevalence, 10, auroc, r2)


def test_the_command_says_people_and_events() -> None:
    words = ["model", "sample-size", "--prevalence", "0.174", "--parameters", "24", "--r2", "0.288"]
    told = CliRunner().invoke(cli.app, words)
    assert told.exit_code == 0, told.output
    assert "662 people, of whom 116 with the outcome" in told.output
