"""What is written of where a model comes from: each part of it, and where there is nothing of it."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import lightgbm
import pytest

import models_onnx
from models_onnx.models.mortality_5y import SPEC, TWIN
from models_onnx.spec import Fitted, ModelSpec, OwnEstimator
from models_onnx.workbench.training import commands
from models_onnx.workbench.training.commands import code_version, fitted_with, installed_packages, lineage_of

PACKAGE = Path(models_onnx.__file__).parent
INSTALLED = f"cds-hooks-onnx {version('cds-hooks-onnx')}"


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """No package is installed: to list them takes longest."""
    monkeypatch.setattr(commands, "distributions", list)


def digest(path: Path) -> str:
    """The digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def with_estimator(estimator: object) -> ModelSpec:
    """A declaration with this estimator."""
    inputs = tuple(replace(item, clip_high=None) for item in SPEC.inputs)
    return replace(SPEC, inputs=inputs, estimator=estimator)


def test_a_model_of_the_package_is_made_with_its_declaration_the_lock_and_the_packages_of_here() -> None:
    packages = installed_packages()
    made = lineage_of(SPEC)
    assert made.code == code_version()
    assert made.declaration_sha256 == digest(PACKAGE / "models" / "mortality_5y.py")
    assert made.fitted_sha256 == ""
    assert made.lock_sha256 == digest(PACKAGE.parent / "requirements" / "dev.txt")
    assert made.packages_sha256 == hashlib.sha256("\n".join(packages).encode()).hexdigest()
    assert made.packages == len(packages)


def test_packages_are_listed_once_in_order_under_one_spelling() -> None:
    packages = installed_packages()
    assert packages == sorted(set(packages))
    assert {f"{name}=={version(name)}" for name in ("numpy", "scikit-learn", "cds-hooks-onnx")} <= set(packages)
    names = [package.partition("==")[0] for package in packages]
    assert names == [name.lower().replace("_", "-") for name in names]


@pytest.mark.usefixtures("without_packages")
def test_a_twin_is_declared_in_the_file_of_the_model_whose_twin_it_is_and_a_stranger_nowhere(tmp_path: Path) -> None:
    assert lineage_of(TWIN).declaration_sha256 == digest(PACKAGE / "models" / "mortality_5y.py")
    assert lineage_of(replace(SPEC, id="stranger")).declaration_sha256 == ""
    assert lineage_of(SPEC, tmp_path).declaration_sha256 == digest(PACKAGE / "models" / "mortality_5y.py")


@pytest.mark.usefixtures("without_packages")
def test_without_a_lock_beside_the_package_there_is_no_digest_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_LOCK", tmp_path / "dev.txt")
    assert lineage_of(SPEC).lock_sha256 == ""


@pytest.mark.usefixtures("without_packages")
def test_what_was_fitted_elsewhere_has_the_digest_of_its_file_or_of_the_file_of_its_function(tmp_path: Path) -> None:
    for name in ("model.txt", "_fit.py"):
        (tmp_path / name).write_text(f"this is {name}")
    sources = {"model.txt": "model.txt", "_fit:model": "_fit.py", "other.txt": None, "_other:model": None}
    for source, file in sources.items():
        spec = with_estimator(Fitted(source, trained_on="others", folder=tmp_path))
        assert lineage_of(spec).fitted_sha256 == (digest(tmp_path / file) if file else "")


@pytest.mark.usefixtures("without_packages")
def test_a_fitted_file_without_a_folder_is_beside_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.txt").write_text("trees")
    monkeypatch.chdir(tmp_path)
    spec = with_estimator(Fitted("model.txt", trained_on="others"))
    assert lineage_of(spec).fitted_sha256 == digest(tmp_path / "model.txt")


def test_libraries_that_are_loaded_may_have_fitted_a_model_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lightgbm.__name__ in sys.modules
    for name in ("xgboost", "interpret", "statsmodels"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    own = with_estimator(OwnEstimator(lightgbm.LGBMClassifier()))
    elsewhere = with_estimator(Fitted("model.txt", trained_on="others"))
    for spec in (own, elsewhere):
        assert fitted_with(spec) == {"lightgbm": version("lightgbm")}
    assert fitted_with(SPEC) == {}
    monkeypatch.delitem(sys.modules, "lightgbm")
    assert fitted_with(own) == {}


def test_a_checkout_without_a_commit_a_folder_and_a_computer_without_git_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code_version(tmp_path) == f"{INSTALLED}, installed"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert code_version(tmp_path) == f"{INSTALLED}, of a checkout without a commit"
    (tmp_path / "unknown.py").write_text("")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(tmp_path), *who, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert code_version(tmp_path) == f"commit {head.stdout.strip()}", "a file that git does not keep is no change"
    monkeypatch.setenv("PATH", "")
    assert code_version(tmp_path) == f"{INSTALLED}, installed"
