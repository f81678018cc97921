"""axe-core over a page: nothing may be found, at whatever level, by any of its rules."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def axe_faults(page: Page) -> list[str]:
    """What axe-core finds, each with its rule, level and place."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['html'][:120]}"
        for rule in found
        for node in rule["nodes"]
    ]
