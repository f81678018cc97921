"""Marks in every string, header and address of thousands of calls; none may come out.

A mark is planted wherever a client, its user or its FHIR server could put something of a patient. Looked through for
marks: what the server prints, /metrics, the bodies of errors and every response header. A card may hold what the chart
holds (it goes back to who sent it), and the record is there to hold it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx

from benchmarks.servers import running, service_command
from tests.hardening.planting import MARK, Planter, Shot, fhir_of_marks

_SECONDS = 180


@dataclass
class Found:
    """What was sent and answered, and where marks came out."""

    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    planted: int = 0
    searched: Counter[str] = field(default_factory=Counter)
    """Bytes looked through, by place."""
    leaks: list[str] = field(default_factory=list)

    def search(self, place: str, data: bytes, about: str = "") -> None:
        """Looks for marks, whatever their letter case."""
        self.searched[place] += len(data)
        low = data.lower()
        if MARK.encode() in low:
            at = low.index(MARK.encode())
            self.leaks.append(f"{place} {about}: …{data[max(0, at - 60) : at + 40].decode(errors='replace')}…")


def hunt(count: int, seed: int, folder: Path) -> Found:
    """The findings of `count` calls to a fresh server that works in `folder`."""
    found = Found()
    environment = {"CDS_DATABASE_URL": f"sqlite:///{folder}/decisions.sqlite3"}
    with fhir_of_marks() as fhir, running("canaries", service_command(), folder, None, **environment) as server:
        address = f"http://127.0.0.1:{server.port}"
        planter = Planter(Random(seed), fhir)
        with httpx.Client(base_url=address, timeout=_SECONDS) as client:
            for _ in range(count):
                _shoot(client, planter.shot(), found)
            found.search("metrics", client.get("/metrics").content)
        log = server.log
    found.planted = planter.planted
    found.search("stdout and stderr", log.read_bytes())
    return found


def _shoot(client: httpx.Client, shot: Shot, found: Found) -> None:
    answer = client.request(shot.method, shot.path, content=shot.body, headers=shot.headers)
    found.sent[shot.kind] += 1
    found.statuses[answer.status_code] += 1
    headers = b"\n".join(name + b": " + value for name, value in answer.headers.raw)
    found.search("response headers", headers, shot.kind)
    if answer.status_code >= 400:
        found.search("error bodies", answer.content, f"{shot.kind} {answer.status_code}")
