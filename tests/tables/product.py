"""The tables of the product: data files of its packages in which rows are facts."""

import re
from typing import Final

from tests.conftest import ROOT

_PACKAGES: Final = ("fhir", "cards", "models_onnx", "cds_hooks")
_NO_TABLES: Final = re.compile(
    r"cards/rules/families/[a-z]+/[\w.-]+\.json|.*\.schema\.json|models_onnx/artifacts/.*|"
    r"models_onnx/equations/published/.*|models_onnx/(models|model_card)/.*card\.json|cds_hooks/kit/samples/.*|"
    r"cds_hooks/web/docs/.*|"
    r"models_onnx/artifact/maintainers\.json"
)
"""Rules, schemas, artifacts, prose and samples."""


def product_tables() -> list[str]:
    """Return every data file of the packages that is a table, by its path."""
    files = (
        path.relative_to(ROOT).as_posix()
        for package in _PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".csv", ".json", ".txt", ".tsv") and path.is_file()
    )
    return sorted(name for name in files if not _NO_TABLES.fullmatch(name))
