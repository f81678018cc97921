"""Where a model comes from: commit, lock, packages and declaration, written into its manifest when it is trained."""

import hashlib
import shutil
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path

import models_onnx
from models_onnx.artifact.manifest import Lineage
from models_onnx.spec import Fitted, ModelSpec, OwnEstimator, find_specs

_PACKAGE = Path(models_onnx.__file__).parent
_CHECKOUT = _PACKAGE.parent
_LOCK = _CHECKOUT / "requirements" / "dev.txt"
# What may have fitted a model of one's own: the module that is loaded then, and the packages that it may come from.
_FITTED_WITH = {
    "lightgbm": ("lightgbm",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "interpret": ("interpret-core", "interpret"),
    "skops": ("skops",),
    "statsmodels": ("statsmodels",),
}
_CHANGED = ", with changes that are not in it"


def lineage_of(spec: ModelSpec, specs: Path | None = None) -> Lineage:
    """Return what this declaration's model is made with, here and now; `specs` as where the declaration was found."""
    packages = installed_packages()
    declaration = _declaration(spec, specs)
    return Lineage(
        code=code_version(),
        declaration_sha256=_digest(declaration) if declaration is not None else "",
        fitted_sha256=_fitted_digest(spec),
        lock_sha256=_digest(_LOCK) if _LOCK.is_file() else "",
        packages_sha256=hashlib.sha256("\n".join(packages).encode()).hexdigest(),
        packages=len(packages),
    )


def fitted_with(spec: ModelSpec) -> dict[str, str]:
    """List the libraries, by version, that may have fitted a model of one's own; none for this project's families."""
    if not isinstance(spec.estimator, OwnEstimator | Fitted):
        return {}
    there = {distribution.name.lower(): distribution.version for distribution in distributions() if distribution.name}
    loaded = [packages for module, packages in _FITTED_WITH.items() if module in sys.modules]
    return {name: there[name] for packages in loaded for name in packages if name in there}


def installed_packages() -> list[str]:
    """Return every installed package as `name==version`, sorted."""
    return sorted(
        {
            f"{distribution.name.lower().replace('_', '-')}=={distribution.version}"
            for distribution in distributions()
            if distribution.name
        }
    )


def code_version(checkout: Path = _CHECKOUT) -> str:
    """Return the commit of the checkout that runs, and whether its files differ from it; else the installed version."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return f"cds-hooks-onnx {version('cds-hooks-onnx')}, installed"
    commit = _git(git, checkout, "rev-parse", "HEAD")
    if not commit:
        return f"cds-hooks-onnx {version('cds-hooks-onnx')}, of a checkout without a commit"
    changed = _git(git, checkout, "status", "--porcelain", "--untracked-files=no")
    return f"commit {commit}{_CHANGED if changed else ''}"


def _git(git: str, checkout: Path, *words: str) -> str:
    # only `git`, in the folder of this package, with words of this module
    done = subprocess.run([git, "-C", str(checkout), *words], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else ""


def _declaration(spec: ModelSpec, specs: Path | None) -> Path | None:
    """Return the file that declares the model, or the one whose twin it is."""
    names = [spec.id, *(model.id for model in find_specs(specs).values() if model.twin == spec.id)]
    folders = [*([specs] if specs is not None else []), _PACKAGE / "models"]
    paths = (folder / f"{name}.py" for folder in folders for name in names)
    return next((path for path in paths if path.is_file()), None)


def _fitted_digest(spec: ModelSpec) -> str:
    if not isinstance(spec.estimator, Fitted):
        return ""
    source = (spec.estimator.folder or Path()) / spec.estimator.source
    if source.is_file():
        return _digest(source)
    module = source.with_name(f"{spec.estimator.source.partition(':')[0]}.py")
    return _digest(module) if module.is_file() else ""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
