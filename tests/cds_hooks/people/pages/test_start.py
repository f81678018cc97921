"""The start page: what each role does most, and the state of the server."""

from datetime import timedelta
from pathlib import Path

import pytest

from cds_hooks.evidence.storage.queries import feedback_on, list_decisions
from tests.cds_hooks.calls import ORDERS, client, request_for
from tests.cds_hooks.people.pages.test_decisions import counting_client
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.contracts.markup import Page, faults
from tests.live import record_in

ROLES = (
    "Treat patients",
    "Try a service",
    "Check medications",
    "Work on models",
    "Decide in the committee",
    "Operate the server",
    "Read along",
    "Audit",
    "Protect patients&#39; data",
)


@pytest.mark.slow
async def test_each_example_of_the_gallery_shows_its_card_on_the_next_day_too(tmp_path: Path) -> None:
    summaries = {
        "order": "Metformin is contraindicated",
        "risk": "Planning ahead: 5-year outlook worse",
        "interaction": "NSAID with lisinopril and furosemide",
        "gene": "New: Atorvastatin, SLCO1B1",
        "vaccines": "vaccines are due",
        "payer": "Facet joint injection, lumbar: see the Medicare rule",
    }
    for day in range(2):
        async with client(tmp_path, as_of=AS_OF + timedelta(days=day), services=None) as calls:
            page = Page((await calls.get("/")).text)
            links = [link.attributes["href"] for link in page.all("a") if "case=" in link.attributes["href"]]
            assert len(links) == len(summaries)
            for case, summary in summaries.items():
                text = (await calls.get(f"/?case={case}")).text
                assert faults(text) == []
                assert summary in text, (case, day)
            metrics = (await calls.get("/metrics")).text
            assert not [line for line in metrics.splitlines() if line.startswith("cds_cards_total")]


async def test_a_sample_that_any_client_sends_is_a_trial_and_each_answer_to_it_too(tmp_path: Path) -> None:
    for day in range(3):
        as_of = AS_OF + timedelta(days=day)
        async with client(tmp_path, as_of=as_of) as calls:
            for _ in range(2):
                request = request_for(ORDERS, "order-sign", "ckd4-metformin", as_of, "metformin-ckd4-coded")
                (card,) = (await calls.post(f"/cds-services/{ORDERS}", json=request)).json()["cards"]
                item = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": as_of.isoformat()}
                answered = await calls.post(f"/cds-services/{ORDERS}/feedback", json={"feedback": [item]})
                assert answered.status_code == 200
    decided = list_decisions(record_in(tmp_path))
    assert {decision.client for decision in decided} == {"trial:anonymous"}
    assert all(feedback_on(record_in(tmp_path), decision.id) for decision in decided)


async def test_the_page_of_the_first_card_shows_its_value_over_time_with_the_limit(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=AS_OF, services=None) as calls:
        page = Page((await calls.get("/")).text)
        links = [link.attributes["href"] for link in page.all("a")]
        explained = (await calls.get(f"/{next(link for link in links if link.startswith('explain/'))}")).text
    assert faults(explained) == []
    assert "25 → 22 → 20 mL/min/1.73 m²" in explained
    assert "finding under 30" in explained


async def test_each_role_has_what_it_does_most_and_every_link_of_a_page_is_open(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        page = (await calls.get("/")).text
        assert faults(page) == []
        for role in ROLES:
            assert f"<dt>{role}</dt>" in page
        links = [each.attributes["href"] for each in Page(page).all("a") if "main" in each.path]
        assert {
            "try",
            "decisions",
            "ops",
            "rules",
            "models",
            "decisions/seen",
            "ops/cards",
            "rules#find",
            "worklist",
            "cds-services",
        } <= set(links)
        for link in links:
            if not link.startswith(("docs/", "?", "http")):
                assert (await calls.get(f"/{link}")).status_code == 200, link
