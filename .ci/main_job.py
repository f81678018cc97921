"""The main job on real input: real patients through a real server with `cds-hooks call`, cards printed and checked.

    .venv/bin/python .ci/main_job.py --program .venv/bin/cds-hooks --data ../shared/data

Twenty-two patients go through patient-view; the renal cases and patients' own medication orders go through order-select
as drafts. It fails if any call fails, any model card's contributions do not add up, or fewer than two cards of either
kind come back. Server and calls run in an empty folder; the program may be the one from the wheel.
"""

import argparse
import csv
import gzip
import json
import math
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

EXTENSION = "org.cds-hooks-onnx"
FEWEST_CARDS = 2
TOLERANCE = 1e-5
# What a card says its contributions add up to: base + sum = link(probability, or value).
LINKS: dict[str, Callable[[float], float]] = {
    "logit": lambda value: math.log(value / (1 - value)),
    "cloglog": lambda value: math.log(-math.log(1 - value)),
    "log": math.log,
    "identity": lambda value: value,
}

# Twelve old and ill with many results; the others dead, young, few results, results out of range, or at low risk.
PATIENTS = (
    *("10004422", "10012853", "10014354", "10015272", "10016810", "10018501"),
    *("10020306", "10022281", "10023771", "10036156", "10037928", "10039997"),
    *("10000032", "10001217", "10003046", "10004733", "10008454", "10009049"),
    *("infant__Junita", "child__Burton", "chf_alive__Martina", "t2dm__Latanya"),
)  # fmt: skip
RENAL_RULE = re.compile("renal-(metformin|nsaid|dabigatran|apixaban|rivaroxaban|edoxaban|nitrofurantoin)")
# Whose own orders of which drug are drafted again.
OWN_ORDERS = (
    ("10020306", "apixaban"),
    ("10020306", "rivaroxaban"),
    ("10020306", "dabigatran"),
    ("10014354", "rivaroxaban"),
    ("10020786", "apixaban"),
    ("10005817", "metformin"),
    ("10022281", "metformin"),
    ("10035185", "metformin"),
    ("10002930", "nitrofurantoin"),
    ("10007795", "nitrofurantoin"),
    ("10001725", "ketorolac"),
    ("10018081", "ketorolac"),
    ("10039708", "naproxen"),
    ("dementia__Jonathan", "naproxen"),
    ("diab_renal__Josue", "metformin"),
)

_KINDS = {"order": "findings", "model": "contributions", "vaccines": "vaccines", "preventive": "preventive"}


