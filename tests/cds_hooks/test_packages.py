"""The package of the guide behind a trust file: two people approve exactly its version before it says anything."""

import asyncio
import re
import shutil
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import httpx
import pytest

from cards.card import Card, Source
from cards.rules.engine.governance import SiteRules, Switch, all_rule_versions
from cds_hooks.call.hold_back.checks import Caller, CheckedCall, choose_cards
from cds_hooks.call.hold_back.visit import CardNotes
from cds_hooks.people.governance.approvals import ApprovalBook
from cds_hooks.settings.packages import use_packages
from models_onnx.packages import PackageFault, name_packages
from tests.cds_hooks.call.services.chart_cases import AS_OF
from tests.cds_hooks.calls import client, ours, request_for
from tests.cds_hooks.people.governance.clicking import ANN, BEN, Desk
from tests.conftest import ROOT
from tests.live import record_in

NAME = "st-marys-cds"
RULE = f"package-{NAME}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of the guide as it lies after an installation."""
    folder = tmp_path / "installed"
    shutil.copytree(ROOT / "docs" / "adding" / NAME, folder)
    project = (folder / "pyproject.toml").read_text()
    entries = re.findall(r'^\[project\.entry-points\."(.+)"\]\n(.+) = "(.+)"$', project, re.MULTILINE)
    information = folder / f"{NAME.replace('-', '_')}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n")
    text = "".join(f"[{group}]\n{name} = {module}\n" for group, name, module in entries)
    (information / "entry_points.txt").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def _in_a_process_of_its_own(asked: Callable[..., None], *arguments: Path) -> None:
    """A package that was named once stays for the life of its process."""
    process = get_context("spawn").Process(target=asked, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0, "the traceback is in the captured errors"


def _held(site: SiteRules, *names: str) -> list[str]:
    """The reasons against a card behind a trust file."""
    caller = Caller("ehr", "p1", "fall-risk", "patient-view")
    notes = {"c1": CardNotes(packages=names)}
    call = CheckedCall(caller, 1_795_000_000.0, site=site, notes=notes, needs_approval=True)
    card = Card(uuid="c1", summary="A sentence.", indicator="info", source=Source(label="x"))
    asyncio.run(choose_cards([card], call))
    return [silence.reason for silence in call.withheld.values()]


def _two_people_approve(folder: Path, record: Path) -> None:
    use_packages([NAME])
    desk = Desk(record_in(record))
    book = ApprovalBook(desk.url, people_log_in=True)
    version = all_rule_versions()[RULE].digest
    for person, reasons in ((None, ["shadow"]), (ANN, ["shadow"]), (BEN, [])):
        if person is not None:
            desk.click(person, name=RULE, version=version)
        book.read()
        site = book.in_force(SiteRules())
        assert _held(site, NAME) == reasons
        assert _held(site) == [], "a card of no package waits for nobody"
    (folder / "st_marys_cds" / "sleep.py").write_text('"""Changed."""\n')
    use_packages([NAME])
    assert _held(book.in_force(SiteRules()), NAME) == ["shadow"]
    site = SiteRules(switches={RULE: (Switch(rule=RULE, note="not on our wards", off=True),)})
    assert "switched-off" in _held(site, NAME)


@pytest.mark.slow
def test_two_people_approve_exactly_this_version_before_a_card_is_shown_and_the_rules_file_switches_it_off(
    folder: Path, tmp_path: Path
) -> None:
    _in_a_process_of_its_own(_two_people_approve, folder, tmp_path)


def _answer_of_both(folder: Path, record: Path, fault: str) -> httpx.Response:
    """The answer of the package's advisor, in which this line stands first, and of the vaccines in one service."""
    advisor = folder / "st_marys_cds" / "fall_risk.py"
    advisor.write_text(
        advisor.read_text().replace("    vector = map_features", f"    {fault}\n    vector = map_features")
    )
    services = record / "services.toml"
    services.write_text('[[service]]\nid = "opening"\nadvisors = ["fall-risk", "vaccines-due"]\n')
    request = request_for("vaccines-due", "patient-view", "sparse-record", AS_OF, None)

    async def ask() -> httpx.Response:
        async with client(record, packages=NAME, services=str(services), as_of=AS_OF) as calls:
            return await calls.post("/cds-services/opening", json=request)

    answer = asyncio.run(ask())
    assert [card["summary"].split()[1] for card in answer.json()["cards"]] == ["vaccines"]
    return answer


def _one_fails(folder: Path, record: Path) -> None:
    answer = _answer_of_both(folder, record, "raise KeyError(call)")
    (silence,) = [silence for silence in ours(answer)["silence"] if silence["reason"] == "failed"]
    assert silence["subject"] == "fall-risk"
    assert silence["text"].startswith("Falls and sleeping pills: this was not judged")


def _a_shorter_form_fails(folder: Path, record: Path) -> None:
    long = 'Card(uuid=call.card_uuid(), summary="A.", detail="a " * 300, indicator="info", source=Source(label="x"))'
    answer = _answer_of_both(folder, record, f"a = Advice(); a.add({long}, shorten=lambda: 1 / 0); return a")
    assert [silence["reason"] for silence in ours(answer)["silence"] if silence["subject"] == "fall-risk"] == [
        "worklist"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("asked", [_one_fails, _a_shorter_form_fails])
def test_an_advisor_that_fails_costs_only_itself_with_a_silence_that_names_it(
    folder: Path, tmp_path: Path, asked: Callable[..., None]
) -> None:
    _in_a_process_of_its_own(asked, folder, tmp_path)


@pytest.mark.usefixtures("folder")
def test_a_package_that_is_not_installed_is_refused_with_those_that_are() -> None:
    with pytest.raises(PackageFault, match=r"no package 'st-mary' is installed. .*: st-marys-cds"):
        name_packages(["st-mary"])
