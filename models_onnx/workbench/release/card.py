"""The card of a model: what can be computed from its manifest, and for the rest the words declared beside it.

Declared words lie in `models_onnx/models/<id>.card.json` (a twin `extends` those of the model it is a twin of). What is
the same for all models of this project is in `models_onnx/model_card/defaults.card.json`; who made, paid for and
reviewed a model is not taken from there for a model whose words lie elsewhere. A declared attribute that is also
computed comes after the computed one, never in its place: a figure is not overwritten by a sentence.

Computed are cohort flow, representativeness, validity and fairness; as figures and in words.
"""

import json
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from models_onnx.artifact.folder import VERSION_SIGN, read_manifest
from models_onnx.artifact.manifest import Manifest, Provenance
from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import (
    CARD_FORMAT,
    PREDICTIVE,
    Card,
    project_words,
    set_attribute,
    variables_used,
    variables_used_in_words,
)
from models_onnx.model_card.origin import provenance_rows
from models_onnx.model_card.schema import DECLARED, NOT_RECORDED, PRODUCT_NAMES, refuse_incomplete_card
from models_onnx.serving.registry import ARTIFACTS

_FAIRNESS = ("auroc", "observed_expected", "sensitivity", "false_positive_rate", "ppv", "alert_rate")
_VALIDITY = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "calibration_slope": "calibration slope",
    "observed_expected": "observed/expected",
    "ppv": "PPV at the default threshold",
    "sensitivity": "sensitivity at the default threshold",
}
_PERIODS = {"all": "all years", "latest": "latest years", "newest": "newest years followed to the horizon"}

Figures = dict[str, Any]


def cohort(manifest: Manifest) -> Figures:
    """Rows of the table, who was left out in which step, and who remained."""
    flow = manifest.cohort
    return {
        "table": manifest.data.name,
        "rows": flow.table_rows,
        "left_out": [{"words": step.words, "count": step.count} for step in flow.exclusions],
        "people": flow.n,
        "events": flow.events,
    }


def cohort_in_words(manifest: Manifest) -> str:
    """Return the same as a paragraph."""
    flow = manifest.cohort
    steps = "; ".join(f"{step.words}: {step.count:,}" for step in flow.exclusions)
    people = (
        f"{flow.words[:1].upper()}{flow.words[1:]}, {manifest.table_period}: {flow.table_rows:,} rows. "
        f"Left out in this order: {steps}. Remaining {flow.n:,}, of whom {flow.events:,} {manifest.outcome.words}. "
    )
    if isinstance(manifest.provenance, Provenance):
        return people + " ".join(f"{fact}: {words}." for fact, words in provenance_rows(manifest))
    return f"{people}Recalibrated on {manifest.period.recalibration}."


def representation(manifest: Manifest) -> Figures:
    """People, events and share of the cohort in each group of every axis; those of unknown group by subtraction."""
    groups: Figures = {}
    for block in manifest.evaluation.get("subgroups", []):
        axis = groups.setdefault(block["axis"], {})
        share = round(100 * block["n"] / manifest.cohort.n, 1)
        axis[block["group"]] = {"people": block["n"], "events": block["events"], "percent": share}
    for axis in groups.values():
        unknown = manifest.cohort.n - sum(group["people"] for group in axis.values())
        axis["not recorded"] = {"people": unknown, "percent": round(100 * unknown / manifest.cohort.n, 1)}
    return groups


def representation_in_words(manifest: Manifest) -> str:
    """Return the same, one sentence for each axis."""
    shares = representation(manifest)
    if not shares:
        return ""
    axes = [
        f"By {axis}: " + ", ".join(f"{group} {figure['percent']:g} %" for group, figure in groups.items()) + "."
        for axis, groups in shares.items()
    ]
    return f"Of {manifest.cohort.n:,} people. {' '.join(axes)}"


def validity(manifest: Manifest) -> Figures:
    """Give the figures of discrimination, calibration and threshold with their intervals, over all and latest years."""
    evaluation = manifest.evaluation
    return {
        "how": evaluation.get("how", ""),
        **{
            period: {
                "people": block["n"],
                "events": block["events"],
                **{name: block[name] for name in _VALIDITY if name in block},
            }
            for period in _PERIODS
            if (block := evaluation.get(period))
        },
        **({"gain_over_simple": evaluation["simple"]} if "simple" in evaluation else {}),
    }


def validity_in_words(manifest: Manifest) -> str:
    """Return the same in sentences."""
    evaluation, parts = manifest.evaluation, []
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


def fairness(manifest: Manifest) -> list[Figures]:
    """One row per group: people, events, figures with intervals, and whether there are enough events to judge."""
    return [
        {
            "axis": block["axis"],
            "group": block["group"],
            "people": block["n"],
            "events": block["events"],
            "sufficient": block["sufficient"],
            **{name: block[name] for name in _FAIRNESS if name in block},
        }
        for block in manifest.evaluation.get("subgroups", [])
    ]


