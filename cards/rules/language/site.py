"""The rules that a hospital writes itself: a folder beside the package, read as one family more.

The folder has `family.json` (whose rules they are, and which of ours they replace), rule files in the same language as
ours, and tables: `limits.csv` with the hospital's own maximum doses, `absent.csv` with the drugs that it does not have,
`formulary.csv` with drugs that it has although they are not known to be marketed in its country,
`conditions.csv` with its own codes and words of conditions.
A folder `review` in it holds rules that only the medication review asks. It is named once, before any rule is read.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

from cards.rules.language.rule import RuleError
from fhir.terminology.country import DEFAULT, own_country
from fhir.terminology.medication_names import medication_of_code
from fhir.terminology.medications import INGREDIENTS, RXNORM, table_rows
from fhir.terminology.plain_file import no_folder, plain_file

SITE: Final = "site"
REVIEW: Final = "site-review"
_HEAD: Final = "family.json"
_CONDITIONS: Final = "conditions.csv"
_LONGEST_LINE: Final = 100_000
_chosen_folder: list[Path | None] = [None]


def use_site_rules(folder: Path | None) -> None:
    """Names the folder of the hospital's rules, once for the process.

    Raises:
        RuleError: There is no such folder, it has neither family.json nor only a payer's policies, its conditions.csv
            is wrong, or rules were read already with another folder.
    """
    if folder == _chosen_folder[0]:
        return
    if folder is not None and not folder.is_dir():
        raise RuleError(f"CDS_SITE_RULES: {no_folder(folder)}")
    tables = () if folder is None else (path for path in folder.glob("*") if path.suffix in (".json", ".csv"))
    if folder is not None and not (folder / _HEAD).is_file() and (any(tables) or not (folder / "coverage").is_dir()):
        raise RuleError(f"{folder}: a folder of rules has a {_HEAD}; docs/adding/site-rules.md shows one")
    if _read_folders:
        raise RuleError(f"{folder}: the rules were read already; name the folder before the server starts")
    if folder is not None and (folder / _CONDITIONS).is_file():
        from fhir.terminology.site_conditions import WrongConditions, use_site_conditions  # sites without one: not read

        read_text(folder / _CONDITIONS)
        try:
            use_site_conditions(folder / _CONDITIONS)
        except WrongConditions as error:
            raise RuleError(str(error)) from error
    _chosen_folder[0] = folder


def payer_folder() -> Path | None:
    """Return the folder of a payer's own policies; None where the site has none."""
    _read_folders[:] = ["read"]
    folder = _chosen_folder[0]
    return folder / "coverage" if folder is not None and (folder / "coverage").is_dir() else None


def read_text(path: Traversable) -> str:
    """Return the text of a file; RuleError with the line that is not UTF-8, or longer than a line of a table can be."""
    content = (plain_file(path) if isinstance(path, Path) else path).read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RuleError(f"{path}, line {line}: this is not UTF-8") from error
    for number, line_text in enumerate(text.splitlines(), 1):
        if len(line_text) > _LONGEST_LINE:
            raise RuleError(f"{path}, line {number}: the line has more than {_LONGEST_LINE:,} characters")
    return text


_read_folders: list[str] = []


def site_folders() -> dict[str, Path]:
    """Return the folder of each family of the hospital, by the family's name; none where the site has none."""
    folder = _chosen_folder[0]
    _read_folders[:] = ["read"]
    if folder is None or not (folder / _HEAD).is_file():
        return {}
    review = folder / "review"
    return {SITE: folder} | ({REVIEW: review} if (review / _HEAD).is_file() else {})


@cache
def site_head() -> Mapping[str, Any]:
    """Return what `family.json` says; empty where the site has no rules."""
    folder = site_folders().get(SITE)
    if folder is None:
        return {}
    try:
        head = json.loads(read_text(folder / _HEAD))
    except json.JSONDecodeError as error:
        raise RuleError(f"{folder / _HEAD}, line {error.lineno}: this is not valid JSON ({error.msg})") from error
    except RecursionError as error:
        raise RuleError(f"{folder / _HEAD}, line 1: lists and objects are nested too deeply") from error
    if not isinstance(head, dict) or not isinstance(head.get("hospital"), str):
        raise RuleError(f"{folder / _HEAD}, line 1: `hospital` is missing, the name that cards show")
    if not isinstance(head.get("reviewed"), str):
        raise RuleError(f"{folder / _HEAD}, line 1: `reviewed` is missing, the day of the last review")
    replaces = head.get("replaces", [])
    if not isinstance(replaces, list) or not all(isinstance(rule, str) for rule in replaces):
        raise RuleError(f"{folder / _HEAD}, line 1: `replaces` must be a list of rule ids")
    return head


def replaced_rules() -> frozenset[str]:
    """Return the rules of ours that the hospital has replaced by its own: they are not asked."""
    return frozenset(site_head().get("replaces", ()))


def site_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of the hospital; none if it has no such table. RuleError where a drug is not known."""
    folder = site_folders().get(SITE)
    path = folder / name if folder is not None else None
    if path is None or not path.is_file():
        return []
    return list(_with_codes(path))


def _with_codes(path: Path) -> Iterator[dict[str, str]]:
    by_name = {ingredient.name: code for code, ingredient in INGREDIENTS.items()}
    by_name |= {row["name"]: by_name[row["usan"]] for row in table_rows("country_names.csv")}
    for line, row in enumerate(csv.DictReader(read_text(path).splitlines()), 2):
        code = by_name.get(row.get("drug", ""))
        if code is None:
            raise RuleError(f"{path}, line {line}: no ingredient of our tables is called {row.get('drug')!r}")
        cells = {name: cell or "" for name, cell in row.items() if name}
        yield cells | {"rxcui": code, "location": f"{path}, line {line}"}


@cache
def absent_drugs() -> Mapping[str, str]:
    """Return the ingredients that the hospital does not have, by RxNorm code, each with what it says of it."""
    return {row["rxcui"]: row.get("note", "") for row in site_rows("absent.csv")}


@cache
def _listed_drugs() -> frozenset[str]:
    """The ingredients that the hospital says it has, by RxNorm code."""
    return frozenset(row["rxcui"] for row in site_rows("formulary.csv"))


@cache
def _marketed_products() -> frozenset[str]:
    return frozenset(row["rxcui"] for row in table_rows("marketed.csv"))


def why_unavailable(product: str) -> str | None:
    """Why a product, by its RxNorm code, is not offered here; None where it may be.

    The hospital does not have it; or it is not known to be marketed in the country, and the hospital does not list it.
    """
    absent, is_marketed = absent_drugs(), own_country().code == DEFAULT or product in _marketed_products()
    if is_marketed and not absent:
        return None
    drug = medication_of_code(RXNORM, product)
    parts = drug.ingredients if drug is not None else ()
    if (name := next((part.name for part in parts if part.rxcui in absent), None)) is not None:
        return f"{name} is not in use here"
    is_listed = bool(parts) and all(part.rxcui in _listed_drugs() for part in parts)
    return None if is_marketed or is_listed else f"the product is not known to be marketed in {own_country().name}"


def with_owner(written: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a hospital's rule, each of its texts ending with whose rule it is. RuleError for an id of another form."""
    rule_id = str(written.get("id", ""))
    if not rule_id.startswith("site-"):
        raise RuleError(f"{name}: the id of a hospital's rule must begin with 'site-'; received {rule_id!r}")
    owner = f" (Rule of {site_head()['hospital']}.)"
    bands = [band | {"detail": f"{band.get('detail', '')}{owner}".strip()} for band in written.get("bands", ())]
    return written | {"bands": bands}
