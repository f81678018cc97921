"""What the README says about the server is what the server is: its services, by hook, and the number of its rules."""

import re

from cards.rules.engine.rule_book import rule_book
from cds_hooks.services import find_services
from tests.conftest import ROOT

_README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_number_of_rules_in_the_readme_is_that_of_the_rule_book() -> None:
    assert re.findall(r"\[(\d+) rules\]", _README) == [str(len(rule_book().rules))]


def test_every_listed_service_stands_in_the_readme_with_its_hook() -> None:
    rows = [line for line in _README.splitlines() if line.startswith("| `")]
    for service in find_services().values():
        for entry in service.discovery():
            of_hook = [row for row in rows if f"`{entry['hook']}`" in row.split("|")[1]]
            assert any(f"`{entry['id']}`" in row for row in of_hook), entry["id"]
