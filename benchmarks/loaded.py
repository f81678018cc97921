"""How many of our lines a server has loaded when it is ready, before its first call, by package."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from tempfile import TemporaryDirectory

from rich.table import Column, Table

from benchmarks.charts import ROOT

GOAL_LINES = 40_000
_READY_SERVER = """
import json, sys
from pathlib import Path
from starlette.testclient import TestClient
from cds_hooks.app import create_app
from cds_hooks.settings import Settings

with TestClient(create_app(Settings(database_url=sys.argv[1], log_level="error"))):
    lines = {}
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/")
        if file.suffix == ".py" and name.split(".")[0] in ("cds_hooks", "cards", "models_onnx", "fhir"):
            if "site-packages" not in file.parts:
                lines[name] = len(file.read_text().splitlines())
    print(json.dumps(lines), flush=True)
"""


def loaded_lines() -> Table:
    """Lines of our modules that a server has imported when it says that it is ready, by package, beside the goal."""
    with TemporaryDirectory(prefix="cds-loaded-") as folder:
        command = [sys.executable, "-c", _READY_SERVER, f"sqlite:///{folder}/decisions.sqlite3"]
        output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    lines: dict[str, int] = json.loads(output.splitlines()[-1])
    by_package: Counter[str] = Counter()
    for module, count in lines.items():
        by_package[".".join(module.split(".")[:2])] += count
    title = f"A ready server has {by_package.total():,} of our lines in {len(lines)} modules (goal {GOAL_LINES:,})"
    packages = Table("package", Column("lines", justify="right"), title=title)
    for package, count in by_package.most_common():
        packages.add_row(package, f"{count:,}")
    return packages
