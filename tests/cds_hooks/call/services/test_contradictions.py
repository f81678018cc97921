"""All services of patient-view on real charts: no two of them say the same twice or contradict each other."""

import asyncio
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.tools.kit.simulator.chart import read_chart
from tests.cds_hooks.call.services.chart_cases import AS_OF, text_of
from tests.cds_hooks.call.services.opened_charts import cards_of, opened
from tests.cds_hooks.calls import client

pytestmark = pytest.mark.slow

Json = dict[str, Any]
CANCERS = re.compile(r"(?:Colorectal|Breast|Lung|Cervical) cancer screening\*\* \(")
MANY_DEATHS = re.compile(r"\*\*(?:About )?([5-9]\d) in 100\*\*[^.]*died within 5 years")


async def _answers(folder: Path, files: list[Path], way: str) -> list[dict[str, list[Json]]]:
    async with client(folder, as_of=AS_OF) as calls:
        charts = [opened(read_chart(file), way, AS_OF) for file in files]
        return [await cards_of(calls, resources, visit, AS_OF) for resources, visit in charts]


def _labels(cards: list[Json]) -> list[str]:
    return [offer["label"] for card in cards for offer in card.get("suggestions", [])]


def contradictions(answer: dict[str, list[Json]]) -> list[str]:
    """What two services say that does not go together."""
    faults = []
    # a vaccine that must not be given for a drug names it: that is no talk of going on with it
    texts = {
        service: re.sub(r"- Contraindicated: [^\n]*", "", text_of({"cards": cards}))
        for service, cards in answer.items()
    }
    offers = {service: _labels(cards) for service, cards in answer.items()}
    for one, other in combinations(answer, 2):
        faults += [f"{one} and {other} offer {label}" for label in set(offers[one]) & set(offers[other])]
        stopped = [label.removeprefix("Stop ").lower() for label in offers[one] if label.startswith("Stop ")]
        faults += [f"{one} stops {drug}, {other} talks of it" for drug in stopped if drug in texts[other].lower()]
    talks = [service for service, text in texts.items() if "talk about a statin" in text]
    faults += [f"the statin is offered by {talks}"] if len(talks) > 1 else []
    if CANCERS.search(texts["preventive-services"]) and MANY_DEATHS.search(texts["planning-conversation"]):
        faults.append("screening for cancer beside a short life")
    return faults


def _faults(folder: Path, files: list[Path], way: str) -> Counter[str]:
    answers = asyncio.run(_answers(folder, files, way))
    assert len(answers) == len(files) > 4
    return Counter(fault for answer in answers for fault in contradictions(answer))


def _charts(data_folder: Path) -> list[Path]:
    return [file for file in sorted((data_folder / "fhir").rglob("*.json.gz")) if "perf" not in file.parts]


@pytest.mark.parametrize(("start", "way"), [(0, "looked into"), (2, "newest visit"), (4, "visit that goes on")])
def test_services_do_not_contradict_each_other_on_any_chart(
    tmp_path: Path, data_folder: Path, start: int, way: str
) -> None:
    """Every second chart of the folder, a third of them in each way in which a chart is opened."""
    assert not _faults(tmp_path, _charts(data_folder)[start::6], way)
