"""A committee tries a change: on charts and on recorded decisions, in a process of its own, for who may see it."""

import asyncio
import html
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.pages.simulations import process
from cds_hooks.pages.simulations.evaluation import run_simulation
from cds_hooks.pages.simulations.runs import Busy, Run, Runs
from cds_hooks.pages.simulations.simulation import Counts, Example, Result, Simulation
from cds_hooks.settings import Settings
from cds_hooks.storage.content import read_content_keys, use_content_keys
from cds_hooks.web.files import csv_download
from models_onnx.errors import HashMismatch
from tests.cds_hooks.access.browsing import BROWSER, Person, entries, form_token, visit, with_account
from tests.cds_hooks.calls import ORDERS, PLANNING, client, request_for
from tests.cds_hooks.hold_back.test_submission import Desk
from tests.cds_hooks.pages.test_decisions import trust_file_in
from tests.cds_hooks.replay.test_simulated_orders import creatinine, metformin, resources_of
from tests.cds_hooks.web.markup import faults
from tests.live import record_in
from tests.models_onnx.workshop import NAME
from tests.operations.test_model_versions import models  # noqa: F401 - a fixture

RULE = "renal-metformin"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def charts_in(folder: Path, name: str = "ward") -> Path:
    """A folder of two charts: one with kidney failure before an order of metformin, one with healthy kidneys."""
    below = folder / "charts" / name
    below.mkdir(parents=True)
    for number, value in enumerate((6.0, 0.9)):
        entry = [{"resource": one} for one in resources_of(creatinine("2020-01-20", value), metformin("2020-02-01"))]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entry}
        (below / f"{number}.json").write_text(json.dumps(bundle))
    return folder / "charts"


def _simulation(change: str = "off", **named: object) -> Simulation:
    given = {"folder": "ward", **named}
    return Simulation("rule", RULE, "Metformin", change, 100, **given)  # type: ignore[arg-type]


def _nobody(_judged: int, _most: int) -> None:
    """Nobody looks at the progress."""


def test_on_charts_the_rule_speaks_now_and_not_when_it_is_switched_off(tmp_path: Path) -> None:
    charts = charts_in(tmp_path)
    configured = Settings(database_url=record_in(tmp_path), simulation_charts=charts)
    result = run_simulation(configured, _simulation(), charts / "ward", _nobody)
    assert result.total == Counts(judged=2, before=1, after=0)
    assert result.by_band == {f"{RULE}/lt30": Counts(1, 1, 0)}
    assert result.by_group == {"male, 65 to 74": Counts(2, 1, 0)}
    (example,) = result.examples
    assert (example.how, example.on) == ("fewer", "2020-02-01")
    assert "metformin" in example.text


