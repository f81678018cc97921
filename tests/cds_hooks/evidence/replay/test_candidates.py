"""What a candidate would have changed, on decisions of a server in process."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cds_hooks.evidence.replay.candidates import NoCandidate, candidate_site
from cds_hooks.evidence.storage.content import use_content_keys
from cds_hooks.settings import Settings
from models_onnx.serving.registry import ARTIFACTS
from tests.cds_hooks.call.prefetch.fetch_calls import app_client
from tests.cds_hooks.calls import ORDERS, PLANNING, counted_request_for
from tests.live import record_in
from tests.program import run_program

_KEY = "6b" * 32


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    """The environment of a site with six decisions: three calls, each answered twice."""
    (tmp_path / "keys").write_text(_KEY)
    now = datetime.now(UTC)
    views = [counted_request_for(PLANNING, "patient-view", each, now) for each in ("planning-talk", "healthy-adult")]
    order = counted_request_for(ORDERS, "order-sign", "ckd4-metformin", now, "metformin-ckd4-coded")

    async def call() -> None:
        async with app_client(tmp_path, content_keys=tmp_path / "keys") as calls:
            for service, request in [(PLANNING, each) for each in views] + [(ORDERS, order)]:
                assert (await calls.post(f"/cds-services/{service}", json=request)).is_success

    asyncio.run(call())
    asyncio.run(call())
    use_content_keys("")
    return {"CDS_DATABASE_URL": record_in(tmp_path), "CDS_CONTENT_KEYS": str(tmp_path / "keys")}


def test_a_setting_a_rules_file_and_a_model_are_tried(site: dict[str, str], tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('version = 1\n[[switch]]\nrule = "renal-metformin"\noff = true\nnote = "a trial"\n')
    every = ("replay", "--sample", "100%", "--json", "--against")
    done = run_program(*every, "CDS_ALERT_SHARE=0.001", "--against", str(rules), environment=site)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["by_service"][PLANNING]["fewer"] == 2
    assert found["by_card"]["mortality_5y"] == {"fewer": 2}
    assert found["by_card"]["renal-metformin/lt30"] == {"fewer": 2}
    assert found["not_replayed"] == 0
    assert "not known" not in found["by_group"]
    of_cards = sum(each.get("fewer", 0) for each in found["by_card"].values())
    assert sum(group["fewer"] for group in found["by_group"].values()) == of_cards
    off = run_program(*every, "renal-metformin=off", environment=site)
    assert json.loads(off.stdout)["cards"]["renal-metformin/lt30"] == {"now": 2}
    same = run_program(*every, str(ARTIFACTS / "mortality_5y"), environment=site)
    assert same.returncode == 0, same.stdout
    assert json.loads(same.stdout)["examples"] == {}


@pytest.mark.slow
def test_the_report_names_examples_to_open(site: dict[str, str]) -> None:
    done = run_program("replay", "--sample", "100%", "--against", "CDS_ALERT_SHARE=0.001", environment=site)
    assert "fewer mortality_5y: 0" in done.stdout
    assert "decisions computed twice" in done.stdout


def test_what_is_no_candidate_is_refused_in_a_sentence(tmp_path: Path) -> None:
    configured = Settings(database_url=record_in(tmp_path))
    for name in ("nothing-like-it", "CDS_NOTHING_LIKE_IT=1", "ALERT_SHARE=1", "cds_alert_share=1"):
        with pytest.raises(NoCandidate) as refused:
            candidate_site(configured, [name])
        assert (
            str(refused.value)
            == f"{name} must be the folder of a model, a rules file (.toml), a terminology index (.idx), a "
            "setting as CDS_NAME=value, or a rule as RULE=on or RULE=off"
        )
    with pytest.raises(NoCandidate, match="is not there"):
        candidate_site(configured, ["rules.toml"])
