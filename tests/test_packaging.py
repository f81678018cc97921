"""What is committed: locks that pin by hash, nothing of one machine in the files, nobody else's data."""

import hashlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tests.each import for_rows
from tests.licensed import licensed_in

PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<rest>.*)$")
INSTALLS_THE_PROJECT_ITSELF = {"setuptools", "wheel"}
# Put together here, so that this file does not name what it looks for.
REGISTRY_HOSTS = {".".join(name) for name in (("pypi", "org"), ("files", "pythonhosted", "org"), ("npmjs", "org"))}
OF_ONE_MACHINE = re.compile(r"(?<![\w.~*-])/(?:work|root|home|Users|mnt)/[\w.]")


def _tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of what is committed")
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [path for name in answer.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def _texts() -> Iterator[tuple[str, str]]:
    for path in _tracked():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def locked_packages(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock file."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        if match := PINNED.match(line):
            versions.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    return versions


def _wanted(name: str) -> list[Requirement]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


def _project() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"runtime": project["dependencies"], **project["optional-dependencies"]}


@for_rows(
    "lock",
    ["runtime.txt", "kit.txt", "dev.txt"],
)
def test_every_package_in_a_lock_is_pinned_with_its_hashes_and_without_an_address(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    assert "://" not in text, "a lock records no address"
    lines = text.replace("\\\n", " ").splitlines()
    packages = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert packages
    unpinned = [line[:60] for line in packages if not (PINNED.match(line) and "--hash=sha256:" in line)]
    assert unpinned == []


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt"])
def test_a_package_has_one_version_for_every_python(lock: str) -> None:
    assert {name: versions for name, versions in locked_packages(lock).items() if len(versions) > 1} == {}


@for_rows("lock", ["runtime.txt", "kit.txt"])
def test_the_development_lock_holds_the_others_at_the_same_versions(lock: str) -> None:
    development = locked_packages("dev.txt")
    assert {name: development.get(name) for name in locked_packages(lock)} == locked_packages(lock)


def test_every_lock_that_the_image_installs_goes_into_its_build() -> None:
    """What the .dockerignore leaves out cannot be copied: the build ends there."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    (copied,) = re.findall(r"^COPY (requirements/.*) requirements/$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert [name for name in copied.split() if f"!{name}" not in ignored] == []


def test_the_runtime_lock_is_made_from_what_pyproject_depends_on() -> None:
    declared = {str(Requirement(text)) for kind in ("runtime", "postgres", "otlp") for text in _project()[kind]}
    assert {str(item) for item in _wanted("runtime.in") if item.name not in INSTALLS_THE_PROJECT_ITSELF} == declared


def test_no_file_names_a_package_registry() -> None:
    hosts = REGISTRY_HOSTS | _configured_hosts()
    lines = [f"{name}: {host}" for name, text in _texts() for host in hosts if host in text]
    assert lines == []


def _configured_hosts() -> set[str]:
    """The hosts that this machine's own pip is set to, if any."""
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    return set(re.findall(r"https?://(?:[^@/\s']*@)?([^/:\s']+)", answer.stdout)) - {"localhost", "127.0.0.1"}


def test_no_file_holds_an_absolute_path_of_one_machine() -> None:
    found = [f"{name}: {match.group()}" for name, text in _texts() for match in OF_ONE_MACHINE.finditer(text)]
    assert found == []


@pytest.mark.outside_data
def test_no_file_of_the_data_folder_is_committed(data_folder: Path) -> None:
    theirs = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path.name
        for folder in ("fhir", "tabular", "cases")
        for path in (data_folder / folder).rglob("*")
        if path.is_file()
    }
    assert theirs
    ours = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in _tracked()}
    assert [str(ours[digest].relative_to(ROOT)) for digest in ours.keys() & theirs.keys()] == []


@pytest.mark.outside_data
def test_no_official_example_and_no_schema_of_the_spec_folder_is_committed(spec_folder: Path) -> None:
    theirs = {hashlib.sha256(path.read_bytes()).hexdigest() for path in spec_folder.rglob("*.json")}
    assert theirs
    assert [path for path in _tracked() if hashlib.sha256(path.read_bytes()).hexdigest() in theirs] == []


@pytest.mark.slow
def test_no_file_of_a_licensed_release_is_in_a_package() -> None:
    floors = [
        path for path in _tracked() if path.relative_to(ROOT).parts[0] in ("fhir", "cards", "models_onnx", "cds_hooks")
    ]
    licensed = {str(path.relative_to(ROOT)): licensed_in(path.name, path.read_bytes()) for path in floors}
    assert len(licensed) > 1000
    assert {name: forms for name, forms in licensed.items() if forms} == {}
