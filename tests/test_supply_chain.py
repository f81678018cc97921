"""What is shipped and of what: the wheel is reproducible, the lists of parts are true, the audit is honest."""

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tests.each import each_row
from tests.test_wheel import built_by_ci


def script(name: str) -> ModuleType:
    """A program of .ci as a module."""
    spec = spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needed(*extras: str) -> dict[str, str]:
    """By name the version of every package that the project needs with these extras, and what these need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    found: dict[str, str] = {}
    waiting: list[tuple[Requirement, frozenset[str]]] = []

    def add(texts: list[str], wanted: frozenset[str]) -> None:
        for text in texts:
            item = Requirement(text)
            if item.marker is None or any(item.marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
                waiting.append((item, frozenset(item.extras)))

    add([*project["dependencies"], *(text for extra in extras for text in optional[extra])], frozenset())
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        item, wanted = waiting.pop()
        if (item.name, wanted) not in seen:
            seen.add((item.name, wanted))
            found[canonicalize_name(item.name)] = importlib.metadata.version(item.name)
            add(importlib.metadata.requires(item.name) or [], wanted)
    return found


@pytest.mark.slow
def test_the_list_of_parts_is_valid_and_says_exactly_what_is_installed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / ".ci/sbom.py", tmp_path], check=True, capture_output=True)
    text = (tmp_path / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = {canonicalize_name(part["name"]): part for part in json.loads(text)["components"]}
    assert {part: found["version"] for part, found in listed.items()} == needed("postgres", "otlp")
    assert all(found["purl"].startswith(f"pkg:pypi/{part}@") for part, found in listed.items())
    assert all(found["externalReferences"][0]["hashes"] for found in listed.values())


@each_row(("packages", "code", "words"))
def test_a_package_that_was_not_looked_up_is_not_called_safe(
    packages: list[dict[str, Any]], code: int, words: str
) -> None:
    sentence, found = script("audit").judged(packages)
    assert found == code
    assert words in sentence


@pytest.mark.slow
def test_the_wheel_is_the_same_bytes_whoever_builds_it_and_when(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, and the wheel is built of a commit")
    before = built_by_ci()
    built = [] if before is None else [(before.name, before.read_bytes())]
    for folder, mask, zone in (("a", 0o022, "UTC"), ("bb", 0o077, "Asia/Tokyo"))[len(built) :]:
        command = ["sh", "requirements/wheel.sh", str(tmp_path / folder)]
        environment = os.environ | {"TZ": zone}
        subprocess.run(command, cwd=ROOT, env=environment, umask=mask, check=True, capture_output=True)
        (wheel,) = (tmp_path / folder).glob("*.whl")
        built.append((wheel.name, wheel.read_bytes()))
    assert built[0] == built[1]
