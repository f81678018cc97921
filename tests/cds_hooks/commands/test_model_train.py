"""`cds-hooks model train`, `evaluate`, `compare`, `retrain`, `recalibrate`, `adopt`: what each asks for and ends with.

What trains is replaced by what notes how it was called: training is tested in tests/models_onnx/workbench/training.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_hooks.commands.model import adopt, renew, train
from cds_hooks.commands.model.main import app
from cds_hooks.settings import Settings, settings
from models_onnx.errors import TrainingRefused
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.spec import REPLICATES, SEED
from models_onnx.workbench.training import commands
from models_onnx.workbench.training.commands import RetrainedComparison
from models_onnx.workbench.training.evaluate import FamilyComparison

DATA = Settings().data_dir
SAME = RetrainedComparison(True, True, "a" * 64, "a" * 64, 10, 0.0001, 0.002)
OTHER = RetrainedComparison(False, True, "b" * 64, "a" * 64, 10, 0.00011, 0.0)


class Called(list[tuple[Any, ...]]):
    """What was called, with its arguments; `answers` are what is returned, `progress` is left out."""

    def __init__(self, **answers: Any) -> None:
        super().__init__()
        self.answers = answers

    def named(self, name: str) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            self.append((name, *(each for each in given if not callable(each)), *more.values()))
            return self.answers.get(name)

        return call


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Called:
    trained = SimpleNamespace(manifest="the manifest", content=b"", folder=Path("own/m"), passed=True)
    calls = Called(train_model=trained, check_model=SAME, evaluate_model=trained, renew=trained)
    for name in ("train_model", "check_model", "evaluate_model", "evaluate_rows"):
        monkeypatch.setattr(commands, name, calls.named(name))
    for module in (train, renew, adopt):
        monkeypatch.setattr(module, "show_evaluation", calls.named("show"))
        monkeypatch.setattr(module, "publish_trained", calls.named("publish"))
    monkeypatch.setattr("models_onnx.workbench.training.renewing.renew", calls.named("renew"))
    monkeypatch.setattr("models_onnx.workbench.release.card.refuse_incomplete_words", calls.named("refuse"))
    monkeypatch.setattr(train, "get_spec", lambda *_: SimpleNamespace(id="m", subgroups={}))
    settings.cache_clear()
    return calls


def run(*words: object) -> tuple[int, str, str]:
    """The exit code of the command as typed after `cds-hooks model`, what was printed, and the errors."""
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_a_model_is_trained_shown_and_published(called: Called, tmp_path: Path) -> None:
    assert run("train", "m") == (0, "", "Written: own/m\n")
    assert called == [
        ("refuse", "m", None, {}),
        ("train_model", "m", DATA, ARTIFACTS, SEED, REPLICATES, None, None),
        ("show", "the manifest", False),
        ("publish", Path("own/m"), None, None),
    ]
    called.clear()
    specs = (
        "--specs",
        tmp_path,
        "--data",
        "tables",
        "--out",
        "own",
        "--seed",
        3,
        "--replicates",
        5,
        "--fhir",
        "charts",
    )
    assert run("train", "m", *specs, "--json")[0] == 0
    assert called == [
        ("refuse", "m", tmp_path, {}),
        ("train_model", "m", Path("tables"), Path("own"), 3, 5, tmp_path, Path("charts")),
        ("show", "the manifest", True),
        ("publish", Path("own/m"), tmp_path, Path("tables")),
    ]


@pytest.mark.parametrize(("comparison", "code"), [(SAME, 0), (OTHER, 1)])
def test_a_check_writes_nothing_and_ends_with_whether_it_is_the_same(
    comparison: RetrainedComparison, code: int, called: Called
) -> None:
    called.answers["check_model"] = comparison
    ended, shown, errors = run("train", "m", "--check", "--json")
    assert (ended, json.loads(shown)["passed"], errors) == (code, code == 0, "")
    assert called == [("check_model", "m", DATA, ARTIFACTS, None)]


@pytest.mark.parametrize("passed", [True, False])
def test_an_evaluation_ends_with_whether_the_floors_hold(
    passed: bool, called: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = load_model("mortality_5y").manifest
    trained = SimpleNamespace(manifest=manifest, content=load_model("mortality_5y").artifact.content, passed=passed)
    called.answers |= {"evaluate_model": trained, "later_figures": {"a": 1}}
    monkeypatch.setattr(commands, "later_figures", called.named("later_figures"))
    monkeypatch.setattr("models_onnx.model_card.evaluation_file.encode_evaluation", lambda later: str(later).encode())
    page, out = tmp_path / "page.html", tmp_path / "later.json"
    assert run("evaluate", "m", "--seed", 7)[0] == int(not passed)
    words = ("--data", "d", "--html", page, "--out", out, "--folder", "own", "--replicates", 9)
    assert run("evaluate", "m", *words)[0] == int(not passed)
    assert called == [
        ("evaluate_model", "m", DATA, 7, REPLICATES, None),
        ("show", manifest, False),
        ("evaluate_model", "m", Path("d"), SEED, 9, None),
        ("later_figures", trained, Path("own")),
        ("show", manifest, False),
    ]
    assert out.read_text() == "{'a': 1}"
    assert page.read_text().count("<svg") > 3


def test_other_rows_are_evaluated_with_a_hundred_groups_and_ten(
    called: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    evaluated = SimpleNamespace(
        bins=lambda count: f"{count} groups", model="model", how="how", whole="whole", subgroups="subgroups",
        later=lambda: "later",
    )  # fmt: skip
    called.answers["evaluate_rows"] = evaluated
    monkeypatch.setattr(train, "_write_page", called.named("page"))
    monkeypatch.setattr(train, "show_other_rows", called.named("rows"))
    monkeypatch.setattr("models_onnx.model_card.evaluation_file.encode_evaluation", str.encode)
    assert run("evaluate", "m", "--rows", "r.csv")[0] == 0
    out = tmp_path / "later.json"
    assert run("evaluate", "m", "--rows", "r.csv", "--data", "d", "--html", "p", "--out", out, "--json")[0] == 0
    assert called == [
        ("evaluate_rows", "m", Path("r.csv"), ARTIFACTS, SEED, REPLICATES, None, DATA),
        ("rows", evaluated, False),
        ("evaluate_rows", "m", Path("r.csv"), ARTIFACTS, SEED, REPLICATES, None, Path("d")),
        ("page", Path("p"), "model", "how", ("100 groups", "10 groups"), "whole", "subgroups"),
        ("rows", evaluated, True),
    ]
    assert out.read_text() == "later"


@pytest.mark.parametrize(("declared", "code"), [("logistic", 0), ("boosted", 1)])
def test_the_comparison_of_families_ends_with_whether_the_declared_one_wins(
    declared: str, code: int, called: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = {"champion": "logistic", "declared": declared}
    called.answers["compare_model"] = FamilyComparison(document)
    monkeypatch.setattr("models_onnx.workbench.training.evaluate.compare_model", called.named("compare_model"))
    monkeypatch.setattr("models_onnx.workbench.release.documentation.families_table", lambda given: f"{given}\n")
    said = f"{document}\nThe champion is logistic; declared is {declared}.\n"
    assert run("compare", "m") == (code, said, "")
    out = tmp_path / "families.json"
    ended, shown, _ = run("compare", "m", "--json", "--out", out, "--data", "d", "--seed", 1, "--replicates", 2)
    assert (ended, json.loads(shown), json.loads(out.read_text())) == (code, document, document)
    assert out.read_text().endswith("}\n")
    assert called == [("compare_model", "m", DATA, SEED, 200, None), ("compare_model", "m", Path("d"), 1, 2, None)]


@pytest.mark.parametrize(
    ("words", "fit"),
    [(("retrain",), "all"), (("recalibrate",), "intercept"), (("recalibrate", "--slope"), "slope")],
)
def test_a_model_is_renewed_beside_the_one_in_use(
    words: tuple[str, ...], fit: str, called: Called, tmp_path: Path
) -> None:
    command, *options = words
    table = ("m", "--table", "tables/m.csv", *options)
    assert run(command, *table, "--folder", "own") == (0, "", "Written: own/m, declared in own\n")
    more = ("--specs", tmp_path, "--version", "2.1.0", "--seed", 4, "--replicates", 6, "--json")
    assert run(command, *table, *more) == (0, "", f"Written: own/m, declared in {tmp_path}\n")
    file = Path("tables/m.csv")
    assert called == [
        ("renew", "m", file, fit, None, Path("own"), Path("own"), SEED, REPLICATES),
        ("show", "the manifest", False),
        ("publish", Path("own/m"), Path("own"), Path("tables")),
        ("renew", "m", file, fit, "2.1.0", ARTIFACTS, tmp_path, 4, 6),
        ("show", "the manifest", True),
        ("publish", Path("own/m"), tmp_path, Path("tables")),
    ]


def test_a_fitted_model_is_adopted_as_it_is_declared(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopt, "_declared", lambda *_: SimpleNamespace(id="m", subgroups={}))
    needed = "--spec names the declaration; cds-hooks model new NAME --folder FOLDER writes one"
    assert run("adopt", "m.skops") == (2, "", f"{needed}\n")
    assert called == []
    assert run("adopt", "m.skops", "--spec", "mine/m.py") == (0, "", "Written: own/m\n")
    assert run("adopt", "m.skops", "--spec", "mine/m.py", "--data", "d", "--seed", 2, "--json")[0] == 0
    mine = Path("mine")
    assert called == [
        ("refuse", "m", mine, {}),
        ("train_model", "m", DATA, ARTIFACTS, SEED, REPLICATES, mine),
        ("show", "the manifest", False),
        ("publish", Path("own/m"), mine, None),
        ("refuse", "m", mine, {}),
        ("train_model", "m", Path("d"), ARTIFACTS, 2, REPLICATES, mine),
        ("show", "the manifest", True),
        ("publish", Path("own/m"), mine, Path("d")),
    ]


def test_what_cannot_be_trained_is_a_sentence(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise TrainingRefused("the table has no column y")

    monkeypatch.setattr(commands, "train_model", refused)
    assert run("train", "m") == (2, "", "the table has no column y\n")
    assert [name for name, *_ in called] == ["refuse"]
