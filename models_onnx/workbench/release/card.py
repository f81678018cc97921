"""The card of a model: what can be computed from its manifest, and for the rest the words declared beside it.

Declared words lie in `models_onnx/models/<id>.card.json` (a twin `extends` those of the model it is a twin of). What is
the same for all models of this project is in `models_onnx/model_card/defaults.card.json`; who made, paid for and
reviewed a model is not taken from there for a model whose words lie elsewhere. A declared attribute that is also
computed comes after the computed one, never in its place: a figure is not overwritten by a sentence.

Computed are cohort flow, representativeness, validity and fairness, in words; the manifest has the figures.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.artifact.manifest import Manifest, Provenance
from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import (
    CARD_FORMAT,
    PREDICTIVE,
    Card,
    project_words,
    variables_used,
    variables_used_in_words,
)
from models_onnx.model_card.origin import provenance_rows
from models_onnx.model_card.schema import DECLARED, NOT_RECORDED, PRODUCT_NAMES

_VALIDITY = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "calibration_slope": "calibration slope",
    "observed_expected": "observed/expected",
    "ppv": "PPV at the default threshold",
    "sensitivity": "sensitivity at the default threshold",
}
Figures = dict[str, Any]
_PERIODS = {"all": "all years", "latest": "latest years", "newest": "newest years followed to the horizon"}


def cohort_in_words(manifest: Manifest) -> str:
    """Say how many rows the table has, who was left out in which step, and who remained."""
    flow = manifest.cohort
    steps = "; ".join(f"{step.words}: {step.count:,}" for step in flow.exclusions)
    people = (
        f"{flow.words[:1].upper()}{flow.words[1:]}, {manifest.table_period}: {flow.table_rows:,} rows. "
        f"Left out in this order: {steps}. Remaining {flow.n:,}, of whom {flow.events:,} {manifest.outcome.words}. "
    )
    if isinstance(manifest.provenance, Provenance):
        return people + " ".join(f"{fact}: {words}." for fact, words in provenance_rows(manifest))
    return f"{people}Recalibrated on {manifest.period.recalibration}."


def representation_in_words(manifest: Manifest) -> str:
    """Return the share of the cohort in each group of every axis; those of unknown group by subtraction."""
    shares: dict[str, dict[str, int]] = {}
    for block in manifest.evaluation.get("subgroups", []):
        shares.setdefault(block["axis"], {})[block["group"]] = block["n"]
    if not shares:
        return ""
    count = manifest.cohort.n
    axes = [
        f"By {axis}: "
        + ", ".join(
            f"{group} {round(100 * people / count, 1):g} %"
            for group, people in (groups | {"not recorded": count - sum(groups.values())}).items()
        )
        + "."
        for axis, groups in shares.items()
    ]
    return f"Of {count:,} people. {' '.join(axes)}"


def validity_in_words(evaluation: Figures) -> str:
    """Return discrimination, calibration and threshold with their intervals, over all and latest years."""
    parts = []
    for period, words in _PERIODS.items():
        if not (block := evaluation.get(period)):
            continue
        figures = [f"{label} {interval(block[name])}" for name, label in _VALIDITY.items() if name in block]
        parts.append(f"{words.capitalize()}, {block['n']:,} people, {block['events']:,} events: {', '.join(figures)}.")
    if not parts:
        return ""
    if simple := evaluation.get("simple"):
        parts.append(f"{' and '.join(simple['inputs'])} alone: AUROC {interval(simple['auroc'])}.")
    return f"{evaluation.get('how', '')} {' '.join(parts)}".strip()


def fairness_in_words(evaluation: Figures) -> str:
    """Return figures by group in sentences; a group with too few events says so and gives no figure."""
    rows = evaluation.get("subgroups", [])
    if not rows:
        return ""
    sentences = [
        f"{row['axis']}, {row['group']}: {row['n']:,} people, {row['events']:,} events, "
        + (
            f"AUROC {interval(row['auroc'])}, observed/expected {interval(row['observed_expected'])}"
            if row["sufficient"]
            else "too few to judge"
        )
        for row in rows
    ]
    if not any(str(row["axis"]).lower().startswith(("race", "ethnic")) for row in rows):
        sentences.append("race and ethnicity: not judged, no figures are by them")
    return "; ".join(sentences) + "."


def interval(figure: dict[str, float | None]) -> str:
    """Return a figure with its 95 % interval, or that it cannot be computed."""
    value, low, high = (figure.get(end) for end in ("value", "low", "high"))
    if value is None:
        return "not computable"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


HOURS_PER_YEAR = 8766.0  # 365.25 days

Words = dict[str, Any]
# The wheel is installed unpacked, so the package's own files have a path.
_OF_THE_PROJECT = Path(str(files("models_onnx") / "models"))


OF_THE_MAKER = ("details.developer", "details.funding")
"""Who made a model and who paid for it: the same on every card of one maker, and never the same for two makers."""


def card_words(name: str, folder: Path | None = None) -> Words:
    """Return the words that are declared beside the model, over the defaults of the project.

    `folder` is that of declarations outside the package, which is looked into first. Of the defaults those words do not
    get what only the maintainers of this project can say of themselves.

    Raises:
        CardIncomplete: nothing is declared for this model, or it cannot be read.
    """
    path, words = declared_words(name, folder)
    if base := words.get("extends"):
        words = merge_words(declared_words(base, folder)[1], words)
    return merge_words(project_words() if path.parent == _OF_THE_PROJECT else _defaults_of_others(), words)


def write_words(path: Path, words: Words) -> None:
    """Write declared words: indented JSON with a final newline."""
    path.write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def declared_words(name: str, folder: Path | None = None) -> tuple[Path, Words]:
    """Return the file in which the words of this model stand, and its content, without defaults.

    Of `id@version` those of this version, where it has words of its own.

    Raises:
        CardIncomplete: nothing is declared for this model, or it cannot be read.
    """
    names = [f"{called}.card.json" for called in dict.fromkeys((name, name.partition(VERSION_SIGN)[0]))]
    folders = [*([folder] if folder is not None else []), _OF_THE_PROJECT]
    for path in (parent / file for parent in folders for file in names):
        if path.is_file():
            return path, _read(path, path.name)
    raise CardIncomplete(
        f"{folders[0].name}/{names[-1]} is not there; the words of the card stand in it, as docs/models/card.md says"
    )


def _read(path: Path, name: str) -> Words:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as problem:
        raise CardIncomplete(f"{path}, line {problem.lineno}: this is not valid JSON ({problem.msg})") from problem
    except ValueError as problem:
        raise CardIncomplete(f"{path} is not valid JSON: {problem}") from problem
    if not isinstance(document, dict):
        raise CardIncomplete(f"{name} holds no object")
    if strange := _unknown_names(document):
        raise CardIncomplete(f"{name} has {', '.join(strange)}, which no card has; docs/models/card.md lists the names")
    return document


def _unknown_names(words: Words) -> list[str]:
    known_names = {"attributes": {attribute.path for attribute in PREDICTIVE}, "product": PRODUCT_NAMES}
    strange = sorted(set(words) - {"extends", *known_names})
    return strange + [
        f"{part}.{name}" for part, names in known_names.items() for name in words.get(part, {}) if name not in names
    ]


def refuse_unknown_axes(name: str, card: Card, there: set[str]) -> None:
    """Refuses a card that names axes (`fairness_axes`, the label's audit, waivers) by which there are no figures.

    Raises:
        CardIncomplete: It names one; `there` are those of the declaration's `subgroups`.
    """
    product = card.get("product", {})
    audit = product.get("label", {}).get("audit")
    axes = {
        *(axis for axis, rule in product.get("fairness_axes", {}).items() if rule != NOT_RECORDED),
        *(axis for waiver in product.get("waivers", ()) for axis in waiver["covers"]),
    }
    strange = sorted(axes - there)
    if audit is not None and not any(axis.startswith(audit["axis"]) for axis in there):
        strange.append(audit["axis"])
    if strange:
        raise CardIncomplete(
            f"the model card of {name} names {', '.join(dict.fromkeys(strange))}, by which there are no figures "
            "(ModelSpec.subgroups)"
        )


def merge_words(defaults: Words, declared: Words) -> Words:
    """Return the defaults, and over them the model's own words; of the review of its risks each word by itself."""
    merged = {part: {**defaults.get(part, {}), **declared.get(part, {})} for part in ("attributes", "product")}
    review = [part.get("product", {}).get("irm") for part in (defaults, declared)]
    if all(isinstance(part, dict) for part in review):
        merged["product"]["irm"] = {**review[0], **review[1]}
    return merged


def build_card(manifest: Manifest, words: Words, core_sha256: str) -> Card:
    """Return the predictive card, whole or not; `card_problems` says what is missing."""
    computed = computed_attributes(manifest)
    card: Card = {
        "format": CARD_FORMAT,
        "kind": "predictive",
        "model": {
            "id": manifest.id,
            "version": manifest.version,
            "title": manifest.title,
            "core_sha256": core_sha256,
        },
    }
    for attribute in PREDICTIVE:
        value = _joined(computed.get(attribute.path, ""), words["attributes"].get(attribute.path))
        card.setdefault(attribute.section, {})[attribute.key] = value
    horizon = round(manifest.outcome.horizon_years * HOURS_PER_YEAR, 1)
    card["product"] = {"horizon_hours": horizon, **words["product"], **_explanation(manifest)}
    return card


def _defaults_of_others() -> Words:
    """Return the defaults without who made, paid for and reviewed the model: somebody else did."""
    defaults = project_words()
    for path in OF_THE_MAKER:
        del defaults["attributes"][path]
    del defaults["product"]["stakeholders"]
    for name in ("reviewed", "by", *DECLARED):
        del defaults["product"]["irm"][name]
    return defaults


def _joined(computed: str, declared: Any) -> dict[str, Any]:
    if isinstance(declared, dict):
        return {**declared}
    if not computed:
        return {"words": declared or "", "from": "declared"}
    origin = "computed and declared" if declared else "computed"
    return {"words": f"{computed} {declared}" if declared else computed, "from": origin}


def computed_attributes(manifest: Manifest) -> dict[str, str]:
    """Return the words of the attributes that follow from the manifest, by place, without what is declared beside."""
    return {
        "details.output_value": (
            f"The probability (0 to 1) that a person like this {manifest.outcome.words}; on a card as people in 100. "
            f"Base rate in the reference cohort: {manifest.reference.events:,} of {manifest.reference.n:,} "
            f"({manifest.reference.words}). {_threshold(manifest)}"
        ),
        "purpose.intended_use": manifest.intended_use,
        "purpose.population": (
            f"{_capital(manifest.population.words)}. Outside it, under {manifest.population.age_low} years"
            f"{_conditions(manifest)} and without the required inputs, there is no score and the reason is given."
        ),
        "purpose.users": f"{_capital(manifest.users)}; never patients.",
        "purpose.decision_role": f"{_capital(manifest.decision_role)}; the clinician decides.",
        "cautions.out_of_scope": f"Not for {'; not for '.join(manifest.not_for)}.",
        "cautions.known_risks": " ".join(manifest.cautions),
        "development.criteria": cohort_in_words(manifest),
        "development.uses": variables_used_in_words(variables_used(manifest.features)),
        "development.representativeness": representation_in_words(manifest),
        "performance.internal_validity": validity_in_words(manifest.evaluation),
        "performance.internal_fairness": fairness_in_words(manifest.evaluation),
    }


def _threshold(manifest: Manifest) -> str:
    row = manifest.thresholds.default
    return (
        f"A card by default for the top {100 * row.capacity:g} in 100 of the reference cohort (from "
        f"{100 * row.probability:.0f} in 100); of those, {100 * row.ppv:.0f} in 100 had the outcome."
    )


def _conditions(manifest: Manifest) -> str:
    conditions = manifest.population.exclude_conditions
    return f", with {' or '.join(conditions)} on record" if conditions else ""


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


_SCALES = {"identity": "probability"}


def _explanation(manifest: Manifest) -> Words:
    """Return how a model is explained where it is not by the exact contribution of each input on log odds."""
    is_grouped = not isinstance(manifest.groups, msgspec.UnsetType)
    if not is_grouped and manifest.link not in _SCALES:
        return {}
    method = "exact for groups of inputs, not for single inputs" if is_grouped else "exact"
    # a file that is asked (families/grouped.py) compares with the mean, trees and curves with the cohort
    by_mean = any("against the mean of the reference cohort" in caution for caution in manifest.cautions)
    compared = "the mean of the reference cohort, rounded to four digits" if by_mean else "the reference cohort"
    return {
        "explanation": {
            "method": method,
            "scale": _SCALES.get(manifest.link, "log-odds"),
            "compared_with": compared,
        }
    }