def fairness_in_words(manifest: Manifest) -> str:
    """Return the same in sentences; a group with too few events says so and gives no figure."""
    rows = fairness(manifest)
    if not rows:
        return ""
    sentences = [
        f"{row['axis']}, {row['group']}: {row['people']:,} people, {row['events']:,} events, "
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


def interval(figure: dict[str, float | None], digits: int = 3) -> str:
    """Return a figure with its 95 % interval, or that it cannot be computed."""
    value, low, high = (figure.get(end) for end in ("value", "low", "high"))
    if value is None:
        return "not computable"
    point = f"{value:.{digits}f}"
    return point if low is None or high is None else f"{point} ({low:.{digits}f} to {high:.{digits}f})"


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


def refuse_incomplete_words(name: str, folder: Path | None = None, axes: Iterable[str] | None = None) -> None:
    """Refuses words that could not be published, before anything is fitted.

    What is computed from a manifest stands in from a model of this package, so only the declared words are judged;
    `axes` are the groups of the declaration, by which there will be figures.

    Raises:
        CardIncomplete: Words are blank, still to do or wrong, each by number and name.
    """
    stand_in = msgspec.structs.replace(read_manifest(ARTIFACTS / "mortality_5y"), id=name)
    card = build_card(stand_in, card_words(name, folder), "0" * 64)
    refuse_incomplete_card(card)
    if axes is not None:
        refuse_unknown_axes(name, card, set(axes))


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
        value = _joined(computed.get(attribute.path), words["attributes"].get(attribute.path))
        set_attribute(card, attribute.path, value)
    card["product"] = {**_product(manifest), **words["product"], **_explanation(manifest)}
    return card


def card_text(card: Card, path: str) -> str:
    """Return the words of an attribute of a card; empty where it has none."""
    part: Any = card
    for step in path.split("."):
        part = part.get(step) if isinstance(part, dict) else None
    return str(part.get("words", "")) if isinstance(part, dict) else ""


def _defaults_of_others() -> Words:
    """Return the defaults without who made, paid for and reviewed the model: somebody else did."""
    defaults = project_words()
    for path in OF_THE_MAKER:
        del defaults["attributes"][path]
    del defaults["product"]["stakeholders"]
    for name in ("reviewed", "by", *DECLARED):
        del defaults["product"]["irm"][name]
    return defaults


def _joined(computed: dict[str, Any] | None, declared: Any) -> dict[str, Any]:
    if isinstance(declared, dict):
        return {**declared}
    if computed is None:
        return {"words": declared or "", "from": "declared"}
    if not declared:
        return computed
    return {**computed, "words": f"{computed['words']} {declared}", "from": "computed and declared"}


def computed_attributes(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return the attributes that follow from the manifest, by place, without what is declared beside them."""
    uses = variables_used(manifest.features)
    return {
        "details.output_value": _computed(
            f"The probability (0 to 1) that a person like this {manifest.outcome.words}; on a card as people in 100. "
            f"Base rate in the reference cohort: {manifest.reference.events:,} of {manifest.reference.n:,} "
            f"({manifest.reference.words}). {_threshold(manifest)}"
        ),
        "purpose.intended_use": _computed(manifest.intended_use),
        "purpose.population": _computed(
            f"{_capital(manifest.population.words)}. Outside it, under {manifest.population.age_low} years"
            f"{_conditions(manifest)} and without the required inputs, there is no score and the reason is given.",
            {
                "age_low": manifest.population.age_low,
                "exclude_conditions": list(manifest.population.exclude_conditions),
            },
        ),
        "purpose.users": _computed(f"{_capital(manifest.users)}; never patients."),
        "purpose.decision_role": _computed(f"{_capital(manifest.decision_role)}; the clinician decides."),
        "cautions.out_of_scope": _computed(f"Not for {'; not for '.join(manifest.not_for)}.", list(manifest.not_for)),
        "cautions.known_risks": _computed(" ".join(manifest.cautions), list(manifest.cautions)),
        "development.criteria": _computed(cohort_in_words(manifest), cohort(manifest)),
        "development.uses": _computed(variables_used_in_words(uses), uses),
        "development.representativeness": _computed(representation_in_words(manifest), representation(manifest)),
        "performance.internal_validity": _computed(validity_in_words(manifest), validity(manifest)),
        "performance.internal_fairness": _computed(fairness_in_words(manifest), fairness(manifest)),
    }


def _computed(words: str, figures: Any = None) -> dict[str, Any]:
    return {"words": words, "from": "computed"} | ({} if figures is None else {"figures": figures})


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
    # of groups the caution tells whether the file itself is asked (families/grouped.py) or exact shares are summed
    by_mean = any("against the mean of the reference cohort" in caution for caution in manifest.cautions)
    compared = "the mean of the reference cohort, rounded to four digits" if by_mean else "the reference cohort"
    return {
        "explanation": {
            "method": method,
            "scale": _SCALES.get(manifest.link, "log-odds"),
            "compared_with": compared,
        }
    }


def _product(manifest: Manifest) -> Words:
    return {
        "horizon_hours": round(manifest.outcome.horizon_years * HOURS_PER_YEAR, 1),
        "reference_cohort": f"{manifest.reference.words} ({manifest.reference.n:,} people)",
        "training_data": {
            "name": manifest.data.name,
            "sha256": manifest.data.sha256,
            "period": manifest.table_period,
        },
        "thresholds": [
            {"capacity": row.capacity, "probability": row.probability, "ppv": row.ppv, "sensitivity": row.sensitivity}
            for row in manifest.thresholds.table
        ],
    }
