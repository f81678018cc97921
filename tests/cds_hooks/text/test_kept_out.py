"""The server, its services and its pages load nothing of the text part."""

import subprocess
import sys

OUT = (
    "import sys, cds_hooks.app, cds_hooks.server, cds_hooks.cli, cds_hooks.pages.late\n"
    "print(sorted(name for name in sys.modules if name.startswith(('cds_hooks.text', 'fhir.notes', 'mcp'))))"
)


def test_the_server_loads_no_module_of_the_text_part() -> None:
    answer = subprocess.run([sys.executable, "-c", OUT], capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout.strip() == "[]"
