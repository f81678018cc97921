"""A committee tries a change on recorded decisions and reads the answer on the same page, as far as its role goes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.package_tests.markup import faults
from cds_hooks.pages.simulations.trial import Trial
from tests.cds_hooks.access.browsing import BROWSER, entries, form_token, visit, with_account
from tests.cds_hooks.calls import ORDERS, PLANNING, client, ours, request_for
from tests.models_onnx.workshop import NAME
from tests.operations.test_model_versions import models  # noqa: F401 - a fixture

RULE = "renal-metformin"
HOSTILE = "<script>alert(1)</script>"
FORM = {"kind": "rule", "name": RULE, "change": "off", "most": "100"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def _called(calls: httpx.AsyncClient) -> str:
    """The decision of a call about metformin."""
    order = request_for(ORDERS, "order-sign", "ckd4-metformin", datetime.now(UTC), "metformin-ckd4-coded")
    answer = await calls.post(f"/cds-services/{ORDERS}", json=order)
    decision: str = ours(answer)["decision"]
    return decision


@pytest.mark.anyio
async def test_a_pharmacist_reads_what_a_change_does_and_a_model_owner_sees_no_single_patient(tmp_path: Path) -> None:
    for name, role in (("pia", "pharmacist"), ("moe", "model-owner"), ("vic", "viewer")):
        with_account(tmp_path, name, role)
    async with visit(tmp_path) as person:
        decision = await _called(person.calls)
        await person.log_in("pia")
        assert f'href="../simulations?kind=rule&amp;name={RULE}"' in (await person.open(f"/rules/{RULE}")).text
        page = await person.open(f"/simulations?kind=rule&name={RULE}")
        assert (faults(page.text), '<option value="off" selected>' in page.text) == ([], True)
        done = await person.send("/simulations", **FORM, form_token=form_token(page))
        assert (done.status_code, faults(done.text)) == (200, [])
        assert "Now: 1 card of this rule in 1 decision. After the change: 0." in done.text
        assert f'href="explain/{decision}"' in done.text
        await person.log_in("moe")
        page = await person.open(f"/simulations?kind=rule&name={RULE}")
        owner = (await person.send("/simulations", **FORM, form_token=form_token(page))).text
        assert (decision in owner, "Not for your role" in owner) == (False, True)
        await person.log_in("vic")
        assert "simulations" not in (await person.open(f"/rules/{RULE}")).text
        assert (await person.open("/simulations")).status_code == 403
    started = [(actor, detail["what"]) for actor, detail in entries(tmp_path, "simulation-started")]
    assert started == [("account pia", f"rule {RULE}"), ("account moe", f"rule {RULE}")]


@pytest.mark.anyio
async def test_a_rule_that_is_switched_off_is_tried_speaking(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(f'version = 1\n[[switch]]\nrule = "{RULE}"\noff = true\nnote = "a trial"\n')
    async with client(tmp_path, rules_file=rules) as calls:
        await _called(calls)
        page = (await calls.get(f"/simulations?kind=rule&name={RULE}")).text
        assert '<option value="speaks" selected>' in page
        done = await calls.post("/simulations", data=FORM | {"change": "speaks"}, headers=BROWSER)
    assert "Now: 0 cards of this rule in 1 decision. After the change: 1." in done.text


@pytest.mark.anyio
async def test_of_a_model_another_share_and_a_version_beside_it_are_tried_and_a_changed_file_says_why_not(
    tmp_path: Path,
    models: Path,  # noqa: F811 - the fixture
) -> None:
    given: dict[str, Any] = {"models_folder": models, "model_keys": tmp_path / "keys.json"}
    async with client(tmp_path, **given) as calls:
        view = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
        assert (await calls.post(f"/cds-services/{PLANNING}", json=view)).json()["cards"]
        form = FORM | {"kind": "model", "name": NAME}

        async def tried(change: str) -> httpx.Response:
            return await calls.post("/simulations", data=form | {"change": change}, headers=BROWSER)

        assert "Now: 1 card of this model in 1 decision. After the change: 1." in (await tried("share:30")).text
        beside = f"version:{NAME}@3.0.0"
        assert "Now: 1 card of this model in 1 decision." in (await tried(beside)).text
        (models / f"{NAME}@3.0.0" / "model.onnx").write_bytes(b"another")
        changed = await tried(beside)
        assert (changed.status_code, "Not computed" in changed.text) == (409, True)


@pytest.mark.anyio
async def test_what_is_not_offered_is_refused_in_a_sentence_and_nothing_is_computed(tmp_path: Path) -> None:
    with_account(tmp_path, "pia", "pharmacist")
    async with visit(tmp_path) as person:
        await person.log_in("pia")
        token = form_token(await person.open(f"/simulations?kind=rule&name={RULE}"))
        for wrong, words in (
            ({"name": HOSTILE}, "no rule and no model of this name"),
            ({"kind": "model", "name": "mortality_5y@../x"}, "no rule and no model of this name"),
            ({"change": "share:5"}, "This change is not offered"),
            ({"change": "off:1"}, "This change is not offered"),
            ({"most": "1000000"}, "This number is not offered"),
        ):
            answer = await person.send("/simulations", **{**FORM, **wrong, "form_token": token})
            assert (answer.status_code, words in answer.text, HOSTILE in answer.text) == (400, True, False), wrong
        assert (await person.send("/simulations", **FORM, form_token="x")).status_code == 403  # noqa: S106
    assert entries(tmp_path, "simulation-started") == []


@pytest.mark.anyio
async def test_the_report_of_a_longer_trial_is_shown_and_another_file_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    counts = {"decisions": 9_000, "more": 0, "fewer": 31, "other": 2}
    report = {"decisions": 9_000, "by_service": {"order-safety": counts}, "cards": {f"{RULE}/lt30": {"now": 31}}}
    (folder / "june.json").write_text(json.dumps(report))
    (folder / "other.json").write_text("no report")
    (tmp_path / "secret.json").write_text(json.dumps(report))
    async with client(tmp_path, simulations_folder=folder) as calls:
        listed = (await calls.get("/simulations")).text
        assert (faults(listed), 'href="simulations/june"' in listed) == ([], True)
        shown = (await calls.get("/simulations/june")).text
        assert (faults(shown), "9,000" in shown, f"{RULE}/lt30" in shown) == ([], True, True)
        for name in ("other", "none", "..%2fsecret"):
            assert (await calls.get(f"/simulations/{name}")).status_code == 404


def test_a_card_is_of_the_rule_by_its_band_and_of_the_model_by_its_name() -> None:
    rule, model = Trial("rule", "r", "R", "off", 100), Trial("model", "m", "M", "share", 100, "5")
    assert [rule.is_about(card) for card in ("r/a", "r", "rr/a", "m")] == [True, True, False, False]
    assert [model.is_about(card) for card in ("m", "m/a", "r")] == [True, False, False]
    assert (rule.words, model.words) == ("switched off", "cards for 5 in 100 patients")
