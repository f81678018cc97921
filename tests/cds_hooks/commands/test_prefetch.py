"""`cds-hooks settings --prefetch-rates`: what clients send and what is fetched."""

import json
from collections import Counter
from pathlib import Path
from time import time_ns
from typing import Any

import pytest

from cds_hooks.monitor.prefetch_rates import ClientRates
from tests.cds_hooks.storage.samples import a_decision, store
from tests.each import for_rows
from tests.program import run_program

LABS: dict[str, Any] = {"state": "fetched", "milliseconds": 100.0}


def _basis(fetch: float, **prefetch: Any) -> bytes:
    return json.dumps({"timings": {"fetch": fetch}, "prefetch": prefetch}).encode()


ROWS = [
    ("b", "s", _basis(0.0, patient="given")),
    ("a", "s", _basis(130.0, patient="given", labs=LABS, flags={"state": "unobtainable", "reason": "timeout"})),
    ("a", "s", _basis(230.0, patient="null", labs=LABS | {"milliseconds": 200.0},
                      flags={"state": "failed", "reason": "status", "milliseconds": 9.0})),
    ("a", "s", _basis(0.0, patient="given", labs="given", flags={"state": "unobtainable", "reason": "timeout"})),
    ("a", "t", b'{"timings": {}}'),
]  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    at = time_ns() // 1000
    rows = (a_decision(client=client, service=service, basis=basis, decided_at=at) for client, service, basis in ROWS)
    store(address, *rows)
    return address


def _run(url: str, *words: str, columns: str = "100") -> tuple[int, str, str]:
    done = run_program("settings", "--prefetch-rates", "--database", url, *words, environment={"COLUMNS": columns})
    return done.returncode, done.stdout, done.stderr


A_SAYS, B_SAYS = "a sends 1 of 3 keys of s.", "b sends 1 of 1 keys of s."


def test_each_key_is_a_row_with_its_shares(url: str) -> None:
    code, shown, errors = _run(url)
    assert (code, errors) == (0, "")
    assert [" ".join(line.split()) for line in shown.splitlines() if line.strip(" ─")] == [
        "a → s: 3 calls", "key sent null failed fetched missing", "patient 67% 33%",
        "labs 33% 67%", "flags 33% 67%", A_SAYS, "b → s: 1 call",
        "key sent null failed fetched missing", "patient 100%", B_SAYS,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        ((), {"a": 3, "b": 1}),
        (("--client", "a"), {"a": 3}),
        (("--service", "s"), {"a": 3, "b": 1}),
        (("--service", "t"), {}),
        (("--client", "b", "--service", "s"), {"b": 1}),
    ],
)
def test_the_calls_of_a_client_and_a_service_are_counted(url: str, words: tuple[str, ...], calls: Any) -> None:
    assert {row["client"]: row["calls"] for row in json.loads(_run(url, *words, "--json")[1])} == calls


def test_where_nothing_is_known_that_is_said(url: str, tmp_path: Path) -> None:
    nothing = "No decision in the record says what its call brought.\n"
    assert _run(url, "--service", "t") == (0, nothing, "")
    code, shown, errors = _run(f"sqlite:///{tmp_path}/none.sqlite3")
    assert (code, shown, errors.startswith("There is no record at "), errors[-2:]) == (1, "", True, ".\n")


@for_rows(
    ("states", "sent"),
    [
        ({"given": 1, "fetched": 1}, 1),
        ({"null": 1, "failed": 1}, 1),
        ({"given": 1, "null": 1, "unobtainable": 2}, 1),
        ({"given": 1, "fetched": 2}, 0),
        ({"failed": 1}, 0),
    ],
)
def test_a_key_is_sent_where_it_comes_in_at_least_half_of_the_calls(states: dict[str, int], sent: int) -> None:
    assert ClientRates("a", "s", 1, {"labs": Counter(states)}).sentence == f"a sends {sent} of 1 keys of s."
