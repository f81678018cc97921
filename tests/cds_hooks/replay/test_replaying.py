"""Decisions of a real server computed again: the same bit for bit, and each cause of a difference by its name."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from msgspec import structs

from cds_hooks.replay import Replayer, Verdict, open_site
from cds_hooks.settings import Settings
from cds_hooks.storage import Decision
from cds_hooks.storage.content import read_content_keys, use_content_keys
from cds_hooks.storage.queries import list_decisions
from tests.cds_hooks.calls import ORDERS, PLANNING, counted_request_for
from tests.live import record_in, serving
from tests.program import run_program

_KEY = "5a" * 32
_ADDRESS = "http://cds.example.org"
_METFORMIN = ("order-sign", "ckd4-metformin", "metformin-ckd4-coded")


class _Recorded(NamedTuple):
    folder: Path
    url: str
    decisions: list[Decision]


def _settings(recorded: _Recorded, **changed: Any) -> Settings:
    keys = recorded.folder / "keys"
    return Settings(database_url=recorded.url, public_url=_ADDRESS, content_keys=keys, **changed)


def _verdicts(recorded: _Recorded, decisions: list[Decision] | None = None, **changed: Any) -> list[Verdict]:
    replayer = Replayer(open_site(_settings(recorded, **changed)), recorded.url)
    return list(replayer.verdicts(recorded.decisions if decisions is None else decisions))


def _override(calls: httpx.Client, service: str, card: dict[str, Any], now: datetime) -> None:
    answer = {
        "card": card["uuid"],
        "outcome": "overridden",
        "overrideReason": {"reason": card["overrideReasons"][0]},
        "outcomeTimestamp": now.isoformat(),
    }
    assert calls.post(f"/cds-services/{service}/feedback", json={"feedback": [answer]}).is_success


pytestmark = pytest.mark.slow  # test_facts and test_whole_calls ask replays of calls in process


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Recorded]:
    """Decisions of a server: models, equations, vaccines, orders, and what rests by answers."""
    folder = tmp_path_factory.mktemp("replayed")
    (folder / "keys").write_text(_KEY)
    now = datetime.now(UTC)
    kept = {"CDS_CONTENT_KEYS": str(folder / "keys"), "CDS_PUBLIC_URL": _ADDRESS}
    with (
        serving(folder, before=None, constants={}, **kept) as address,
        httpx.Client(base_url=address, timeout=60) as calls,
    ):
        views = [
            (PLANNING, "planning-talk"), ("nephrology-referral", "ckd-uacr"), ("vaccines-due", "healthy-adult"),
            ("statin-discussion", "diabetes-no-statin"), ("medication-review", "planning-talk"),
        ]  # fmt: skip
        for service, sample in views:
            calls.post(f"/cds-services/{service}", json=counted_request_for(service, "patient-view", sample, now))
        order = counted_request_for(ORDERS, *_METFORMIN[:2], now, _METFORMIN[2])
        card = calls.post(f"/cds-services/{ORDERS}", json=order).json()["cards"][0]
        _override(calls, ORDERS, card, now)
        calls.post(f"/cds-services/{ORDERS}", json=order)
        planning = calls.post(
            f"/cds-services/{PLANNING}", json=counted_request_for(PLANNING, "patient-view", "planning-talk", now)
        )
        _override(calls, PLANNING, planning.json()["cards"][0], now)
        calls.post(
            f"/cds-services/{PLANNING}", json=counted_request_for(PLANNING, "patient-view", "planning-talk", now)
        )
    use_content_keys(read_content_keys(_KEY))
    url = record_in(folder)
    yield _Recorded(folder, url, list_decisions(url))
    use_content_keys(read_content_keys(""))


def test_every_whole_call_gives_the_same_card_bit_for_bit(recorded: _Recorded) -> None:
    found = _verdicts(recorded)
    assert len(found) == 9
    assert [each.outcome for each in found] == ["same"] * 9, found


def test_an_answer_given_before_the_call_is_remembered_as_it_was(recorded: _Recorded) -> None:
    reasons = [reason for each in recorded.decisions for _, reason, _ in orjson.loads(each.basis).get("silence", [])]
    assert "acknowledged" in reasons, reasons
    assert "said-once" in reasons


def _changed(basis: bytes, **members: Any) -> bytes:
    read = orjson.loads(basis)
    for name, value in members.items():
        if value is None:
            read.pop(name, None)
        else:
            read[name] = value
    return orjson.dumps(read)


def _differing(verdicts: list[Verdict]) -> dict[str, Verdict]:
    return {each.service: each for each in verdicts if each.outcome == "differs"}


def test_a_changed_setting_is_named(recorded: _Recorded) -> None:
    found = _differing(_verdicts(recorded, alert_share=0.001))
    assert list(found) == [PLANNING]
    assert found[PLANNING].causes == ("setting CDS_ALERT_SHARE: was not set, is 0.001",)


def test_a_changed_rules_file_is_named(recorded: _Recorded, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('version = 1\n[[switch]]\nrule = "renal-metformin"\noff = true\nnote = "a trial"\n')
    (found,) = _differing(_verdicts(recorded, rules_file=rules)).values()
    assert found.service == ORDERS
    assert found.causes[0].startswith("rules file switch of renal-metformin: was not there, is ")


def test_another_day_is_named(recorded: _Recorded) -> None:
    later = datetime.now(UTC) + timedelta(days=3 * 365)
    found = _differing(list(Replayer(open_site(_settings(recorded)), recorded.url, later).verdicts(recorded.decisions)))
    assert found["nephrology-referral"].causes[0].startswith("day: recorded as of ")


def test_a_score_that_nothing_explains_is_said_to_be_a_fault(recorded: _Recorded) -> None:
    decision = next(each for each in recorded.decisions if each.service == PLANNING)
    scores = orjson.loads(decision.basis)["scores"] | {"probability": 0.5}
    changed = structs.replace(decision, basis=_changed(decision.basis, scores=scores))
    (found,) = _verdicts(recorded, [changed])
    assert found.outcome == "differs"
    assert found.causes[0].startswith("nothing that is in force has changed")


def test_the_command_says_what_differs_and_ends_with_its_code(recorded: _Recorded) -> None:
    env = {"CDS_DATABASE_URL": recorded.url, "CDS_CONTENT_KEYS": str(recorded.folder / "keys")}
    env |= {"CDS_PUBLIC_URL": _ADDRESS}
    same = run_program("replay", "--sample", "100%", "--json", environment=env)
    assert same.returncode == 0, same.stderr
    assert {row["outcome"] for row in json.loads(same.stdout)["decisions"]} == {"same"}
    card = next(each for each in recorded.decisions if each.outcome == "cards" and each.service == ORDERS)
    differs = run_program("replay", card.id, environment=env | {"CDS_PUBLIC_URL": "https://other.example.org"})
    assert differs.returncode == 1
    assert "cause: setting CDS_PUBLIC_URL: was http://cds.example.org, is https://other.example.org" in differs.stdout
    assert run_program("replay", environment=env).returncode == 2
    assert run_program("replay", "--sample", "0", environment=env).returncode == 2
