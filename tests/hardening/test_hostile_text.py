"""A chart whose every text is hostile, at every service and hook that discovery lists: nothing of it is live anywhere.

A new service, hook, dialect or rule is tested here without a line of its own. What the readers of such texts cost is in
test_chart_text.py.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from itertools import count, product
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec
import orjson
import pytest

from cards.casebook.patients import PATIENT_ID
from cards.orders import check_orders
from cards.rules.engine.rule_book import rule_book
from cds_hooks.call.dialects import find_dialects
from cds_hooks.people.pages.model_files import ModelFiles
from cds_hooks.people.web.markdown import render_markdown
from fhir.record.record import read_record
from fhir.record.resources import decoder
from models_onnx.artifact.manifest import Manifest
from models_onnx.serving.registry import model_ids
from tests.cards.rules.cases import JUDGED, Case, every_case, originals, uuids
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of
from tests.cds_hooks.call.services.test_every_service import CALLS, requests_of
from tests.cds_hooks.calls import client, ours, request_for
from tests.cds_hooks.people.pages.rendered import model_page, models_page
from tests.cds_hooks.people.web.decisions import SITE
from tests.each import for_rows, some_of
from tests.hardening.hostile import (
    HOSTILE_WORDS,
    WAYS,
    faults_of_answer,
    faults_of_page,
    markdown_faults,
    plain_faults,
    planted,
    shows,
)

Json = dict[str, Any]

FILES = ModelFiles(None)
SILENT, SPEAKING = 1, 2
"""How many of a service's samples are asked again with hostile words, each with some of them."""

_TEXTS_ONLY = ("behind", "before")
_EVERY_PLACE = ("script", "link", "backslashes", "hidden")
PLANTINGS = [(name, way) for name, way in product(HOSTILE_WORDS, WAYS) if way in _TEXTS_ONLY or name in _EVERY_PLACE]
OF_EACH_PLACE = [(name, "behind") for name in HOSTILE_WORDS] + [("script", way) for way in WAYS if way != "behind"]
"""Every word at one place and every place with one word; the slow tier asks for all of `PLANTINGS`."""


def _share(position: int) -> list[tuple[str, str]]:
    """A sixth of the plantings of the quick tier, by the place in a list: the next five have the others."""
    return OF_EACH_PLACE[position % 6 :: 6]


def _hostile(request: Json, words: str, way: str) -> Json:
    """The request with the words in its chart and its drafts; who it is about stays."""
    context = dict(request["context"])
    if "draftOrders" in context:
        context["draftOrders"] = planted(context["draftOrders"], words, way)
    prefetch = planted(request["prefetch"], words, way)
    moment = {"hookInstance": str(uuid4())}  # a page lists what else was answered at the same one
    return (
        request
        | moment
        | {"context": context, "prefetch": prefetch | {words: None, f"2 {words}": {"resourceType": words}}}
    )


class _Hunt:
    """What the calls of one service brought to light; `shown` are the words that came back at all."""

    def __init__(self, calls: httpx.AsyncClient, service: str, *, is_markdown: bool = True) -> None:
        self.calls, self.path, self.is_markdown = calls, f"/cds-services/{service}", is_markdown
        self.faults: set[str] = set()
        self.shown: set[str] = set()

    async def chosen(self, requests: list[Json], most: int) -> list[Json]:
        """So many requests at most: some that are answered with cards first, then one that is not."""
        speaking: list[Json] = []
        silent: list[Json] = []
        for request in requests:
            answer = await self.calls.post(self.path, json=request)
            if answer.status_code == 200:
                (speaking if answer.json()["cards"] else silent).append(request)
            if len(speaking) >= min(most, SPEAKING) and len(silent) >= min(most - len(speaking), SILENT):
                break
        return (speaking[:SPEAKING] + silent[:SILENT])[:most]

    async def ask(self, request: Json, name: str, way: str) -> None:
        """The call with the words planted, its answer and its page judged."""
        words = HOSTILE_WORDS[name]
        answer = await self.calls.post(self.path, json=_hostile(request, words, way))
        document = answer.json()
        if answer.status_code != 200:
            assert answer.status_code in (400, 412), answer.text
            said = [issue["diagnostics"] for issue in document["issue"]]
            self._keep(name, way, (fault for text in said for fault in plain_faults(text, words)))
            return
        self._keep(name, way, faults_of_answer(document, words, is_markdown=self.is_markdown))
        if shows(document):
            self.shown.add(name)
        page = await self.calls.get(f"/explain/{ours(answer)['decision']}")
        assert page.status_code == 200
        self._keep(name, way, faults_of_page(page.text, words))

    def _keep(self, name: str, way: str, faults: Iterable[str]) -> None:
        self.faults |= {f"{name} {way}: {fault}" for fault in faults}


