"""What is written of where a model comes from: each part of it, and where there is nothing of it."""

import hashlib
from pathlib import Path

import models_onnx
from models_onnx.models.mortality_5y import SPEC
from models_onnx.workbench.training.commands import code_version, installed_packages, lineage_of

PACKAGE = Path(models_onnx.__file__).parent


def digest(path: Path) -> str:
    """The digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_of_the_package_is_made_with_its_declaration_the_lock_and_the_packages_of_here() -> None:
    packages = installed_packages()
    made = lineage_of(SPEC)
    assert made.code == code_version()
    assert made.declaration_sha256 == digest(PACKAGE / "models" / "mortality_5y.py")
    assert made.fitted_sha256 == ""
    assert made.lock_sha256 == digest(PACKAGE.parent / "requirements" / "dev.txt")
    assert made.packages_sha256 == hashlib.sha256("\n".join(packages).encode()).hexdigest()
    assert made.packages == len(packages)
