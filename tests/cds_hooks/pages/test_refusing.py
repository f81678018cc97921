"""What is answered in place of a page: to a browser a page, to a program an OperationOutcome, each with its id."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cds_hooks.access.roles import COMMITTEE
from cds_hooks.hold_back.acts import model_subject, waiver_subject
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.releases import Releases
from cds_hooks.pages.committee import standing
from cds_hooks.pages.committee.standing import Committee, RuleUse, _may_try
from cds_hooks.pages.committee.tables import SignatureRow, StepRow, WaiverRow
from cds_hooks.pages.explain.views import _patient_rows
from cds_hooks.pages.model_files import GateRow
from cds_hooks.pages.server import site_of
from cds_hooks.services import find_services
from cds_hooks.settings import Settings
from cds_hooks.web.visitor import Visiting, Visitor, set_visiting
from models_onnx.artifact.release_file import ReleaseStep
from tests.cds_hooks.access.browsing import BROWSER
from tests.cds_hooks.calls import client
from tests.cds_hooks.hold_back.test_approvals import Site
from tests.cds_hooks.hold_back.test_standing import release
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.pages.given import kept_values
from tests.cds_hooks.storage.samples import a_decision, store
from tests.live import record_in

pytestmark = pytest.mark.anyio
AS_OF = datetime(2026, 11, 20, 9, tzinfo=UTC)
JSON = {"accept": "application/json"}


@pytest.mark.parametrize(
    ("path", "accept", "is_page"),
    [
        ("/explain/nothing", "text/html", True),
        ("/explain/nothing", "*/*", True),
        ("/explain/nothing", "application/json", False),
        ("/explain/nothing", "application/json, text/html", True),
        ("/equations/nothing/card.json", "*/*", False),
        ("/equations/nothing/card.json", "text/html", True),
    ],
)
async def test_a_refusal_is_a_page_unless_json_alone_is_asked_for(
    tmp_path: Path, path: str, accept: str, *, is_page: bool
) -> None:
    async with client(tmp_path) as calls:
        with capture_logs() as lines:
            answer = await calls.get(path, headers={"accept": accept})
    assert answer.status_code == 404
    (line,) = [line for line in lines if line["event"] == "call refused"]
    assert (line["decision"], line["status"]) == (answer.headers["x-call-id"], 404)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("text/html" if is_page else "application/json")
    if is_page:
        assert line["decision"] in answer.text
        return
    document = answer.json()
    assert (document["resourceType"], document["id"]) == ("OperationOutcome", line["decision"])
    assert [issue["code"] for issue in document["issue"]] == ["not-found"]


async def test_a_refusal_for_another_reason_than_that_nothing_is_there_is_forbidden(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        answer = await calls.get("/decisions?patient=x", headers=JSON)
    (issue,) = answer.json()["issue"]
    assert (answer.status_code, issue["severity"], issue["code"]) == (400, "error", "forbidden")
    assert issue["diagnostics"] == (
        "A patient, a hook call or a card is never asked for in an address, because logs and histories keep addresses. "
        "Open /decisions and type it into the form."
    )


async def test_an_address_or_a_method_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client(tmp_path) as calls:
        with kept_values(monkeypatch) as values:
            assert (await calls.get("/nothing", headers=BROWSER)).status_code == 404
            assert values["failure"].title == "There is no such page"
            other = await calls.put("/ops", headers=BROWSER)
            assert (other.status_code, values["failure"].title) == (405, "This page does not take that form")
            assert set(other.headers["allow"].split(", ")) == {"GET", "HEAD"}
        program = await calls.put("/ops")
        assert (program.status_code, program.json()["issue"][0]["code"]) == (405, "not-supported")
        assert (await calls.get("/nothing")).json()["issue"][0]["code"] == "not-found"


async def test_a_record_that_is_away_or_of_another_form_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = a_decision(basis=b"{")
    store(record_in(tmp_path), decision)
    async with client(tmp_path) as calls:
        with kept_values(monkeypatch) as values:
            with capture_logs() as lines:
                other = await calls.get(f"/explain/{decision.id}", headers=BROWSER)
            assert (other.status_code, values["failure"].title) == (500, "This record cannot be shown")
            assert [(line["status"], line["error_type"]) for line in lines if "another form" in line["event"]] == [
                (500, "DecodeError")
            ]
            (tmp_path / "decisions.sqlite3").rename(tmp_path / "elsewhere")
            with capture_logs() as lines:
                away = await calls.get(f"/explain/{decision.id}", headers=BROWSER)
            assert (away.status_code, values["failure"].title) == (503, "The record cannot be read or written")
            assert [line["status"] for line in lines if line["event"] == "record away"] == [503]


@pytest.mark.parametrize(
    ("share", "mortality", "readmission"),
    [(None, 0.1, 0.1), ("0.05", 0.05, 0.05), ("mortality_5y=0.02", 0.02, 0.1)],
)
async def test_every_page_knows_the_shares_the_clock_and_whether_calls_are_trusted(
    share: str | None, mortality: float, readmission: float
) -> None:
    services = find_services().values()
    site = site_of(Settings(alert_share=share, as_of=AS_OF), services)
    assert (site.development, site.clock) == (True, "2026-11-20 09:00 UTC")
    assert site.alert_share == (0.05 if share == "0.05" else None)
    assert (site.shares["mortality_5y"], site.shares["readmission_30d"]) == (mortality, readmission)
    behind = site_of(Settings(trust_file=Path("trust.toml")), ())
    assert (behind.development, behind.clock, behind.shares, behind.by_age) == (False, "", {}, frozenset())


# The committee


@pytest.mark.parametrize(
    ("needs_login", "roles", "may"),
    [
        (False, None, True),
        (True, None, False),
        (True, {"viewer"}, False),
        (True, {"auditor", "clinician"}, False),
        *((True, {role}, True) for role in sorted(COMMITTEE)),
    ],
)
async def test_who_works_on_rules_may_try_a_change(needs_login: bool, roles: Any, may: bool) -> None:
    visitor = Visitor("A", "account a", frozenset(roles), "t") if roles is not None else None
    set_visiting(Visiting("/rules", visitor, needs_login))
    assert _may_try() is may


async def test_how_a_model_stands_has_its_waivers_signatures_and_steps(tmp_path: Path) -> None:
    site = Site(record_in(tmp_path), tmp_path)
    made = msgspec.structs.replace(
        release(), history=(ReleaseStep("validated", "2026-11-21T10:17:43+00:00", "ann", "gates", "all green"),)
    )
    waiver = {"gate": "G9", "reason": "Groups differ.", "granted": "2020-01-01", "expires": "2030-01-01", "by": "Eve"}
    ended = {**waiver, "gate": "G7", "expires": "2020-06-01"}
    gates = [GateRow("G9", "Fairness", "waived", "")]
    set_visiting(Visiting("/models"))
    governance = Governance(None, needs_approval=False)
    alone = Committee(site.url, governance, None, Releases(None), "validated")
    shown = alone.model(made, "A title", gates, [waiver])
    assert shown.waivers == (WaiverRow("Fairness", "Groups differ.", "2030-01-01", None),)
    assert (shown.signatures, shown.missing, shown.may_try, shown.gates) == ((), None, True, tuple(gates))
    assert shown.steps == (StepRow("2026-11-21", "validated", "ann (gates)", "all green"),)
    book = site.book
    book.approve("model", model_subject(made), site.ann, "read")
    book.approve("waiver", waiver_subject(made.id, made.version, waiver), site.ann)
    book.approve("waiver", waiver_subject(made.id, made.version, waiver), site.ben)
    committee = Committee(site.url, governance, book, Releases(None), "validated")
    signed = committee.model(made, "A title", gates, [waiver, ended])
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert signed.signatures == (SignatureRow("Ann Lee", "pharmacist", today, "read"),)
    assert "is signed by Ann Lee alone" in str(signed.missing)
    first, second = signed.waivers
    assert (first.fault, second.gate, "is not in force on" in str(second.fault)) == (None, "G7", True)
    assert (signed.now.state, "G7" in signed.now.text) == ("waiting", True)


async def test_the_use_of_rules_is_counted_again_after_five_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [1000.0]
    monkeypatch.setattr(standing, "monotonic", lambda: seconds[0])
    store(record_in(tmp_path), a_decision())
    use = RuleUse(record_in(tmp_path))
    assert (use.is_counting, use.counted.calls) == (True, 0)
    use.refresh()
    assert (use.is_counting, use.counted.calls) == (False, 1)
    store(record_in(tmp_path), a_decision())
    seconds[0] += 300.0
    use.refresh()
    assert use.counted.calls == 1
    seconds[0] += 0.1
    use.refresh()
    assert use.counted.calls == 2
    assert use.of_rule("renal-metformin").spoke == 0
    away = RuleUse(f"sqlite:///{tmp_path}/none/x.sqlite3")
    away.refresh()
    assert (away.is_counting, away.counted.calls) == (True, 0)


async def test_the_answers_about_a_patient_have_their_time_service_and_outcome() -> None:
    decisions = [a_decision(decided_at=1_795_165_200_000_000), a_decision(service="other", outcome="error")]
    first, second = _patient_rows(decisions, {"planning": "A plan"})
    assert first == {
        "id": decisions[0].id,
        "when": "2026-11-20 09:00 UTC",
        "title": "A plan",
        "outcome": "1 card",
    }
    assert (second["title"], second["outcome"]) == ("other", "no answer: the call was refused")