def test_a_rule_that_the_site_has_switched_off_is_tried_speaking(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(f'version = 1\n[[switch]]\nrule = "{RULE}"\noff = true\nnote = "a trial"\n')
    configured = Settings(database_url=record_in(tmp_path), rules_file=rules)
    result = run_simulation(configured, _simulation("speaks"), charts_in(tmp_path) / "ward", _nobody)
    assert result.total == Counts(judged=2, before=0, after=1)
    assert result.examples[0].how == "more"


def test_behind_a_trust_file_a_rule_that_nobody_has_approved_is_tried_speaking(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    behind: dict[str, Any] = {"trust_file": trust_file_in(tmp_path), "people_file": desk.site.file}
    configured = Settings(database_url=record_in(tmp_path), **behind)
    charts = charts_in(tmp_path) / "ward"
    shadow = run_simulation(configured, _simulation("speaks"), charts, _nobody)
    assert shadow.total == Counts(judged=2, before=0, after=1)
    desk.hand_in(desk.approval(), desk.approval("Ben Ray"))
    assert run_simulation(configured, _simulation("speaks"), charts, _nobody).total == Counts(
        judged=2, before=1, after=1
    )
    desk.hand_in(desk.act("off"))
    assert run_simulation(configured, _simulation("speaks"), charts, _nobody).total == Counts(
        judged=2, before=0, after=1
    )


@pytest.mark.anyio
async def test_on_recorded_decisions_a_rule_and_a_share_are_tried(
    tmp_path: Path,
) -> None:
    now = datetime.now(UTC)
    async with client(tmp_path) as calls:
        order = request_for(ORDERS, "order-sign", "ckd4-metformin", now, "metformin-ckd4-coded")
        view = request_for(PLANNING, "patient-view", "planning-talk", now)
        answers = [(await calls.post(f"/cds-services/{ORDERS}", json=order)).json()]
        answers.append((await calls.post(f"/cds-services/{PLANNING}", json=view)).json())
    configured = Settings(database_url=record_in(tmp_path))

    def tried() -> tuple[Result, Result]:
        rule = run_simulation(configured, _simulation(folder="", days=1), None, _nobody)
        share = Simulation("model", "mortality_5y", "Five years", "share", 100, "1", days=1)
        return rule, run_simulation(configured, share, None, _nobody)

    rule, model = await asyncio.to_thread(tried)
    assert rule.total == Counts(judged=1, before=1, after=0)
    assert rule.by_service == {ORDERS: Counts(1, 1, 0)}
    assert rule.examples[0].decision == answers[0]["extension"]["org.cds-hooks-onnx"]["decision"]
    assert rule.left_out == {}
    assert model.total.judged == 1
    assert model.by_service.keys() == {PLANNING}


@pytest.mark.anyio
async def test_a_version_beside_a_model_is_tried_and_one_that_was_changed_says_why_it_cannot_be(
    tmp_path: Path,
    models: Path,  # noqa: F811 - the fixture
) -> None:
    given: dict[str, Any] = {"models_folder": models, "model_keys": tmp_path / "keys.json"}
    async with client(tmp_path, **given) as calls:
        view = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
        assert (await calls.post(f"/cds-services/{PLANNING}", json=view)).json()["cards"]
        page = (await calls.get(f"/simulations?kind=model&name={NAME}")).text
        assert f'<option value="version:{NAME}@3.0.0">version 3.0.0</option>' in page
    simulation = Simulation("model", NAME, "Five years", "version", 100, f"{NAME}@3.0.0", days=1)

    def tried() -> Result:
        return run_simulation(Settings(database_url=record_in(tmp_path), **given), simulation, None, _nobody)

    result = await asyncio.to_thread(tried)
    assert (result.total, result.by_band) == (Counts(1, 1, 1), {NAME: Counts(1, 1, 1)})
    (models / f"{NAME}@3.0.0" / "model.onnx").write_bytes(b"another")
    with pytest.raises(HashMismatch):
        await asyncio.to_thread(tried)


@pytest.mark.anyio
async def test_the_form_offers_first_what_is_not_the_case_now(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(f'version = 1\n[[switch]]\nrule = "{RULE}"\noff = true\nnote = "a trial"\n')
    async with client(tmp_path, rules_file=rules) as calls:
        page = (await calls.get(f"/simulations?kind=rule&name={RULE}")).text
        assert '<option value="speaks" selected>' in page
        other = (await calls.get("/simulations?kind=rule&name=renal-nsaid")).text
        assert '<option value="off" selected>' in other


def _settings(folder: Path) -> dict[str, object]:
    return {"simulation_charts": charts_in(folder, HOSTILE.replace("/", "")), "simulations_folder": folder / "kept"}


def _form(page: httpx.Response, **named: str) -> dict[str, str]:
    wanted = {"kind": "rule", "name": RULE, "change": "off", "most": "100", "on": "record:1"}
    return wanted | {"form_token": form_token(page)} | named


async def _ended(person: Person, address: str) -> str:
    """The page of a simulation when it has ended; the process of the simulation has all the time that it needs."""
    for _ in range(1200):
        page = (await person.open(address)).text
        if 'data-state="waiting"' not in page and 'data-state="running"' not in page:
            return page
        await _wait()
    raise AssertionError(page)


async def _wait() -> None:
    await asyncio.sleep(0.1)


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_pharmacist_starts_a_simulation_on_the_page_of_a_rule_and_reads_its_result(tmp_path: Path) -> None:
    with_account(tmp_path, "pia", "pharmacist")
    with_account(tmp_path, "moe", "model-owner")
    with_account(tmp_path, "vic", "viewer")
    async with visit(tmp_path, **_settings(tmp_path)) as person:
        await person.log_in("pia")
        rule = (await person.open(f"/rules/{RULE}")).text
        assert f'href="../simulations?kind=rule&amp;name={RULE}"' in rule
        page = await person.open(f"/simulations?kind=rule&name={RULE}")
        assert faults(page.text) == []
        assert HOSTILE.replace("/", "") not in page.text
        (folder,) = re.findall(r'<option value="(charts:[^"]+)"', page.text)
        sent = await person.send("/simulations", **_form(page, on=html.unescape(folder)))
        assert sent.status_code == 303, sent.text
        address = f"/{sent.headers['location']}"
        done = await _ended(person, address)
        assert faults(done) == []
        assert "Now: a card in 1 of 2 orders of 2 patients. After the change: in 0." in done
        assert "2020-02-01" in done
        listed = (await person.open("/simulations")).text
        assert (faults(listed), "done: a card in 1 now, in 0 after the change" in listed) == ([], True)
        rows = (await person.open(f"{address}.csv")).text.splitlines()
        assert rows[:2] == ["by,name,judged,with a card now,with a card after the change", "all,,2,1,0"]
        await person.log_in("moe")
        owner = (await person.open(address)).text
        assert ("2020-02-01" in owner, "Not for your role" in owner) == (False, True)
        await person.log_in("vic")
        assert "simulations" not in (await person.open(f"/rules/{RULE}")).text
        assert "simulations" not in (await person.open("/models/mortality_5y")).text
        for path in (address, "/simulations", f"{address}.csv"):
            assert (await person.open(path)).status_code == 403
    started = entries(tmp_path, "simulation-started")
    assert [(actor, detail["what"]) for actor, detail in started] == [("account pia", f"rule {RULE}")]
    assert "account pia" in {actor for actor, _ in entries(tmp_path, "page-view")}


@pytest.mark.anyio
async def test_what_is_not_offered_is_refused_in_a_sentence_and_nothing_starts(tmp_path: Path) -> None:
    with_account(tmp_path, "pia", "pharmacist")
    configured = _settings(tmp_path)
    (tmp_path / "charts" / "empty").mkdir()
    async with visit(tmp_path, **configured) as person:
        await person.log_in("pia")
        page = await person.open(f"/simulations?kind=rule&name={RULE}")
        for wrong, said in (
            ({"name": HOSTILE}, "no rule and no model of this name"),
            ({"kind": "model", "name": "mortality_5y@../x"}, "no rule and no model of this name"),
            ({"change": "share:5"}, "This change is not offered"),
            ({"change": "off:1"}, "This change is not offered"),
            ({"most": "1000000"}, "This number is not offered"),
            ({"on": "charts:../.."}, "These decisions or charts are not offered"),
            ({"on": "record:3650"}, "These decisions or charts are not offered"),
            ({"on": "charts:empty"}, "The folder empty holds no charts"),
        ):
            answer = await person.send("/simulations", **_form(page, **wrong))
            assert answer.status_code == 400, wrong
            assert said in answer.text, wrong
            assert HOSTILE not in answer.text
        assert (await person.send("/simulations", **_form(page, form_token="x"))).status_code == 403  # noqa: S106
        other = await person.calls.post(
            "/simulations", data=_form(page), headers=BROWSER | {"sec-fetch-site": "cross-site"}
        )
        assert other.status_code == 403
        assert (await person.open("/simulations/00000000-0000-4000-8000-000000000000")).status_code == 404
        assert (await person.open("/simulations/..%2f..%2fetc")).status_code == 404
    assert entries(tmp_path, "simulation-started") == []
    assert not (tmp_path / "kept").exists()


def test_a_simulation_whose_process_is_gone_is_shown_as_stopped_and_an_old_one_is_deleted(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    before = Run("0b8f7a4e-0000-4000-8000-000000000001", "2026-01-01T00:00:00+00:00", "x", _simulation(), "running")
    runs.write(before)
    found = runs.get(before.id)
    assert found is not None
    assert found.state == "stopped"
    with runs.alone():
        still = Runs(tmp_path).get(before.id)
        assert still is not None
        assert still.state == "running"
        with pytest.raises(Busy):
            Runs(tmp_path).start(Settings(), _simulation(), "x", None)
    assert (tmp_path / f"{before.id}.simulation").stat().st_mode & 0o077 == 0
    assert runs.get("../../etc/passwd") is None


def test_a_name_in_the_csv_is_no_formula() -> None:
    result = Result(by_service={"=1+1": Counts(1, 1, 1)})
    rows = [(by, name, counts.judged, counts.before, counts.after) for by, name, counts in result.rows()]
    assert b"service,'=1+1,1,1,1" in bytes(csv_download("x", rows).body)


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_simulation_is_stopped_at_the_press_of_a_button_and_another_can_be_started_then(tmp_path: Path) -> None:
    with_account(tmp_path, "pia", "pharmacist")
    async with visit(tmp_path, **_settings(tmp_path)) as person:
        await person.log_in("pia")
        page = await person.open(f"/simulations?kind=rule&name={RULE}")
        address = f"/{(await person.send('/simulations', **_form(page))).headers['location']}"
        assert (await person.send(address, form_token="another")).status_code == 403  # noqa: S106
        stopped = await person.send(address, form_token=form_token(await person.open(address)))
        assert (stopped.status_code, f"/simulations/{stopped.headers['location']}") == (303, address)
        ended = await _ended(person, address)
        # there is no decision to judge here, so that it may have ended before it was asked to stop
        assert "It was stopped" in ended or "Nothing to judge" in ended
        again = await person.send("/simulations", **_form(page))
        assert again.status_code == 303
        await _ended(person, f"/{again.headers['location']}")


@pytest.mark.anyio
async def test_while_a_simulation_runs_another_one_is_not_started(tmp_path: Path) -> None:
    with_account(tmp_path, "pia", "pharmacist")
    (tmp_path / "kept").mkdir()
    async with visit(tmp_path, **_settings(tmp_path)) as person:
        await person.log_in("pia")
        page = await person.open(f"/simulations?kind=rule&name={RULE}")
        with Runs(tmp_path / "kept").alone():
            answer = await person.send("/simulations", **_form(page))
        assert (answer.status_code, faults(answer.text)) == (409, [])
        assert "Another simulation is running" in answer.text
    assert entries(tmp_path, "simulation-started") == []


def test_a_process_that_is_asked_to_stop_ends_without_a_result(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    run = Run(
        "0b8f7a4e-0000-4000-8000-000000000002", "2026-01-01T00:00:00+00:00", "x", _simulation(), "waiting", most=2
    )
    runs.write(run)
    runs.ask_to_stop(run.id)
    configured = Settings(database_url=record_in(tmp_path), simulations_folder=tmp_path / "kept")
    process.carry_out(configured, run.id, charts_in(tmp_path) / "ward")
    found = runs.get(run.id)
    assert found is not None
    assert (found.state, found.result) == ("stopped", None)
    runs.write(Run(run.id, run.at, "x", _simulation()))
    (tmp_path / "kept" / f"{run.id}.stop").unlink()
    process.carry_out(configured, run.id, tmp_path / "nothing")
    failed = runs.get(run.id)
    assert failed is not None
    assert (failed.state, "is not a folder" in failed.problem) == ("failed", True)


def test_where_the_record_is_encrypted_the_result_is_too(tmp_path: Path) -> None:
    result = Result(examples=[Example("fewer", RULE, "male, 65 to 74", text="eGFR 9.4")])
    run = Run(
        "0b8f7a4e-0000-4000-8000-000000000003", "2026-01-01T00:00:00+00:00", "x", _simulation(), "done", result=result
    )
    use_content_keys(read_content_keys("6b" * 32))
    try:
        Runs(tmp_path).write(run)
        assert Runs(tmp_path).get(run.id) == run
    finally:
        use_content_keys(read_content_keys(""))
    assert b"eGFR" not in (tmp_path / f"{run.id}.simulation").read_bytes()
    assert Runs(tmp_path).get(run.id) is None
