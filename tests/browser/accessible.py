"""axe-core over a page: nothing serious or critical by WCAG 2.2 AA may be found."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def serious_faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical, each with its rule and place."""
    options: dict[str, Any] = {"runOnly": {"type": "tag", "values": _TAGS}}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['html'][:120]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
