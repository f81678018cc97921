"""Packages from outside: what the guide's package brings, that people approve it, and what is refused."""

import asyncio
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.card import Card, Indicator, Source
from cards.rules.engine import governance
from cards.rules.engine.governance import SiteRules, Switch, all_rule_versions
from cds_hooks.app import create_app
from cds_hooks.dialects import find_dialects
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.checks import CheckedCall, Shared, choose_cards
from cds_hooks.hold_back.sent_cards import Caller
from cds_hooks.kit.simulator.chart import Chart
from cds_hooks.kit.simulator.request import build_request
from cds_hooks.packages import use_packages
from cds_hooks.pages.doors import all_doors
from cds_hooks.services import find_services
from cds_hooks.settings import Settings
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureFault
from models_onnx import packages
from models_onnx.declarations import declaring_files_of_packages, ids_of_packages
from models_onnx.equations.declaration import equation_reference, find_equations
from models_onnx.errors import DeclarationError
from models_onnx.packages import PackageFault, name_packages
from tests.adding.guide import steps_of
from tests.cds_hooks.access.browsing import BROWSER
from tests.cds_hooks.calls import client, ours
from tests.cds_hooks.hold_back.clicking import ANN, BEN, Desk
from tests.cds_hooks.pages.test_decisions import trust_file_in
from tests.conftest import ROOT
from tests.contracts.contracts import AS_OF
from tests.fhir.builders import medication_order
from tests.live import record_in

SUMMARY = "Takes a sleeping pill. Consider the fall assessment of St. Mary's."
NAME = "st-marys-cds"
RULE = f"package-{NAME}"
TAKES_DIAZEPAM = medication_order(
    {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "197589"}]},
    id="m1",
    authoredOn="2026-11-01",
)


