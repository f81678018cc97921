"""Warfarin by CPIC's flow chart of 2017 (cpicpgx/cpic-data@459e3ebdccdc): the genotype decides, not a phenotype name.

The card gives no milligrams: the published algorithms need age, height, weight and interacting drugs, and their inputs
differ. Ancestry, which the chart asks for, is not used by this project.
"""

from collections.abc import Mapping
from typing import Final

from fhir.mapping.genomics.results import GeneResult

WARFARIN_GENES: Final = ("CYP2C9", "VKORC1")
_POOR = frozenset({"0.0", "0.5"})
_NORMAL = frozenset({"2.0"})
_SENSITIVE = frozenset({"-1639 AA", "-1639 AG"})


def warfarin_says(results: Mapping[str, GeneResult]) -> str | None:
    """ "poor" for poor metabolism by CYP2C9, "sensitive" where an algorithm gives another dose; None for neither.

    Without both genes the chart doses without genetics, but for poor metabolism, which stands alone.
    """
    cyp2c9 = set(_keys(results, "CYP2C9"))
    vkorc1 = set(_keys(results, "VKORC1"))
    if cyp2c9 and cyp2c9 <= _POOR:
        return "poor"
    if not cyp2c9 or not vkorc1:
        return None
    return "sensitive" if cyp2c9 - _NORMAL or vkorc1 & _SENSITIVE else None


def _keys(results: Mapping[str, GeneResult], gene: str) -> tuple[str, ...]:
    result = results.get(gene)
    return result.keys if result is not None and not result.is_preliminary else ()
