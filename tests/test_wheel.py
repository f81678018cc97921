"""The wheel: everything it needs is in it, and it serves from an empty folder with the runtime lock alone."""

import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.test_packaging import _locked

FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir")


def _ours() -> list[str]:
    """The files of the four floors that are, or are about to be, committed."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of the sources")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in answer.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in _ours():
        target = folder / "sources" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), "sources"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    shutil.rmtree(folder / "sources")
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_floors_but_the_shim_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {name for name in _ours() if name.split("/")[0] in FLOORS} - {"fhir/__init__.py"}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and the packages of requirements/runtime.txt, and no others.

    The packages are links to those already installed here; `.ci/run` installs them from the lock for real.
    """
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = (environment / "lib").glob("python3*/site-packages")
    for name in _locked("runtime.txt"):
        _link(name, packages)
    command = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*command, "--no-index", "--no-deps", "--no-compile", str(wheel)], check=True)
    return environment


def _link(name: str, packages: Path) -> None:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return  # locked for another platform
    here = Path(str(distribution.locate_file("")))
    for file in distribution.files or ():
        # Two levels deep, because our own packages go into the library's folder `fhir` (docs/decisions/0001).
        parts = file.parts[: 2 if file.parts[0] == "fhir" else 1]
        target = packages.joinpath(*parts)
        if ".." not in parts and not target.exists():
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(here.joinpath(*parts))


@pytest.fixture
def served(installed: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a server that runs from the wheel in an empty folder, and that folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CDS_", "PYTHON"))}
    command = [str(installed / "bin" / "cds-hooks"), "serve", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=clean, stdout=log, stderr=log)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/readyz", server, tmp_path / "log")
        yield f"http://127.0.0.1:{port}", tmp_path
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0, (tmp_path / "log").read_text()


def _wait_until_ready(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text()
        try:
            httpx.get(address, timeout=1).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the server from the wheel did not become ready: {log.read_text()}")
