"""The wheel: everything it needs is in it, and it serves from an empty folder with the runtime lock alone."""

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import ROOT
from tests.fhir.builders import medication_order
from tests.licensed import licensed_in
from tests.live import free_port
from tests.test_packaging import locked_packages
from tests.waiting import until

pytestmark = pytest.mark.slow

FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir")


def _ours() -> list[str]:
    """The files of the four floors that are, or are about to be, committed."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of the sources")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in answer.stdout.split("\0") if name and (ROOT / name).is_file()]


def built_by_ci(folder: str = "") -> Path | None:
    """The wheel that `.ci/run` has built of the commit; None where nobody did."""
    return next((Path(os.environ["BUILT_WHEELS"]) / folder).glob("*.whl")) if "BUILT_WHEELS" in os.environ else None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources, so that nothing is left in the checkout."""
    if (before := built_by_ci()) is not None:
        return before
    folder = tmp_path_factory.mktemp("wheel")
    for name in _ours():
        target = folder / "sources" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    sources = os.environ | {"PYTHONPATH": str(folder / "sources")}
    subprocess.run([sys.executable, "-m", "maintenance.reference"], cwd=folder, env=sources, check=True)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), "sources"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    shutil.rmtree(folder / "sources")
    (built,) = folder.glob("*.whl")
    return built


def test_nothing_of_a_licensed_release_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        licensed = {name: licensed_in(name, content.read(name)) for name in content.namelist()}
    assert {name: forms for name, forms in licensed.items() if forms} == {}


def test_the_wheel_holds_every_file_of_the_floors_but_the_shim_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    packed = {name for name in packed if not name.startswith("cds_hooks/people/web/docs/")}  # the next test
    packed.discard("cds_hooks/call/protocol/_members.abi3.so")  # built where a compiler is
    assert packed == {name for name in _ours() if name.split("/")[0] in FLOORS} - {"fhir/__init__.py"}


def test_the_wheel_has_every_page_of_the_documentation(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    pages = {name for name in names if name.startswith("cds_hooks/people/web/docs/") and name.endswith(".md")}
    written = {f"cds_hooks/people/web/{name}" for name in _ours() if name.startswith("docs/") and name.endswith(".md")}
    assert written <= pages
    for made in ("settings", "conformance", "reference/cli", "rules/renal"):
        assert f"cds_hooks/people/web/docs/{made}.md" in pages


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and the packages of requirements/runtime.txt, and no others.

    The packages are links to those already installed here; `.ci/run` installs them from the lock for real.
    """
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = (environment / "lib").glob("python3*/site-packages")
    for name in locked_packages("runtime.txt"):
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


def _clean() -> dict[str, str]:
    """The environment without what would lead to the sources."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CDS_", "PYTHON", "XDG_"))}


@dataclass(frozen=True)
class Served:
    """A server that runs from the wheel in an empty folder, with an empty home folder."""

    program: Path
    address: str
    folder: Path
    home: Path
    environment: dict[str, str]

    def call(self, *options: str) -> list[dict[str, Any]]:
        """The cards that `cds-hooks call` brought back."""
        command = [str(self.program), "call", "--json", "--url", self.address, *options]
        answer = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True
        )
        return [card for line in answer.stdout.splitlines() for card in json.loads(line)["answer"]["cards"]]


@pytest.fixture(scope="module")
def served(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running server; it must end with exit code 0 when asked to."""
    folder, home = tmp_path_factory.mktemp("empty"), tmp_path_factory.mktemp("home")
    port = free_port()
    clean = _clean() | {"HOME": str(home)}
    program, log = installed / "bin" / "cds-hooks", home.parent / "server.log"
    with log.open("w") as output:
        command = [str(program), "serve", "--port", str(port)]
        server = subprocess.Popen(command, cwd=folder, env=clean, stdout=output, stderr=output)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/readyz", server, log)
        yield Served(program, f"http://127.0.0.1:{port}", folder, home, clean)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=180) == 0, log.read_text()


def test_the_installed_wheel_is_found_outside_the_sources(installed: Path, tmp_path: Path) -> None:
    program = "import cds_hooks, cards, models_onnx, fhir.record as f, fhir.resources.R4B.patient; "
    program += "print(*(module.__file__ for module in (cds_hooks, cards, models_onnx, f)), sep='\\n')"
    command = [str(installed / "bin" / "python"), "-c", program]
    answer = subprocess.run(command, cwd=tmp_path, env=_clean(), capture_output=True, text=True, check=True)
    assert len(answer.stdout.split()) == 4
    assert all(Path(line).is_relative_to(installed) for line in answer.stdout.split())


def test_discovery_answers_from_an_empty_folder(served: Served) -> None:
    answer = httpx.get(f"{served.address}/cds-services")
    assert answer.status_code == 200
    assert {service["hook"] for service in answer.json()["services"]} >= {"patient-view", "order-select"}


def _models(cards: list[dict[str, Any]]) -> set[str]:
    """The models whose estimates are on the cards."""
    return {card["extension"]["org.cds-hooks-onnx"].get("model", {}).get("id") for card in cards}


def test_a_sample_patient_gets_a_model_card_from_the_wheel(served: Served) -> None:
    assert "mortality_5y" in _models(served.call("sample:planning-talk"))


def test_a_published_equation_and_its_file_come_with_the_wheel(served: Served) -> None:
    assert "prevent_base" in _models(served.call("sample:diabetes-no-statin"))
    page = httpx.get(f"{served.address}/equations/prevent_base", follow_redirects=True)
    assert page.status_code == 200


def test_a_drafted_order_gets_a_card_from_the_wheel(served: Served) -> None:
    draft = medication_order("metformin 500 mg tablet", status="draft", patient="any")
    file = served.home / "draft.json"
    file.write_text(json.dumps(draft))
    (card,) = served.call("sample:ckd4-metformin", "--draft", str(file))
    file.unlink()
    assert card["extension"]["org.cds-hooks-onnx"]["findings"]


def test_the_page_behind_a_card_comes_from_the_wheel(served: Served) -> None:
    card = served.call("sample:planning-talk")[0]
    page = httpx.get(served.address + urlsplit(card["links"][0]["url"]).path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


def test_the_documentation_comes_from_the_wheel(served: Served) -> None:
    for path in ("/docs/", "/docs/settings.html", "/docs/search?q=trust+file"):
        assert httpx.get(f"{served.address}{path}").status_code == 200


def test_serving_writes_to_its_own_folder_and_nowhere_else(served: Served) -> None:
    served.call("sample:planning-talk")
    assert {path.name for path in served.folder.iterdir()} == {"var"}
    # onnxruntime leaves a device id here unless it is told not to (models_onnx/__init__.py).
    assert list(served.home.iterdir()) == []


def _wait_until_ready(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    def is_ready() -> bool:
        assert server.poll() is None, log.read_text()
        try:
            return httpx.get(address).is_success
        except httpx.HTTPError:
            return False

    until(is_ready, "the server from the wheel did not become ready")
