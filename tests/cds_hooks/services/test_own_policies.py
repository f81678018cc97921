"""A payer's own policies at a site: versions, two approvals, switches, and the pages of rules."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cards.coverage.approval import policy_tables
from cards.coverage.policy import Policies, PolicyFault, load_policies
from cards.rules.engine.governance import all_rule_versions, govern
from cds_hooks.cli import app
from cds_hooks.hold_back.checks import Shared
from cds_hooks.services import _coverage
from tests.cds_hooks.calls import client
from tests.cds_hooks.services.coverage_calls import (
    Json,
    ask,
    coverage,
    decided,
    extensions_of,
    order,
    patient,
    reasons_of,
)
from tests.cds_hooks.services.test_crd_requirements import own_folder
from tests.live import serving

ORDERS = [order("B4150", insurance=[]), order("J0585", place="22", insurance=[])]
CHART = [patient(), coverage(payor="Own Health Plan", plan="Gold"), coverage("cov2")]
ENTERAL, TOXIN = "DeviceRequest/order-b4150", "ServiceRequest/order-j0585"


@pytest.fixture(name="rules")
def policies_of_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Policies]:
    """The payer's policies are in use as those of this site."""
    rules = load_policies(own_folder(tmp_path / "coverage"))
    monkeypatch.setattr(_coverage, "policies", lambda: rules)
    govern("coverage", policy_tables(rules))
    yield rules
    govern("coverage", ())


def answers(folder: Path, **settings: object) -> tuple[dict[str, list[Json]], list[str]]:
    """What is decided of two orders under two coverages, and why the rest is not said."""
    folder.mkdir()
    response = asyncio.run(ask(folder, {"x": (ORDERS, CHART)}, settings=settings))["x"]
    return {name: [decided(one) for one in found] for name, found in extensions_of(response).items()}, reasons_of(
        response
    )


@pytest.mark.usefixtures("rules")
def test_a_policy_is_switched_off_as_a_rule_is_and_the_others_still_answer(tmp_path: Path) -> None:
    asked = {"covered": "conditional", "pa-needed": "auth-needed", "doc-needed": "clinical"}
    before, _ = answers(tmp_path / "before")
    assert before == {ENTERAL: [asked], TOXIN: [asked, {"covered": "covered", "pa-needed": "no-auth"}]}
    file = tmp_path / "rules.toml"
    file.write_text('version = 1\n[[switch]]\nrule = "payer-own-b"\noff = true\nnote = "the table is under revision"\n')
    after, reasons = answers(tmp_path / "after", rules_file=file)
    assert after == {TOXIN: before[TOXIN]}
    assert "switched-off" in reasons


def test_each_policy_has_a_version_that_any_change_of_its_row_or_criteria_replaces(
    rules: Policies, tmp_path: Path
) -> None:
    own = {rule: version.digest for rule, version in all_rule_versions().items() if rule.startswith("payer-")}
    assert set(own) == {"payer-own-b", "payer-own-v", "payer-own-j"}
    text = (tmp_path / "coverage" / "policies.csv").read_text().replace("HCPCS,V2020,Frames", "HCPCS,V2020,Glasses")
    changed = load_policies(own_folder(tmp_path / "changed", **{"policies.csv": text}))
    versions = {rule.id: rule for table in policy_tables(changed) for rule in table.rules}
    same = {rule.id: rule for table in policy_tables(rules) for rule in table.rules}
    assert [name for name, rule in versions.items() if rule != same[name]] == ["payer-own-v"]


@pytest.mark.usefixtures("rules")
def test_behind_a_trust_file_a_policy_answers_only_when_two_people_have_approved_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cds_hooks.hold_back.governance.Shared", lambda now, _needs_approval, *more: Shared(now, True, *more)
    )
    unapproved, reasons = answers(tmp_path / "unapproved")
    assert unapproved == {TOXIN: [{"covered": "covered", "pa-needed": "no-auth"}]}, "public rules need no approval"
    assert reasons.count("shadow") == 2


@pytest.mark.usefixtures("rules")
def test_the_pages_of_rules_show_a_policy_with_its_source(tmp_path: Path) -> None:
    async def read(path: str) -> str:
        async with client(tmp_path) as calls:
            answer = await calls.get(path)
            assert answer.status_code == 200, answer.text
            return answer.text

    page = asyncio.run(read("/rules/payer-own-b"))
    assert "Enteral formula" in page
    assert "Own Health Plan policy 1" in page
    assert "payer-own-v" in asyncio.run(read("/rules?what=Frames"))


@pytest.mark.parametrize(
    ("member", "value", "fault"),
    [
        ("id", [], "id: Expected `str`, got `array`"),
        ("effective_from", 2026, "effective_from: Expected `date | null`"),
        ("only_codes", "E0601", "only_codes: Expected `array`"),
        ("test", {"age": {"ge": "18"}}, "test, age, ge: Expected `float`"),
        ("test", {"age": {"ge": float("nan")}}, "not valid JSON"),
        ("test", {"all": [{"condition": {"icd10": "E11"}}]}, "test, all, 1, condition, icd10: Expected `array`"),
        ("test", {"condition": {"icd10": ["E11"], "within_days": 10**9}}, "within_days: Expected `int` <= 36525"),
        ("test", {"condition": {"icd10": ["E11"], "status": "past"}}, "status: Invalid enum value"),
        ("test", {"observation": {"loinc": ["718-7"], "units": {"g/dL": "1"}}}, "units: Expected `float`"),
        ("test", {"procedure": {"codes": ["G0296"], "reports": "yes"}}, "reports: Expected `bool`"),
        ("test", {"medication": {}}, "medication: Object missing required field `classes`"),
        ("test", {"medication": {"classes": ["insulins"]}}, "no class of medicines"),
        ("test", {"smoked_within_years": "15"}, "smoked_within_years: Expected `int`"),
    ],
)
def test_a_criterion_of_other_types_is_refused_before_a_call_meets_it(
    tmp_path: Path, member: str, value: Any, fault: str
) -> None:
    criterion = {"id": "a", "group": "A", "text": "t", "test": {"order": True}, "question": "", "source": "s"}
    document = {"own-set": {"groups": {"A": "all"}, "criteria": [criterion | {member: value}]}}
    folder = own_folder(tmp_path / "own", **{"criteria.json": json.dumps(document)})
    with pytest.raises(PolicyFault, match=fault):
        load_policies(folder)


@pytest.mark.slow
def test_a_folder_that_the_command_passes_starts_a_server_by_itself(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    folder = own_folder(tmp_path / "site" / "coverage")
    assert CliRunner().invoke(app, ["coverage", str(folder)]).exit_code == 0
    with serving(tmp_path, CDS_SITE_RULES=str(tmp_path / "site")) as address:
        assert "Enteral formula" in httpx.get(f"{address}/rules/payer-own-b").text
