"""`cds-hooks model compile`: a file of another library in, an explained one out, or a sentence and nothing."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner, Result

from cds_hooks.commands.model.main import app

NAMES = ("age_years", "bun_mg_dl", "sbp_mmhg")

MODEL = f"""tree
version=v4
num_class=1
num_tree_per_iteration=1
objective=binary sigmoid:1
feature_names={" ".join(NAMES)}

Tree=0
num_leaves=4
split_feature=0 1 2
threshold=0.105 -0.305 0.555
decision_type=2 2 0
left_child=1 -1 -2
right_child=2 -3 -4
leaf_value=-0.8 0.3 -0.1 0.9
is_linear=0

end of trees

parameters:
[boosting: gbdt]
end of parameters
"""
"""As LightGBM writes a tree of three questions."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LightGBM file, reference rows and a card."""
    made = tmp_path_factory.mktemp("compile")
    draw = np.random.default_rng(5)
    X = draw.normal(size=(400, 3)).round(2)
    y = (X[:, 0] + draw.normal(size=400) > 0).astype(int)
    (made / "model.txt").write_text(MODEL)
    lines = [",".join([*NAMES, "died"]), *(f"{a},{b},{c},{d}" for (a, b, c), d in zip(X, y, strict=True))]
    (made / "rows.csv").write_text("\n".join(lines) + "\n")
    (made / "card.json").write_text('{"title": "Invented"}')
    return made


def run(folder: Path, model: str = "model.txt", *more: str) -> Result:
    """The command with the folder's files."""
    files = ["--reference", str(folder / "rows.csv"), "--card", str(folder / "card.json")]
    return CliRunner().invoke(app, ["compile", str(folder / model), *files, "--out", str(folder / "out.onnx"), *more])


def test_a_file_is_written_that_says_what_it_is_and_why(folder: Path) -> None:
    told = run(folder, "model.txt", "--outcome", "died", "--group", "rest=bun_mg_dl,sbp_mmhg", "--json")
    assert told.exit_code == 0, told.stderr
    report = json.loads(told.stdout)
    assert report["groups"] == ["age_years", "rest"]
    assert report["agreement"]["contribution"] < 1e-5
    session = onnxruntime.InferenceSession(folder / "out.onnx", providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["model_card"]) == {"title": "Invented"}
    assert said["model_id"] == "out"
    assert "sha256" in run(folder).stdout


def test_the_report_of_a_file_says_what_was_proven(folder: Path) -> None:
    told = run(folder, "model.txt", "--name", "m", "--version", "1.2.0").stdout
    for words in ("boosted trees, 3 inputs, explained as 3", "rows of the proof: ", "largest difference: probability "):
        assert words in told, told
    session = onnxruntime.InferenceSession(folder / "out.onnx", providers=["CPUExecutionProvider"])
    written = session.get_modelmeta().custom_metadata_map
    assert (written["model_id"], written["model_version"]) == ("m", "1.2.0")


@pytest.mark.parametrize("group", ["rest", "=age_years", "rest="])
def test_a_group_has_a_name_and_inputs(group: str, folder: Path) -> None:
    assert f"--group {group}: write NAME=INPUT,INPUT" in run(folder, "model.txt", "--group", group).stderr


@pytest.mark.parametrize(("text", "words"), [("[1]", "is not a model card"), ("{", "is not JSON")])
def test_a_card_is_a_json_object(text: str, words: str, folder: Path) -> None:
    (folder / "odd.json").write_text(text)
    assert words in " ".join(run(folder, "model.txt", "--card", str(folder / "odd.json")).stderr.split())


@pytest.mark.parametrize(
    ("model", "more", "word"),
    [
        ("card.json", (), "not an XGBoost model"),
        ("none.txt", (), "not there"),
        ("model.txt", ("--outcome", "age"), "no column age"),
        ("model.txt", ("--group", "rest"), "NAME=INPUT"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_written(
    model: str, more: tuple[str, ...], word: str, folder: Path
) -> None:
    (folder / "out.onnx").unlink(missing_ok=True)
    told = run(folder, model, *more)
    assert told.exit_code == 2
    assert word in told.stderr
    assert not (folder / "out.onnx").exists()


def test_a_file_without_names_takes_them_from_the_command_line(folder: Path) -> None:
    text = (folder / "model.txt").read_text()
    (folder / "unnamed.txt").write_text(text.replace(" ".join(NAMES), "Column_0 Column_1 Column_2"))
    assert "no column Column_0" in run(folder, "unnamed.txt").stderr
    told = run(folder, "unnamed.txt", "--features", ",".join(NAMES), "--json")
    assert json.loads(told.stdout)["features"] == list(NAMES)
    assert run(folder, "unnamed.txt", "--features", "age_years").exit_code == 2


def test_a_pickle_is_refused_in_a_sentence(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"\x80\x04\x95")
    told = run(folder, "model.pkl")
    assert told.exit_code == 2
    assert "pickle" in told.stderr


def test_an_empty_card_is_refused(folder: Path) -> None:
    (folder / "empty.json").write_text("{}")
    told = run(folder, "model.txt", "--card", str(folder / "empty.json"))
    assert told.exit_code == 2
    assert "model card" in told.stderr
