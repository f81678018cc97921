"""Two servers on one PostgreSQL, as on two machines: acts and answers hold on both."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.evidence.audit.verification import audit
from tests.cds_hooks.calls import ORDERS, PLANNING
from tests.cds_hooks.conftest import postgres_server, postgres_url
from tests.conftest import ROOT
from tests.contracts.contracts import counted_request_for
from tests.live import free_port, serving
from tests.program import run_program
from tests.recorded import list_decisions
from tests.waiting import until

pytestmark = pytest.mark.slow

__all__ = ["postgres_server", "postgres_url"]


def _reasons(answer: dict[str, Any]) -> set[str]:
    return {each["reason"] for each in answer["extension"]["org.cds-hooks-onnx"].get("silence", [])}


def test_a_kill_switch_and_a_clinicians_answer_hold_on_both_machines(postgres_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    order = counted_request_for(ORDERS, "order-sign", "ckd4-metformin", now, "metformin-ckd4-coded")
    view = counted_request_for(PLANNING, "patient-view", "planning-talk", now)
    record: dict[str, Any] = {"CDS_DATABASE_URL": postgres_url}
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with serving(folders[0], **record) as first, serving(folders[1], **record) as second:

        def call(address: str, service: str, request: dict[str, Any]) -> dict[str, Any]:
            answer = httpx.post(f"{address}/cds-services/{service}", json=request, timeout=180)
            found: dict[str, Any] = answer.raise_for_status().json()
            return found

        def act(*words: str) -> None:
            told = run_program("release", *words, "--why", "a trial", environment=record)
            assert told.returncode == 0, told.stderr

        assert call(first, ORDERS, order)["cards"]
        act("off", "service", ORDERS)
        for address in (first, second):
            until(lambda address=address: _reasons(call(address, ORDERS, order)) == {"switched-off"})  # type: ignore[misc]
        act("on", "service", ORDERS)
        for address in (first, second):
            until(lambda address=address: bool(call(address, ORDERS, order)["cards"]))  # type: ignore[misc]

        (card,) = call(first, PLANNING, view)["cards"]
        item = {
            "card": card["uuid"],
            "outcome": "overridden",
            "overrideReason": {"reason": card["overrideReasons"][0]},
            "outcomeTimestamp": datetime.now(UTC).isoformat(),
        }
        sent = httpx.post(f"{first}/cds-services/{PLANNING}/feedback", json={"feedback": [item]}, timeout=180)
        assert sent.is_success
        until(lambda: call(second, PLANNING, view)["cards"] == [])
        assert call(first, PLANNING, view)["cards"] == []
    decisions = list_decisions(postgres_url, limit=1000)
    assert audit(postgres_url).findings == []
    assert {json.loads(each.basis)["config"] for each in decisions if each.service == ORDERS}
    assert len({each.id for each in decisions}) == len(decisions)


# The page that connects a client in five minutes works literally: its commands, in its order, in an empty folder.
_BLOCK = re.compile(r"(?:^ {4,}\S.*\n)+", re.MULTILINE)
_SERVE = re.compile(r"^(.*cds-hooks serve.*)$", re.MULTILINE)
_END = "if kill $server 2> kill.txt; then wait $server || true; fi"
_READY = "until curl -s --fail -o ready.json http://127.0.0.1:8085/readyz; do kill -0 $!; sleep 0.1; done"


def commands_of(page: str) -> str:
    """The commands of the five minutes as a shell runs them; a server runs until the next one or the end."""
    part = page.partition("## Five minutes\n")[2].partition("\n## ")[0]
    script = "\n".join(re.sub(r"^ +", "", block, flags=re.MULTILINE) for block in _BLOCK.findall(part))
    served = _SERVE.sub(rf"{_END}\n\1 &\nserver=$!\n{_READY}", script)
    return f"set -e\ntrap 'kill $server' EXIT\nserver=\n{served}"


def test_the_five_minutes_of_the_trust_page_work_as_they_are_written(tmp_path: Path) -> None:
    script = commands_of((ROOT / "docs" / "operations" / "trust.md").read_text(encoding="utf-8"))
    assert script.count("cds-hooks serve") == 2
    assert script.count("cds-hooks accounts") == 2
    port = str(free_port())
    script = script.replace("8085", port).replace("cds-hooks serve", f"cds-hooks serve --port {port}")
    program = str(Path(sys.executable).parent)
    environment = {"PATH": f"{program}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "The account ben can log in as approver." in done.stdout
    assert '"services"' in done.stdout
    rules = json.loads((tmp_path / "ready.json").read_text())["rules"]
    assert rules["not_approved"] > 600 > rules["approved"], "nobody has clicked yet"
    assert len((tmp_path / "reviewed.txt").read_text().splitlines()) > 600
