"""docs/architecture.md names files and folders that exist."""

import re

from tests.conftest import ROOT
from tests.each import for_rows

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:cds_hooks|cards|models_onnx|fhir)/[\w/]+(?:\.py|/))`", PAGE)))


@for_rows("path", PATHS)
def test_every_path_of_the_page_exists(path: str) -> None:
    assert (ROOT / path).exists()
