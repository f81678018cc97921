"""What a service's card says of the chart is true of the chart: values with their dates, conditions with theirs."""

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import orjson
import pytest

from cards.rules.patient.measurements import name_of
from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.simulator.chart import Chart, last_event, move_dates
from cds_hooks.tools.kit.simulator.request import build_request
from fhir.mapping.conditions import condition_time
from fhir.mapping.kidney import KidneyEstimate, egfr_best
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import Condition, decoder
from fhir.terminology.analytes import ANALYTES
from tests.cds_hooks.call.services.test_every_service import CALLS, requests_of
from tests.cds_hooks.calls import client, ours
from tests.each import some_of

Json = dict[str, Any]
_BY_NAME: dict[str, list[str]] = {}
for _key, _analyte in ANALYTES.items():
    for _name in {name_of(_key).lower(), _analyte.words.lower()}:
        _BY_NAME.setdefault(_name, []).append(_key)
_NAMES = "|".join(re.escape(name) for name in sorted(_BY_NAME, key=len, reverse=True))
# "AST 80 U/L (2026-11-19)", "LDL cholesterol 205 mg/dL (2026-11-01)"
_DATED = re.compile(rf"(?<![\w-])({_NAMES}) ([\d.,]+)(?: [^\s();,:]+){{0,2}} \((\d{{4}}-\d\d-\d\d)\)", re.IGNORECASE)
_EGFR = re.compile(r"\beGFR ([\d.,]+)[^();]{0,24}\((\d{4}-\d\d-\d\d)\)")
_CONDITION = re.compile(r"\(\*\*([^*]+)\*\*, (\d{4}-\d\d-\d\d)\)")


def _is_shown(shown: str, *values: float) -> bool:
    digits = len(shown.rstrip(".").partition(".")[2])
    number = float(shown.replace(",", "").rstrip("."))
    return any(abs(number - value) <= 0.5 * 10.0**-digits + 1e-9 for value in values)


def _false_claims(text: str, record: PatientRecord) -> Iterator[str]:
    plain = text.replace("**", "").replace("\\", "")
    for name, shown, day in _DATED.findall(plain):
        if name.lower() == "egfr":
            continue
        found = [one for key in _BY_NAME[name.lower()] for one in record.measurements(key) if one.time.date == day]
        if not _is_shown(shown, *(value for one in found for value in (one.value, one.charted_value))):
            yield f"no such value: {name} {shown} ({day})"
    for shown, day in _EGFR.findall(plain):
        estimate = egfr_best(record)
        values = [one.value for one in record.measurements("egfr") if one.time.date == day]
        if isinstance(estimate, KidneyEstimate) and estimate.method != "dialysis":
            values.append(estimate.value)
        if not _is_shown(shown, *values):
            yield f"no such eGFR: {shown} ({day})"
    known = {(_words(one), _day(one, record)) for one in record.facts(Condition)}
    for words, day in _CONDITION.findall(text.replace("\\", "")):
        if (words, day) not in known:
            yield f"no such condition: {words}, {day}"


def _words(condition: Any) -> str:
    return condition.code.words.replace("\\", "")[:80] if condition.code is not None else ""


def _day(condition: Any, record: PatientRecord) -> str:
    time = condition_time(condition, record)
    return time.date if time is not None else ""


def _texts(answered: httpx.Response) -> Iterator[str]:
    for card in answered.json()["cards"]:
        yield from (card["summary"], card.get("detail", ""))
    yield from (silence["text"] for silence in ours(answered).get("silence", ()))


def _decoded(value: Json) -> Any:
    """The typed resource; of a Bundle without the entries that cannot be read, which the server passes over too."""
    if value["resourceType"] != "Bundle":
        return decoder.decode(orjson.dumps(value))
    return decoder.decode(orjson.dumps({**value, "entry": [one for one in value.get("entry", ()) if _is_read(one)]}))


def _is_read(entry: Json) -> bool:
    try:
        decoder.decode(orjson.dumps(entry["resource"]))
    except msgspec.ValidationError:
        return False
    return True


def _faults(answered: httpx.Response, request: Json, as_of: datetime) -> list[str]:
    prefetch = {key: _decoded(value) for key, value in request["prefetch"].items() if value}
    record = read_record(prefetch, request["context"]["patientId"], as_of)
    return [fault for text in _texts(answered) for fault in _false_claims(text, record)]


async def _answers(
    folder: Path, requests: list[tuple[str, Json]], as_of: datetime
) -> list[tuple[httpx.Response, Json]]:
    async with client(folder, as_of=as_of) as calls:
        return [(await calls.post(f"/cds-services/{service}", json=one), one) for service, one in requests]


@pytest.mark.parametrize(("service", "hook"), [one for one in CALLS if one[1] == "patient-view"])
@pytest.mark.sampled
async def test_what_a_service_says_of_a_sample_is_true(
    service: str, hook: str, tmp_path: Path, as_of: datetime
) -> None:
    requests = [(service, one) for one in some_of(requests_of(service, hook, as_of), 2)]
    answered = [(one, sent) for one, sent in await _answers(tmp_path, requests, as_of) if one.status_code == 200]
    assert answered
    assert [fault for one, sent in answered for fault in _faults(one, sent, as_of)] == []


@pytest.mark.slow
@pytest.mark.outside_data
async def test_what_the_services_say_of_real_charts_is_true(data_folder: Path, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    entries = [
        each
        for one in find_services(file="separate").values()
        for each in one.discovery()
        if each["hook"] == "patient-view"
    ]
    requests = []
    for path in sorted((data_folder / "fhir" / "synthea").glob("*.json.gz"))[::6]:
        resources = [entry["resource"] for entry in json.loads(gzip.decompress(path.read_bytes()))["entry"]]
        last = last_event(resources)
        chart = Chart([move_dates(one, (now - last).days) for one in resources] if last else resources)
        requests += [(entry["id"], build_request(entry, chart, [])) for entry in entries]
    answered = await _answers(tmp_path, requests, now)
    assert [fault for one, sent in answered for fault in _faults(one, sent, now)] == []
    told = "\n".join(text for one, _ in answered for text in _texts(one))
    assert len(_DATED.findall(told.replace("**", ""))) + len(_EGFR.findall(told)) + len(_CONDITION.findall(told)) > 1


def test_a_false_claim_is_found(as_of: datetime) -> None:
    record = read_record({}, "p1", as_of)
    text = "AST **80 U/L** (2026-11-19), eGFR 9 mL/min/1.73 m² (2026-11-18), on record (**Old MI**, 2025-10-17)"
    assert len(list(_false_claims(text, record))) == 3