class Job:
    """The calls of one run, and what came back."""

    def __init__(self, program: str, address: str, folder: Path) -> None:
        self._program, self._address, self._folder = program, address, folder
        self.faults: list[str] = []
        self.cards: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def call(self, hook: str, title: str, chart: Path, *options: str) -> None:
        """Call twice: to show the cards as a clinician sees them, and as JSON to check them."""
        print(f"\n--- {hook}: {title}", flush=True)
        command = [self._program, "call", str(chart), "--url", self._address, "--hook", hook, *options]
        with subprocess.Popen(
            [*command, "--json"], cwd=self._folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as checked:
            drawn = subprocess.run(command, cwd=self._folder, check=False)
            answer, complaint = checked.communicate()
        self.calls[hook] += 1
        if drawn.returncode != 0 or checked.returncode != 0 or not answer.strip():
            self.faults.append(f"{title}: exit codes {drawn.returncode} and {checked.returncode} {complaint}")
        for line in answer.splitlines():
            for card in json.loads(line)["answer"].get("cards", ()):
                self._check(title, card)

    def _check(self, title: str, card: dict[str, Any]) -> None:
        said = card["extension"][EXTENSION]
        kind = next((kind for kind, member in _KINDS.items() if member in said), "asking")
        self.cards[kind] += 1
        if kind == "order" and not said["findings"]:
            self.faults.append(f"{title}: a card without the rule that made it")
        if kind == "asking" and not (said.get("missing") or said.get("guideline") or card["source"].get("url")):
            self.faults.append(f"{title}: a card that neither tells nor asks nor names its guideline")
        if kind == "model":
            total = said["base"] + sum(part["contribution"] for part in said["contributions"])
            told = said["probability"] if "probability" in said else said["value"]
            gap = abs(total - LINKS[said["link"]](told))
            if gap > TOLERANCE:
                self.faults.append(f"{title}: base and contributions miss the prediction by {gap:.1e}")


def main() -> None:
    """Run the job; exit with the faults, if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, type=Path, help="the cds-hooks to run")
    parser.add_argument("--data", required=True, type=Path, help="the folder of other people's data")
    options = parser.parse_args()
    program, data = str(options.program.absolute()), options.data.absolute()
    with tempfile.TemporaryDirectory(prefix="cds-hooks-main-job-") as folder, serving(program, Path(folder)) as address:
        job = Job(program, address, Path(folder))
        for name in PATIENTS:
            job.call("patient-view", name, chart_of(data, name), "--shift-dates")
        for title, request in renal_cases(data, Path(folder)):
            job.call("order-select", title, request, "--shift-dates")
        for name, drug in OWN_ORDERS:
            chart = chart_of(data, name)
            order = order_of(chart, drug)
            job.call("order-select", f"{name} {drug}", chart, "--shift-dates", "--draft-ref", order)
    report(job)


def report(job: Job) -> None:
    """Say what was called and what came back; exit with a sentence where it is not as it should be."""
    print(f"\nCalls: {dict(job.calls)}, each drawn and checked. Cards: {dict(job.cards)}.")
    few = [kind for kind in ("model", "order") if job.cards[kind] < FEWEST_CARDS]
    faults = [*job.faults, *(f"{job.cards[kind]} {kind} cards came back, fewer than {FEWEST_CARDS}" for kind in few)]
    if faults:
        sys.exit("The main job failed:\n" + "\n".join(f"- {fault}" for fault in faults))
    print("The main job passed: no errors, every model card's contributions add up to its prediction.")


@contextmanager
def serving(program: str, folder: Path) -> Iterator[str]:
    """Yield the address of a server that runs in the folder until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([program, "serve", "--port", str(port)], cwd=folder, stdout=log, stderr=log)
    try:
        wait_until_ready(address, server)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        if (code := server.wait(timeout=30)) != 0:
            sys.exit(f"The server ended with {code}: {(folder / 'server.log').read_text()[-2000:]}")


def wait_until_ready(address: str, server: subprocess.Popen[bytes]) -> None:
    """Return when /readyz answers; exit when the server ended first or a minute went by."""
    for _ in range(600):
        try:
            httpx.get(f"{address}/readyz", timeout=1).raise_for_status()
        except httpx.HTTPError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    sys.exit("The server did not become ready.")


def chart_of(data: Path, name: str) -> Path:
    """Return the one chart of the data folder whose file name begins so."""
    (chart,) = (data / "fhir").glob(f"*/{name}*.json.gz")
    return chart


def order_of(chart: Path, drug: str) -> str:
    """Return the chart's last order of the drug, by its own words or by those of the Medication it refers to."""
    with gzip.open(chart) as content:
        resources = [entry["resource"] for entry in json.load(content)["entry"]]
    names = {each["id"]: json.dumps(each) for each in resources if each["resourceType"] == "Medication"}
    orders = []
    for each in resources:
        if each["resourceType"] == "MedicationRequest":
            referenced = each.get("medicationReference", {}).get("reference", "").rpartition("/")[2]
            if drug in (json.dumps(each.get("medicationCodeableConcept")) + names.get(referenced, "")).lower():
                orders.append((each.get("authoredOn", ""), each["id"]))
    return f"MedicationRequest/{max(orders)[1]}"


def renal_cases(data: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Title and request file of each case about a renal rule of today."""
    with (data / "cases" / "order-select" / "index.csv").open(newline="") as index:
        rows = [row for row in csv.DictReader(index) if RENAL_RULE.search(row["expected"] + row["must_not_fire"])]
    for row in rows:
        case = json.loads((data / "cases" / "order-select" / f"{row['id']}.json").read_text())
        request = folder / f"{row['id']}.json"
        request.write_text(json.dumps(case["request"]))
        yield f"{row['id']}, {row['title']} (expected: {row['expected']})", request


if __name__ == "__main__":
    main()
