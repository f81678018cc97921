"""The same draft before the same chart, answered by the label, the names and the units of each country.

The country is named before a table is read, so a server of its own answers for each, in a process of its own.
`countries.csv`: the draft as "product | sig", the chart in words (`_chart`), and for each country in `country` the
highest level ("silent" where nothing is said), words that stand on a card or, after "!", on none, and what a button
says or, after "!", no button.
"""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import ROOT
from tests.each import for_rows, some_of

Json = dict[str, Any]
ROWS: Final = list(csv.DictReader((Path(__file__).parent / "countries.csv").read_text(encoding="utf-8").splitlines()))
COUNTRIES: Final = some_of(("DE", "FR", "US", "GB"), 4)
LEVELS: Final = ("silent", "info", "warning", "critical")
SERVE: Final = """
import asyncio, json, sys
from datetime import UTC, datetime
from pathlib import Path
from cds_hooks.settings import Settings
from fhir.terminology.country import use_country
as_of = datetime(2026, 11, 20, 9, tzinfo=UTC)
configured = Settings(as_of=as_of, database_url=f"sqlite:///{sys.argv[1]}/record.sqlite3", services="separate")
use_country(configured.country)
from tests.cards.rules.drafted import bundle_of_case, draft_resource
from tests.contracts.contracts import open_client
from cards.rules.engine.governance import all_rule_versions

async def ask():
    async with open_client(configured) as client:
        services = (await client.get("/cds-services")).json()["services"]
        keys = {key for service in services if service["hook"] == "order-sign" for key in service["prefetch"]}
        nothing = dict.fromkeys(keys - {"patient"}, {"resourceType": "Bundle", "type": "searchset", "entry": []})
        for number, case in enumerate(json.load(sys.stdin)):
            drafts = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": draft_resource(case)}]}
            context = {"userId": "Practitioner/1", "patientId": "case", "draftOrders": drafts}
            call = {"hook": "order-sign", "hookInstance": f"00000000-0000-4000-8000-{number:012}", "context": context,
                    "prefetch": {**nothing, "all": bundle_of_case(case, as_of)}}
            answer = await client.post("/cds-services/order-safety", json=call)
            yield answer.json()

async def main():
    answers = [answer async for answer in ask()]
    versions = {rule: version.digest for rule, version in all_rule_versions().items()}
    print(json.dumps({"answers": answers, "versions": versions}))
asyncio.run(main())
"""


def _chart(words: str) -> Json:
    """ "age 70; has afib; lab creatinine 2.2; takes warfarin 5 MG Oral Tablet | 5 mg daily" as a compact patient."""
    chart: Json = {"labs": [], "conditions": [], "takes": []}
    for part in filter(None, map(str.strip, words.split(";"))):
        kind, _, value = part.partition(" ")
        if kind == "has":
            chart["conditions"].append(value)
        elif kind == "takes":
            chart["takes"].append(value)
        elif kind == "lab":
            analyte, number, *unit = value.split()
            chart["labs"].append([analyte, float(number), 3, *unit])
        else:
            chart[kind] = int(value) if value.isdigit() else value
    return chart


def _server(country: str, folder: Path) -> Json:
    numbers = [number for number, asked in _expected() if asked == country]
    cases = json.dumps([{"draft": ROWS[number]["draft"], "chart": _chart(ROWS[number]["chart"])} for number in numbers])
    environment = {**os.environ, "CDS_COUNTRY": country, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(folder)],
        input=cases, capture_output=True, text=True, check=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    answered: Json = json.loads(done.stdout)
    return answered | {"answers": dict(zip(numbers, answered["answers"], strict=True))}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """What the server of each country answers to its rows, and its versions of the rules."""
    return {country: _server(country, tmp_path_factory.mktemp(country)) for country in COUNTRIES}


def _expected() -> Iterator[tuple[int, str]]:
    for number, row in enumerate(ROWS):
        yield from ((number, country) for country in row["country"].split(";") if country in COUNTRIES)


def _holds(expected: str, text: str) -> bool:
    word = expected.removeprefix("!")
    return (word.lower() in text.lower()) is (word == expected)


_NAMES: Final = [f"{ROWS[number]['draft']} in {country}, row {number + 2}" for number, country in _expected()]


@pytest.mark.sampled
@for_rows("number, country", list(_expected()), ids=_NAMES)
def test_a_draft_is_answered_by_the_label_names_and_units_of_the_country(
    number: int, country: str, servers: dict[str, Json]
) -> None:
    row, answer = ROWS[number], servers[country]["answers"][number]
    cards = answer["cards"]
    level = max((LEVELS.index(card["indicator"]) for card in cards), default=0)
    assert LEVELS[level] == row["level"], cards
    text = " ".join(f"{card['summary']} {card.get('detail', '')} {card['source']['label']}" for card in cards)
    buttons = " ".join(offer["label"] for card in cards for offer in card.get("suggestions", ()))
    assert [words for words in filter(None, row["words"].split("|")) if not _holds(words, text)] == [], text
    assert [words for words in filter(None, row["buttons"].split("|")) if not _holds(words, buttons)] == [], buttons


@pytest.mark.sampled
def test_an_approval_of_a_rule_in_one_country_is_none_in_another(servers: dict[str, Json]) -> None:
    versions = [servers[country]["versions"]["renal-dabigatran"] for country in COUNTRIES]
    assert len(set(versions)) == len(COUNTRIES)


def test_an_unknown_country_ends_the_start_with_those_that_are_known(tmp_path: Path) -> None:
    environment = {**os.environ, "CDS_COUNTRY": "Atlantis", "CDS_DATABASE_URL": f"sqlite:///{tmp_path}/record.sqlite3"}
    done = subprocess.run(
        [sys.executable, "-m", "cds_hooks", "serve"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 2
    assert all(part in done.stderr for part in ("CDS_COUNTRY", "'Atlantis'", *COUNTRIES))
    assert "Traceback" not in done.stderr
