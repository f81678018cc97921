"""The page that connects a client in five minutes works literally: its commands, in its order, in an empty folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.servers import free_port
from tests.conftest import ROOT

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


@pytest.mark.slow
def test_the_five_minutes_of_the_trust_page_work_as_they_are_written(tmp_path: Path) -> None:
    script = commands_of((ROOT / "docs" / "operations" / "trust.md").read_text(encoding="utf-8"))
    assert script.count("cds-hooks serve") == 2
    assert script.count("cds-hooks accounts") == 2
    port = str(free_port())
    script = script.replace("8085", port).replace("cds-hooks serve", f"cds-hooks serve --port {port}")
    program = str(Path(sys.executable).parent)
    environment = {"PATH": f"{program}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "The account ben can log in as approver." in done.stdout
    assert '"services"' in done.stdout
    rules = json.loads((tmp_path / "ready.json").read_text())["rules"]
    assert rules["not_approved"] > 600 > rules["approved"], "nobody has clicked yet"
    assert len((tmp_path / "reviewed.txt").read_text().splitlines()) > 600