@pytest.mark.parametrize(
    ("service", "hook", "plantings", "most"),
    [
        *((*call, _share(position), 1) for position, call in enumerate(CALLS[::4])),
        *(
            pytest.param(*call, PLANTINGS, SPEAKING + SILENT, id=f"{'-'.join(call)}-all", marks=pytest.mark.slow)
            for call in CALLS
        ),
    ],
)
def test_no_text_of_a_chart_is_live_on_a_card_or_a_page(
    service: str, hook: str, plantings: list[tuple[str, str]], most: int, tmp_path: Path, as_of: datetime
) -> None:
    async def call() -> _Hunt:
        async with client(tmp_path, as_of=as_of) as calls:
            hunt = _Hunt(calls, service)
            chosen = await hunt.chosen(requests_of(service, hook, as_of), most)
            first = chosen[:SPEAKING]
            for position, planting in enumerate(plantings):
                await hunt.ask(first[position % len(first)], *planting)
            for request in chosen[SPEAKING:]:
                for planting in plantings[::4]:
                    await hunt.ask(request, *planting)
            return hunt

    hunt = asyncio.run(call())
    assert sorted(hunt.faults) == []
    assert hunt.shown


@pytest.mark.sampled
@pytest.mark.parametrize("dialect", [name for name in find_dialects() if name != "standard"])
def test_no_text_of_a_chart_is_live_in_another_dialect(dialect: str, tmp_path: Path, as_of: datetime) -> None:
    request = request_for("order-safety", "order-sign", "ckd4-metformin", as_of, "metformin-ckd4-coded")

    async def call() -> _Hunt:
        async with client(tmp_path, as_of=as_of, dialect=dialect) as calls:
            hunt = _Hunt(calls, "order-safety", is_markdown=find_dialects()[dialect].markdown != "plain")
            for name in some_of(HOSTILE_WORDS, 3):
                await hunt.ask(request, name, "behind")
            return hunt

    assert sorted(asyncio.run(call()).faults) == []


# A text that the decoder cuts is for whole calls: the cases hand their resources on decoded.
_IN_CASES = [name for name in HOSTILE_WORDS if name != "endless"]
_turns = count()


@pytest.mark.slow
@every_case("fires")
def test_no_name_or_note_of_a_chart_is_live_on_the_card_of_a_rule(rule: str, case: Case, as_of: datetime) -> None:
    """The cases of a rule take the words in turn."""
    name = _IN_CASES[next(_turns) % len(_IN_CASES)]
    words = HOSTILE_WORDS[name]
    bundle = planted(bundle_of(case["patient"], as_of), words, "behind")
    record = read_record({"all": decoder.decode(orjson.dumps(bundle))}, PATIENT_ID, as_of)
    drafts = drafts_of(planted(draft_of(case["draft"]), words, "behind"))
    outcome = check_orders(record, drafts, JUDGED, uuids(), rule_book(), originals(bundle), signing=True)
    for card in outcome.cards:
        faults = [*markdown_faults(card.detail or "", words), *plain_faults(card.summary, words)]
        faults += [fault for fact in card.own_extension.facts for fault in plain_faults(fact.text, words)]
        assert faults == [], name


@for_rows("name", HOSTILE_WORDS)
def test_the_page_of_a_decision_makes_no_html_of_what_nobody_escaped(name: str) -> None:
    """The second line of defence: were a card's detail live, its page would still have no HTML and run nothing."""
    found = faults_of_page(render_markdown(HOSTILE_WORDS[name]), HOSTILE_WORDS[name])
    assert not [fault for fault in found if fault.startswith("<") and not fault.startswith("<a ")]


def _worded(value: Any, words: str) -> Any:
    """The value with the words behind every text of several words; names and codes, by which things are found, stay."""
    if isinstance(value, str):
        return f"{value} {words}" if " " in value else value
    if isinstance(value, list):
        return [_worded(each, words) for each in value]
    return {name: _worded(each, words) for name, each in value.items()} if isinstance(value, dict) else value


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE_WORDS)
def test_no_text_of_a_models_files_is_live_on_its_page(name: str) -> None:
    """A model may come from another site: its manifest and its card are texts from outside."""
    words = HOSTILE_WORDS[name]
    for model in model_ids():
        manifest = FILES.manifest(model)
        assert manifest is not None
        hostile = msgspec.convert(_worded(msgspec.to_builtins(manifest), words), Manifest)
        page = model_page(SITE, hostile, _worded(FILES.card(model), words))
        assert "zqx" in page
        assert faults_of_page(page, words) == []
        assert faults_of_page(models_page(SITE, hostile.id, hostile.title, hostile.version), words) == []


@pytest.mark.parametrize("page", ["models", "equations", "rules", "explain"])
def test_no_text_of_an_address_is_live_on_the_page_that_says_it_is_not_there(page: str, tmp_path: Path) -> None:
    async def answers() -> list[tuple[str, httpx.Response]]:
        async with client(tmp_path) as calls:
            places = [(name, f"/{page}/{quote(words[:1000], safe='')}") for name, words in HOSTILE_WORDS.items()]
            asked = [(name, each) for name, at in places for each in (at, f"{at}/card.json", f"{at}?{at}")]
            return [(name, await calls.get(place)) for name, place in asked]

    for name, answer in asyncio.run(answers()):
        assert answer.status_code == 404, name
        assert "zqx" not in answer.text, name
        assert "zqx" not in str(answer.headers), name
