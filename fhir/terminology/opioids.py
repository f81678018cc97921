"""Conversion of opioids to milligrams of oral morphine by the CDC guideline of 2022 (tables/opioids.csv).

CDC Clinical Practice Guideline for Prescribing Opioids for Pain, MMWR Recomm Rep 2022;71(3), conversion table. The
factors are for the risk of a dose, never for changing one opioid to another. What is not in the table has no factor:
buprenorphine by purpose, meperidine, levorphanol, pentazocine, butorphanol, opium, dihydrocodeine and every fentanyl
that is no patch because no factor was published.
"""

from collections.abc import Mapping
from functools import cache
from typing import Literal

from msgspec import Struct

from fhir.terminology.medications import class_members, table_rows

FENTANYL = "4337"
METHADONE = "6813"
TOLERANT_MME = 60.0
"""Milligrams of oral morphine a day that make tolerant (class definition of the ER/LA opioid labels)."""


class OpioidFactor(Struct, frozen=True, gc=False):
    """Milligrams of morphine for each milligram ("mg") or each mcg/h worn; the daily dose that makes tolerant."""

    factor: float
    per: Literal["mg", "mcg/h"]
    tolerance: float


@cache
def opioid_factors() -> Mapping[str, OpioidFactor]:
    """The factors by RxNorm ingredient code; of an opioid whose label names no tolerance, the equianalgesic dose."""
    return {
        row["rxcui"]: OpioidFactor(
            float(row["factor"]),
            row["per"],  # type: ignore[arg-type]  # our own table
            float(row["tolerance_mg"] or TOLERANT_MME / float(row["factor"])),
        )
        for row in table_rows("opioids.csv")
    }


def is_opioid(rxcui: str) -> bool:
    """Whether the ingredient is an opioid agonist, partial ones included."""
    return rxcui in class_members()["opioid"]


def is_partial_agonist(rxcui: str) -> bool:
    """Whether it is a partial agonist such as buprenorphine."""
    return rxcui in class_members()["opioid_partial_agonist"]
