"""The addresses of simulations: what starts one, what its page and its file show, and to whom."""

from pathlib import Path
from typing import Any

import pytest

from cds_hooks.pages.simulations.runs import Run, Runs
from cds_hooks.pages.simulations.simulation import Counts, Example, Result, Simulation
from tests.cds_hooks.access.browsing import Person, entries, form_token, visit, with_account
from tests.cds_hooks.calls import client
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.pages.simulations.test_runs import order_in

RULE = "renal-metformin"
ID = "0b8f7a4e-0000-4000-8000-000000000001"
ON_RECORD = Simulation("rule", RULE, "Metformin and kidney function", "off", 100, days=7)
COUNTED = Result(
    judged=7,
    total=Counts(7, 4, 2),
    by_band={f"{RULE}/lt30": Counts(6, 4, 2)},
    by_service={"order-safety": Counts(5, 3, 1)},
    by_group={"male, 65 to 74": Counts(4, 2, 0)},
    others={"renal-nsaid/lt30": Counts(3, 1, 2)},
    examples=[Example("fewer", RULE, "male, 65 to 74", decision="d-1")],
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _settings(folder: Path) -> dict[str, Any]:
    for name in ("ward", "a-clinic", "empty"):
        (folder / "charts" / name).mkdir(parents=True)
    (folder / "charts" / "ward" / "below").mkdir()
    (folder / "charts" / "ward" / "below" / "all.ndjson.gz").touch()
    (folder / "charts" / "a-clinic" / "1.json").touch()
    (folder / "charts" / "notes.txt").touch()
    return {"simulation_charts": folder / "charts", "simulations_folder": folder / "kept"}


async def _send(person: Person, **fields: str) -> Any:
    page = await person.open(f"/simulations?kind={fields.get('kind', 'rule')}&name={fields.get('name', RULE)}")
    wanted = {"kind": "rule", "name": RULE, "change": "off", "most": "100", "on": "record:7"} | fields
    return await person.send("/simulations", **wanted, form_token=form_token(page))


@pytest.mark.anyio
async def test_what_the_form_asks_for_is_recorded_and_started(started: Path) -> None:
    with_account(started, "pia", "pharmacist")
    expected = [
        ({}, ON_RECORD, None),
        (
            {"on": "charts:ward", "change": "speaks", "most": "2000"},
            Simulation("rule", RULE, ON_RECORD.title, "speaks", 2_000, folder="ward"),
            started / "charts" / "ward",
        ),
        (
            {"kind": "model", "name": "mortality_5y", "change": "share:5", "on": "record:90", "most": "500"},
            Simulation(
                "model", "mortality_5y", "Death within 5 years, adults of 40 and over", "share", 500, "5", days=90
            ),
            None,
        ),
    ]
    async with visit(started, **_settings(started)) as person:
        await person.log_in("pia")
        for fields, simulation, charts in expected:
            with capture_logs() as lines:
                answer = await _send(person, **fields)
            assert answer.status_code == 303, answer.text
            order = order_in(started)
            assert answer.headers["location"] == f"simulations/{order['run']}"
            run = Runs(started / "kept").get(order["run"])
            assert run is not None
            assert (run.by, run.simulation) == ("account pia", simulation)
            assert order["charts"] == (str(charts) if charts else None)
            assert [line["reason"] for line in lines if line["event"] == "simulation started"] == [simulation.change]
    assert entries(started, "simulation-started") == [
        (
            "account pia",
            {
                "what": f"rule {RULE}",
                "change": "switched off",
                "on": "the newest 100 recorded decisions of the last 7 days",
            },
        ),
        (
            "account pia",
            {
                "what": f"rule {RULE}",
                "change": "it shows its cards",
                "on": "at most 2,000 charts of the folder ward",
            },
        ),
        (
            "account pia",
            {
                "what": "model mortality_5y",
                "change": "cards for 5 in 100 patients",
                "on": "the newest 500 recorded decisions of the last 90 days",
            },
        ),
    ]


@pytest.mark.anyio
async def test_what_belongs_to_the_other_kind_is_refused(tmp_path: Path) -> None:
    async with client(tmp_path, **_settings(tmp_path)) as calls:
        for wrong, fault in (
            ({"kind": "model", "name": "mortality_5y", "change": "off"}, "This change is not offered"),
            ({"kind": "model", "name": "mortality_5y", "change": "share:3"}, "This change is not offered"),
            ({"kind": "model", "name": "mortality_5y", "change": "version:mortality_5y"}, "This change is not offered"),
            ({"kind": "rule", "name": "mortality_5y"}, "There is no rule and no model of this name"),
            ({"kind": "model", "name": RULE}, "There is no rule and no model of this name"),
            ({"kind": "table", "name": RULE}, "There is no rule and no model of this name"),
            (
                {"kind": "model", "name": "mortality_5y", "change": "share:5", "on": "charts:ward"},
                "These decisions or charts are not offered",
            ),
            ({"on": "charts:notes.txt"}, "These decisions or charts are not offered"),
            ({"on": "ward:7"}, "These decisions or charts are not offered"),
            ({"on": "charts:empty"}, "The folder empty holds no charts (FHIR Bundles .json or .ndjson)."),
        ):
            fields = {"kind": "rule", "name": RULE, "change": "off", "most": "100", "on": "record:7"} | wrong
            answer = await calls.post("/simulations", data=fields)
            assert (answer.status_code, fault in answer.text) == (400, True), (wrong, answer.text)
    assert not (tmp_path / "kept").exists()


@pytest.mark.anyio
async def test_the_form_offers_the_folders_of_charts_for_a_rule_and_shares_for_a_model(tmp_path: Path) -> None:
    configured = _settings(tmp_path)
    there_are_none = "Folders of charts are put into var/charts; there are none here."
    async with client(tmp_path, **configured) as calls:
        rule = (await calls.get(f"/simulations?kind=rule&name={RULE}")).text
        model = (await calls.get("/simulations?kind=model&name=mortality_5y")).text
        nothing = (await calls.get("/simulations")).text
        chosen = (await calls.get(f"/simulations?kind=rule&name={RULE}&change=speaks&on=charts:ward&most=500")).text
    places = [rule.find(f'value="charts:{name}"') for name in ("a-clinic", "empty", "ward")]
    assert (places, -1 in places) == (sorted(places), False)
    assert "notes.txt" not in rule
    assert there_are_none not in rule
    assert '<option value="off" selected>' in rule
    assert ('value="share:5"' in model, "charts:" in model) == (True, False)
    assert '<option value="record:28" selected>decisions of the last 28 days</option>' in model
    assert "Start a simulation on the page of a" in nothing
    assert [f'<option value="{value}" selected>' in chosen for value in ("speaks", "off", "charts:ward", "500")] == [
        True, False, True, True,
    ]  # fmt: skip
    async with client(tmp_path, **configured | {"simulation_charts": tmp_path / "none"}) as calls:
        assert there_are_none in (await calls.get(f"/simulations?kind=rule&name={RULE}")).text


@pytest.mark.anyio
async def test_without_a_login_the_operator_starts_and_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    configured = _settings(tmp_path)
    (tmp_path / "kept").write_text("a file")
    fields = {"kind": "rule", "name": RULE, "change": "off", "most": "100", "on": "record:7"}
    async with client(tmp_path, **configured) as calls:
        with capture_logs() as lines:
            answer = await calls.post("/simulations", data=fields)
    assert (answer.status_code, "The folder in which results are kept cannot be written." in answer.text) == (503, True)
    assert [line["error_type"] for line in lines if line["event"] == "simulation not started"] == ["FileExistsError"]
    assert [actor for actor, _ in entries(tmp_path, "simulation-started")] == ["operator"]


@pytest.mark.anyio
async def test_the_counts_are_a_file_and_before_there_are_any_there_is_none(tmp_path: Path) -> None:
    configured = _settings(tmp_path)
    (tmp_path / "kept").mkdir()
    runs = Runs(tmp_path / "kept")
    async with client(tmp_path, **configured) as calls:
        runs.write(Run(ID, "2026-11-20T11:00:00+00:00", "account pia", ON_RECORD, "stopped"))
        assert (await calls.get(f"/simulations/{ID}.csv")).status_code == 404
        assert "It was stopped" in (await calls.get(f"/simulations/{ID}")).text
        runs.write(Run(ID, "2026-11-20T11:00:00+00:00", "account pia", ON_RECORD, "done", result=COUNTED))
        sent = await calls.get(f"/simulations/{ID}.csv")
        page = (await calls.get(f"/simulations/{ID}")).text
    assert sent.headers["content-disposition"] == 'attachment; filename="simulation-0b8f7a4e.csv"'
    assert sent.text.splitlines() == [
        "by,name,judged,with a card now,with a card after the change",
        "all,,7,4,2",
        f"band,{RULE}/lt30,6,4,2",
        "service,order-safety,5,3,1",
        'group,"male, 65 to 74",4,2,0',
        "card of another,renal-nsaid/lt30,3,1,2",
    ]
    assert 'href="../decisions/d-1"' in page  # nobody logs in here, so that everybody is an operator


@pytest.mark.anyio
async def test_single_patients_are_shown_to_those_alone_who_may_read_decisions(tmp_path: Path) -> None:
    configured = _settings(tmp_path)
    (tmp_path / "kept").mkdir()
    Runs(tmp_path / "kept").write(Run(ID, "2026-11-20T11:00:00+00:00", "x", ON_RECORD, "done", result=COUNTED))
    roles = {"pia": "pharmacist", "moe": "model-owner"}
    seen = {}
    for name, role in roles.items():
        with_account(tmp_path, name, role)
    async with visit(tmp_path, **configured) as person:
        for name in roles:
            await person.log_in(name)
            seen[name] = "../decisions/d-1" in (await person.open(f"/simulations/{ID}")).text
    assert seen == {"pia": True, "moe": False}


@pytest.mark.anyio
async def test_a_button_on_its_page_stops_it(tmp_path: Path) -> None:
    configured = _settings(tmp_path)
    (tmp_path / "kept").mkdir()
    runs = Runs(tmp_path / "kept")
    runs.write(Run(ID, "2026-11-20T11:00:00+00:00", "x", ON_RECORD, "running", 3, 8))
    async with client(tmp_path, **configured) as calls:
        with runs.alone():
            page = await calls.get(f"/simulations/{ID}")
            assert not runs.is_asked_to_stop(ID)
            sent = await calls.post(f"/simulations/{ID}", data={"form_token": ""})
    assert "3 of 8 decisions at most" in page.text
    assert '<script src="../static/simulation.js?v=' in page.text
    assert "script-src" in page.headers["content-security-policy"]
    assert (sent.status_code, sent.headers["location"], runs.is_asked_to_stop(ID)) == (303, ID, True)
