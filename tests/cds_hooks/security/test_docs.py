"""What docs/security.md and docs/operations/trust.md say is there: tests, settings, reasons, numbers."""

import re
from typing import Any, get_args

import pytest

from cds_hooks.errors import UntrustedReason
from cds_hooks.security.trust_file import schema
from tests.cds_hooks.security.conftest import DATA
from tests.conftest import ROOT

SECURITY = (ROOT / "docs" / "security.md").read_text()
TRUST = (ROOT / "docs" / "operations" / "trust.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", SECURITY)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_is_named_is_there(file: str, test: str) -> None:
    text = (ROOT / file).read_text()
    assert f"def {test}(" in text if test else "def test_" in text


def test_each_of_the_seventeen_risks_has_a_test() -> None:
    rows = re.findall(r"^\| (R\d+) \|.*`tests/", SECURITY, re.MULTILINE)
    assert rows == [f"R{number}" for number in range(1, 18)]


def _settings(node: dict[str, Any]) -> set[str]:
    found = set(node.get("properties", {}))
    for name in ("jwks", "budgets"):
        found |= set(node.get("properties", {}).get(name, {}).get("properties", {}))
    return found


def test_every_setting_of_the_trust_file_is_explained() -> None:
    settings = _settings(schema()) | _settings(schema()["$defs"]["client"])
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", TRUST))))
    assert settings - words == set()


def test_every_reason_is_explained() -> None:
    table = TRUST.partition("## Reasons of a 401")[2]
    assert {reason for reason in get_args(UntrustedReason) if f"`{reason}`" not in table} == set()


def test_the_corpora_are_as_large_as_is_said() -> None:
    for name, count in re.findall(r"`(\w[\w-]+\.jsonl)` \| (\d+) ", SECURITY):
        assert len((DATA / name).read_text().splitlines()) == int(count), name
