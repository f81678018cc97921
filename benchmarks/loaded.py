"""How many of our lines a server has loaded when it is ready, before its first call, by package."""

from __future__ import annotations

import json
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from benchmarks.charts import ROOT

GOAL_LINES = 40_000
_READY_SERVER = """
import asyncio, json, os, sys
from pathlib import Path
from cds_hooks.app import create_app
from cds_hooks.settings import Settings

async def start(application):
    ready, messages = asyncio.Event(), asyncio.Queue()
    async def send(message):
        assert message["type"] == "lifespan.startup.complete", message
        ready.set()
    await messages.put({"type": "lifespan.startup"})
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    serving = asyncio.create_task(application(scope, messages.get, send))
    await asyncio.wait({serving, asyncio.ensure_future(ready.wait())}, return_when="FIRST_COMPLETED")
    lines = {}
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/")
        if file.suffix == ".py" and name.split(".")[0] in ("cds_hooks", "cards", "models_onnx", "fhir"):
            if "site-packages" not in file.parts:
                lines[name] = len(file.read_text().splitlines())
    print(json.dumps(lines), flush=True)
    os._exit(0)  # nothing was answered, so nothing has to be closed

asyncio.run(start(create_app(Settings(database_url=sys.argv[1], log_level="error"))))
"""


def measure_loaded() -> dict[str, int]:
    """Lines of each of our modules that a server has imported when it says that it is ready."""
    with TemporaryDirectory(prefix="cds-loaded-") as folder:
        command = [sys.executable, "-c", _READY_SERVER, f"sqlite:///{folder}/decisions.sqlite3"]
        output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    lines: dict[str, int] = json.loads(output.splitlines()[-1])
    return lines


def by_package(lines: dict[str, int]) -> dict[str, int]:
    """Return the sum for each folder of the second level, the largest first."""
    sums: dict[str, int] = {}
    for module, count in lines.items():
        package = ".".join(module.split(".")[:2])
        sums[package] = sums.get(package, 0) + count
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def table(lines: dict[str, int]) -> Table:
    """Lines by package, and their sum beside the goal."""
    title = f"A ready server has {sum(lines.values()):,} of our lines in {len(lines)} modules (goal {GOAL_LINES:,})"
    packages = Table("package", title=title)
    packages.add_column("lines", justify="right")
    for package, count in by_package(lines).items():
        packages.add_row(package, f"{count:,}")
    return packages


def as_json(lines: dict[str, int]) -> dict[str, Any]:
    """Return the sum and the sums by package."""
    return {"lines": sum(lines.values()), "modules": len(lines), "by_package": by_package(lines)}