def _installed(folder: Path, groups: str | None = None) -> None:
    """Write the package of the guide as it lies after an installation; `groups` in place of its entry points."""
    for step in steps_of(ROOT / "docs" / "adding" / "package.md"):
        path = folder / (step.path or "").removeprefix(f"{NAME}/")
        if step.path and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.body)
    project = (folder / "pyproject.toml").read_text()
    entries = re.findall(r'^\[project\.entry-points\."(.+)"\]\n(.+) = "(.+)"$', project, re.MULTILINE)
    information = folder / f"{NAME.replace('-', '_')}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n")
    text = "".join(f"[{group}]\n{name} = {module}\n" for group, name, module in entries) if groups is None else groups
    (information / "entry_points.txt").write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of modules; afterwards nothing is left of what was found there."""
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    monkeypatch.setattr(packages, "_loaded", [])
    monkeypatch.setattr(governance, "_further_tables", {})
    features = dict(FEATURES)
    yield tmp_path / "installed"
    FEATURES.clear()
    FEATURES.update(features)
    all_rule_versions.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] == "st_marys_cds"]:
        del sys.modules[module]


@pytest.fixture
def package(folder: Path) -> Path:
    """The package of the guide, named."""
    _installed(folder)
    all_rule_versions.cache_clear()
    use_packages([NAME])
    return folder


def test_every_part_is_there_beside_ours(package: Path) -> None:
    assert "fall-risk" in find_services()
    assert {"wardview", "epic"} <= set(find_dialects())
    assert "takes_sleeping_pill" in FEATURES
    assert "shock_index" in find_equations()
    assert [door.path for door in all_doors() if door.package] == ["/wards"]
    assert ids_of_packages("cds_hooks.dialects") == ["wardview"]
    reference = equation_reference(find_equations()["shock_index"])
    assert re.fullmatch(r"[0-9a-f]{64}", reference["sha256"])
    assert find_services()["fall-risk"].packages_with("wardview", None) == (NAME,)
    assert find_services()["order-safety"].packages_with("standard", None) == ()


def _request(patient: str) -> dict[str, Any]:
    """A call about somebody who takes diazepam."""
    person = {"resourceType": "Patient", "id": patient, "birthDate": "1940-01-01", "gender": "female"}
    order = TAKES_DIAZEPAM | {"subject": {"reference": f"Patient/{patient}"}}
    return build_request(find_services()["fall-risk"].discovery()[0], Chart([person, order]), [])


async def _answer(folder: Path, patient: str = "p1", **settings: Any) -> httpx.Response:
    async with client(folder, as_of=AS_OF, packages=NAME, **settings) as calls:
        return await calls.post("/cds-services/fall-risk", json=_request(patient))


async def test_its_card_is_shown_in_the_development_profile_and_its_check_is_asked(
    package: Path, tmp_path: Path
) -> None:
    shown = await _answer(tmp_path)
    assert [card["summary"] for card in shown.json()["cards"]] == [SUMMARY]
    drill = await _answer(tmp_path, "drill-1")
    assert drill.json()["cards"] == []
    (silence,) = ours(drill)["silence"]
    assert silence["reason"] == "site-check"
    assert "the patient is one of a drill. Another patient, or a warning. (st-marys-cds 1.0 (sha256 " in silence["text"]


def _card(indicator: Indicator = "info", **extension: Any) -> Card:
    return Card(uuid="c1", summary=SUMMARY, indicator=indicator, source=Source(label="x"), **extension)


def _held(site: SiteRules, names: tuple[str, ...], patient: str = "p1", indicator: Indicator = "info") -> list[str]:
    """The reasons against a card behind a trust file."""
    caller = Caller("ehr", patient, "fall-risk", "patient-view")
    call = CheckedCall(caller, AS_OF.timestamp(), site=site, packages=names, shared=Shared(needs_approval=True))
    return [silence.reason for silence in asyncio.run(choose_cards([_card(indicator)], call)).silences]


def test_two_people_approve_exactly_this_version_before_a_card_is_shown(package: Path, tmp_path: Path) -> None:
    desk = Desk(record_in(tmp_path))
    book = ApprovalBook(desk.url, people_log_in=True)
    version = all_rule_versions()[RULE].digest
    for person, reasons in ((None, ["shadow"]), (ANN, ["shadow"]), (BEN, [])):
        if person is not None:
            desk.click(person, name=RULE, version=version)
        book.read()
        assert _held(book.in_force(SiteRules()), (NAME,)) == reasons
        assert _held(book.in_force(SiteRules()), ()) == []
        # its check holds back nothing before, and never a critical card
        assert _held(book.in_force(SiteRules()), (), "drill-1") == ([] if reasons else ["site-check"])
        assert _held(book.in_force(SiteRules()), (), "drill-1", "critical") == []
    (package / "st_marys_cds" / "sleep.py").write_text('"""Changed."""\n')
    use_packages([NAME])
    assert _held(book.in_force(SiteRules()), (NAME,)) == ["shadow"]


def test_the_rules_file_switches_it_off(package: Path) -> None:
    site = SiteRules(switches={RULE: (Switch(RULE, "not on our wards", off=True),)})
    assert "switched-off" in _held(site, (NAME,))


def test_its_page_is_open_to_who_may_read_it_and_closed_before_two_people_approved(
    package: Path, tmp_path: Path
) -> None:
    async def get(**settings: Any) -> list[httpx.Response]:
        async with client(tmp_path, packages=NAME, **settings) as calls:
            return [await calls.get(path, headers=BROWSER) for path in ("/wards", "/", f"/rules/{RULE}")]

    wards, start, rule = asyncio.run(get())
    assert wards.status_code == 200
    assert "Falls and sleeping pills" in wards.text
    for page in (start, rule):
        assert packages.packages()[0].words in page.text
    closed, _, _ = asyncio.run(get(trust_file=trust_file_in(tmp_path)))
    assert closed.status_code == 403
    assert "not approved in this version" in closed.text


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ("", "brings nothing: it has no entry point"),
        ("[cds_hooks.service]\na = st_marys_cds.sleep\n", "did you mean cds_hooks.services?"),
        ("[cds_hooks.services]\na = st_marys_cds.sleep:SERVICE\n", "it must be a module that has SERVICE"),
        ("[cds_hooks.services]\na = cds_hooks.services.order_safety\n", "names our own module"),
        ("[cds_hooks.services]\na = nowhere_at_all.part\n", "there is no module nowhere_at_all"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_refused_with_what_would_do(
    folder: Path, groups: str, sentence: str
) -> None:
    _installed(folder, groups)
    with pytest.raises(PackageFault, match=re.escape(sentence)):
        name_packages([NAME])


@pytest.mark.parametrize("module", ["nowhere", "folder_without_code"])
def test_an_entry_point_of_a_module_that_is_not_there_is_named(folder: Path, module: str) -> None:
    _installed(folder, f"[cds_hooks.services]\na = st_marys_cds.{module}\n")
    (folder / "st_marys_cds" / "folder_without_code").mkdir()
    name_packages([NAME])
    with pytest.raises(DeclarationError, match=rf"st_marys_cds/{module}\.py: there is no such module"):
        list(declaring_files_of_packages("cds_hooks.services"))


def test_a_package_of_one_module_has_the_digest_of_its_file(folder: Path) -> None:
    _installed(folder, "[cds_hooks.services]\na = single_module_of_marys\n")
    digests = set()
    for text in ("A = 1\n", "A = 2\n"):
        (folder / "single_module_of_marys.py").write_text(text)
        importlib.invalidate_caches()
        digests.add(name_packages([NAME])[0].digest)
    assert len(digests) == 2


def test_a_package_that_is_not_installed_is_refused_with_those_that_are(folder: Path) -> None:
    with pytest.raises(PackageFault, match=r"no package 'st-mary' is installed; .*: none$"):
        name_packages(["st-mary"])
    _installed(folder)
    with pytest.raises(PackageFault, match=r"no package 'st-mary' is installed; .*: st-marys-cds"):
        name_packages(["st-mary"])
    assert name_packages([]) == ()


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("wardview", '"plain", shape', '"plane", shape', "wardview.py, line 15: markdown is 'plane'"),
        ("wardview", "DIALECT", "WARDVIEW", "wardview.py, line 1: the file declares no DIALECT"),
        (
            "fall_risk",
            '"fall-risk",\n    hooks',
            '"order-safety",\n    hooks',
            "is already that of cds_hooks/services/",
        ),
        ("shock_index", '"sbp", "sbp"', '"sbp", "spb"', "shock_index.py, line 27: input 'sbp': there is no analyte"),
        ("wards/page", '"/wards", ""', '"/rules", ""', "/rules is the address of another page"),
        ("wards/page", "def routes", "def paths", "the file declares no routes"),
        ("drills", "SiteCheck(title", "dict(title", "CHECK is a dict; it must be a SiteCheck"),
        ("sleep", 'classes=("benzodiazepine", "z_drug")', "classes=3", "sleep.py, line 11: classes is 3"),
    ],
)
def test_a_part_that_cannot_be_used_is_named_with_file_and_line(
    folder: Path, file: str, old: str, new: str, sentence: str
) -> None:
    _installed(folder)
    path = folder / "st_marys_cds" / f"{file}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DeclarationError) as refused:
        create_app(Settings(database_url=record_in(folder), packages=NAME))
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(f"{NAME}: st_marys_cds/") or "order_safety" in str(refused.value)


def test_a_feature_of_the_name_of_one_of_ours_is_refused(folder: Path) -> None:
    _installed(folder)
    path = folder / "st_marys_cds" / "sleep.py"
    path.write_text(path.read_text().replace("takes_sleeping_pill", "takes_statin"))
    with pytest.raises(FeatureFault, match="takes_statin: there is another feature of this name"):
        use_packages([NAME])
