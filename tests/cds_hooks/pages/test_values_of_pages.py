"""What the pages of models, rules, equations, services, operations and the start page are given to show."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.pages.equations.views import InputRow, _input_row
from cds_hooks.pages.start.views import RoleLinks, _roles
from cds_hooks.web.visitor import PageLink
from models_onnx.equations.declaration import find_equations
from models_onnx.serving.registry import model_ids
from tests.cds_hooks.access.browsing import BROWSER
from tests.cds_hooks.calls import client
from tests.cds_hooks.pages.given import kept_values
from tests.cds_hooks.web.markup import Page

Json = dict[str, Any]
Opens = Callable[..., Awaitable[httpx.Response]]


def _visit(
    folder: Path, patch: pytest.MonkeyPatch, story: Callable[[Opens, Json], Awaitable[None]], **more: Any
) -> None:
    async def visit() -> None:
        with kept_values(patch) as values:
            async with client(folder, counts_file=folder / "counts.sqlite3", **more) as calls:

                async def opened(path: str, **query: str) -> httpx.Response:
                    return await calls.get(path, params=query, headers=BROWSER)

                await story(opened, values)

    asyncio.run(visit())


def test_models_and_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(opened: Opens, values: Json) -> None:
        await opened("/models")
        assert [model.id for model in values["models"]] == sorted(model_ids())
        assert (values["template"], values["needs_approval"]) == ("models/models.html", False)
        await opened("/models/mortality_5y")
        standing = values["standing_here"]
        assert (standing.id, standing.version, standing.state, standing.now.state) == (
            "mortality_5y",
            "2.1.0",
            "validated",
            "on",
        )
        assert [waiver.gate for waiver in standing.waivers] == ["Fairness by group"]
        assert (values["template"], standing.missing, standing.signatures) == ("models/model.html", None, ())
        for path in ("/models/none", "/models/none/changes", "/models/mortality_5y@1.0.0/changes"):
            answer = await opened(path)
            assert (answer.status_code, "No model of this name is served here." in answer.text) == (404, True), path
        for form, kind in (
            ("json", "application/json"),
            ("fhir.json", "application/fhir+json"),
            ("chai.xml", "application/xml"),
        ):
            card = await opened(f"/models/mortality_5y/card.{form}")
            assert card.headers["content-type"].partition(";")[0] == kind
            assert card.headers["cache-control"] == "no-store"
        for path in ("/models/mortality_5y/card.pdf", "/models/none/card.json"):
            answer = await opened(path)
            assert answer.status_code == 404
            assert "There is no such file; the start page lists the models and equations" in answer.text

    _visit(tmp_path, monkeypatch, story)


def test_rules_equations_and_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(opened: Opens, values: Json) -> None:
        await opened("/rules", what="metformin", family="", start="0")
        assert values["template"] == "rules/rules.html"
        assert values["total"] == sum(
            "metformin" in f"{version.rule.title} {name}".casefold() for name, version in all_rule_versions().items()
        )
        assert (values["start"], values["step"]) == (0, 50)
        assert values["wanted"] == {"family": "", "kind": "", "what": "metformin", "start": "0"}
        await opened("/rules", start="99999")
        last = values["start"]
        assert 0 < values["total"] - last <= 50
        assert (last % 50, len(values["rows"])) == (0, values["total"] - last)
        await opened("/rules", start="50")
        assert (values["start"], len(values["rows"])) == (50, 50)
        for start in ("999999", "٥٠", "-1"):
            await opened("/rules", start=start)
            assert values["start"] == 0, start
        assert (await opened("/rules/none")).status_code == 404
        await opened("/rules/renal-metformin")
        assert (values["template"], values["standing"].now.state) == ("rules/rule.html", "on")
        await opened("/equations/kfre_4")
        assert [row.words for row in values["inputs"]] == [item.words for item in find_equations()["kfre_4"].inputs]
        assert len(values["attributes"]) == 13
        missing = await opened("/equations/none")
        assert (missing.status_code, "No equation of this name is here." in missing.text) == (404, True)
        await opened("/services")
        assert [equation.id for equation in values["equations"]] == list(find_equations())
        assert values["coverage"].drugs
        assert "order-safety" in [service.id for service in values["services"]]
        metrics = await opened("/metrics")
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "# TYPE" in metrics.text

    _visit(tmp_path, monkeypatch, story)


def test_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(opened: Opens, values: Json) -> None:
        await opened("/ops", days="28", client="an ehr", service="s")
        assert (values["span"].days, values["span"].client, values["span"].service) == (28, "an ehr", "s")
        assert values["query"] == "days=28&client=an+ehr&service=s"
        assert values["periods"] == {1: "Today", 7: "Last 7 days", 28: "Last 28 days"}
        today = datetime.now(UTC)
        assert values["now"].startswith(f"{today:%Y-%m-%d }")
        assert values["now"].endswith(" UTC")
        await opened("/ops", days="3")
        assert (values["span"].days, values["query"]) == (7, "days=7")
        parts = [part.id for part in values["parts"]]
        for part in parts:
            assert (await opened(f"/ops/{part}.csv")).headers["content-disposition"] == (
                f'attachment; filename="{part}.csv"'
            )
        none = await opened("/ops/none.csv")
        assert (none.status_code, "/ops has no table of this name." in none.text) == (404, True)

    _visit(tmp_path, monkeypatch, story)


def test_the_start_page_has_what_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(opened: Opens, values: Json) -> None:
        page = Page((await opened("/")).text)
        assert (values["can_try"], values["state"].calls) == (True, 0)
        assert values["example"]["card"].indicator == "critical"
        assert str(values["example"]["detail"]) in page.html
        assert [role.title for role in values["roles"]] == [
            "Try it out",
            "Treat patients",
            "Check medications",
            "Operate the server",
            "Audit",
            "Work on models",
        ]

    _visit(tmp_path, monkeypatch, story)


def test_a_role_has_the_links_to_pages_that_are_open_and_to_the_documentation() -> None:
    first, second, *_ = _roles({"worklist"})
    assert first == RoleLinks(
        "Try it out",
        (
            PageLink("docs/testers/try.html", "save and replay calls"),
            PageLink("docs/testers/contract-kit.html", "check a server against CDS Hooks"),
        ),
    )
    assert second == RoleLinks(
        "Treat patients",
        (
            PageLink("worklist", "open the worklist"),
            PageLink("docs/readers/clinician.html", "read what the cards say"),
            PageLink("docs/services.html", "see when each service speaks"),
        ),
    )


def test_an_input_of_an_equation_in_words() -> None:
    of_kidneys = {item.name: item for item in find_equations()["kfre_4"].inputs}
    assert _input_row(of_kidneys["age"]) == InputRow(
        "Age", "a", "18 to 100", "completed years at the date of scoring, from Patient.birthDate"
    )
    sex = _input_row(of_kidneys["sex"])
    assert (sex.unit, sex.limits) == ("", "female or male")
    assert _input_row(of_kidneys["egfr"]) == InputRow(
        "eGFR",
        "mL/min/{1.73_m2}",
        "10 to 60",
        "LOINC 33914-3, LOINC 48642-3, LOINC 62238-1, LOINC 69405-9, LOINC 77147-7, LOINC 88294-4, LOINC 98979-8",
    )
    asked = next(item for item in find_equations()["cha2ds2_vasc"].inputs if item.kind == "yes-no")
    assert _input_row(asked).limits == "yes or no"
