"""The sections of a model's page about its evaluation: figures, families, groups, what missing inputs do."""

from collections.abc import Iterable, Sequence
from typing import Any

from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card.evaluation_file import GroupRates, LaterEvaluation

_METRICS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "calibration_intercept": "Calibration intercept (in the large)",
    "calibration_slope": "Calibration slope",
    "observed_expected": "Observed / expected",
    "c_index": "C-index over the follow-up",
    "alert_rate": "Alert rate at the default threshold",
    "ppv": "PPV at the default threshold",
    "sensitivity": "Sensitivity at the default threshold",
    "false_positive_rate": "False positive rate at the default threshold",
}


def figures_section(manifest: Manifest) -> str:
    """The figures on people that the model was not trained on, and the floors."""
    evaluation = manifest.evaluation
    simple = evaluation["simple"]
    blocks = {f"all ({manifest.period.training})": evaluation["all"]}
    if has_latest(manifest):
        blocks[f"latest ({manifest.period.recalibration})"] = evaluation["latest"]
    if newest := evaluation.get("newest"):
        blocks[f"newest followed ({newest['words']})"] = newest
    rows: list[tuple[str, ...]] = [
        (f"{capitalised(manifest.row_words)} (events)", *(_people(block) for block in blocks.values()))
    ]
    rows += [
        (words, *(_figure(block[name]) if name in block else "" for block in blocks.values()))
        for name, words in _METRICS.items()
        if name in evaluation["all"]
    ]
    names = " and ".join(f"`{name}`" for name in simple["inputs"])
    floors = [
        (
            f["name"],
            "none" if f["value"] is None else f"{f['value']:.3f}",
            f["limit"],
            "yes" if f["passed"] else "**no**",
        )
        for f in evaluation["floors"]
    ]
    return (
        f"## Figures on people it was not trained on\n\n{evaluation['how']}\n\n"
        + markdown_table(("", *blocks), rows)
        + f"\n\n**Gain**: {names} alone reach an AUROC of {_figure(simple['auroc'])}; the other inputs add "
        f"{_figure(simple['gain'])}.\n\n" + markdown_table(("Floor", "value", "limit", "holds"), floors)
    )


def families_section(comparison: dict[str, Any]) -> str:
    """Why this family of models: how each did on the same inputs."""
    rows = [
        (
            block["words"] + (" **(champion)**" if block["family"] == comparison["champion"] else ""),
            _figure(block["auroc"]),
            _figure(block["behind_the_best"]),
            _figure(block["calibration_slope"], 2),
            _figure(block["observed_expected"], 2),
            f"{block['c_index']:.3f}" if "c_index" in block else "",
        )
        for block in comparison["families"]
    ]
    return (
        f"## Why this family\n\nThe same inputs and folds, plain settings; {comparison['rule']} wins, for it can be "
        f"read and explained (`cds-hooks model compare {comparison['id']}`, {comparison['n']:,} rows).\n\n"
        + markdown_table(("family", "AUROC", "behind the best", "slope", "O/E", "C-index"), rows)
    )


def groups_section(manifest: Manifest) -> str:
    """The figures of each group of people."""
    rows = [
        (
            group["axis"] if first else "",
            group["group"],
            _people(group) + ("" if group["sufficient"] else ", insufficient"),
            _figure(group["auroc"], 2) if "insufficient" not in group else "insufficient",
            _figure(group["observed_expected"], 2) if "insufficient" not in group else "insufficient",
            _figure(group["latest"]["observed_expected"], 2) if "latest" in group else "",
            _figure(group["ppv"], 2) if "insufficient" not in group else "",
            _figure(group["sensitivity"], 2) if "insufficient" not in group else "",
        )
        for first, group in _first_of_axis(manifest.evaluation["subgroups"])
    ]
    header = (
        "",
        "group",
        f"{manifest.row_words} (events)",
        "AUROC",
        "O/E, all",
        f"O/E, {manifest.period.recalibration}" if has_latest(manifest) else "",
        "PPV",
        "sensitivity",
    )
    return (
        "## Groups\n\n"
        + markdown_table(header, rows)
        + "\n\nRace, ethnicity and payer are not inputs. Fewer than 100 events are marked insufficient: such a row "
        "neither clears nor accuses the model. O/E below 1 means that it happened to fewer than predicted."
        + _unfollowed(manifest)
    )


def _unfollowed(manifest: Manifest) -> str:
    named = [group["group"] for group in manifest.evaluation["subgroups"] if "insufficient" in group]
    if not named:
        return ""
    return (
        f" Of {' and '.join(named)} fewer than a tenth were followed for the whole horizon: the events seen are "
        "counted above, and no figure can be given."
    )


def adjusted_section(rates: Sequence[GroupRates], later: LaterEvaluation | None) -> str:
    """The error rates of groups at equal ages."""
    rows = [
        (
            each.axis if number == 0 or rates[number - 1].axis != each.axis else "",
            each.name + ("" if each.sufficient else " (insufficient)"),
            *(_figure(rate, 2) for rate in each.rates),
        )
        for number, each in enumerate(rates)
    ]
    header = ("", "group", "sensitivity", "at equal ages", "false positive rate", "at equal ages")
    source = "" if later is None else f"\n\nComputed after the model was signed, of the same file: {later.how}"
    return (
        "## Error rates of groups at equal ages\n\nAt the default threshold. At equal ages: the rates of a group's age "
        "bands, averaged with the ages of everybody (direct standardisation). A difference that remains is not "
        "explained by age.\n\n" + markdown_table(header, rows) + source
    )


def missing_section(manifest: Manifest) -> str:
    """What the estimate is worth without a panel of inputs."""
    rows = [
        (panel["words"], _figure(panel["auroc"]), _figure(panel["observed_expected"], 2))
        for panel in manifest.evaluation["panels"]
    ]
    return (
        f"## What missing inputs do\n\nThe same {manifest.row_words} ({manifest.period.recalibration}) with a panel "
        "taken away:\n\n"
        + markdown_table(("", "AUROC", "O/E"), rows)
        + "\n\nO/E above 1: without these values the estimate is too low on the whole."
    )


def has_latest(manifest: Manifest) -> bool:
    """Whether the latest period is a part of the whole."""
    return manifest.period.recalibration != manifest.period.training


def capitalised(words: str) -> str:
    """The words with a capital letter."""
    return words[:1].upper() + words[1:]


def _first_of_axis(groups: Sequence[dict[str, Any]]) -> Iterable[tuple[bool, dict[str, Any]]]:
    axis = None
    for group in groups:
        yield group["axis"] != axis, group
        axis = group["axis"]


def _people(block: dict[str, Any]) -> str:
    return f"{block['n']:,} ({block['events']:,})"


def _figure(figure: dict[str, float | None], digits: int = 3) -> str:
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "not computable"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
