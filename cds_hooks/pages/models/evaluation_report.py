"""The report of an evaluation as a page of its own: it opens without a server, and nothing in it is from elsewhere."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from cds_hooks.pages.models.description import estimate_of
from cds_hooks.web.site import render, static_file
from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card.effect_plots import effect_plots
from models_onnx.model_card.evaluation_file import METRICS, group_rates
from models_onnx.model_card.plots import BAR, Bin, curves, net_benefit_of_everybody, net_benefits
from models_onnx.serving.effects import Effect


def evaluation_page(
    manifest: Manifest,
    how: str,
    bins: Sequence[Bin],
    coarse: Sequence[Bin],
    whole: dict[str, Any],
    groups: list[dict[str, Any]],
    shapes: Sequence[Effect],
) -> str:
    """Figures of `whole` and `groups` (blocks of a manifest), curves of the bins, and what each input does."""
    figures = [
        {"words": words, "ends": [whole[name][end] for end in ("value", "low", "high")]}
        for name, words in METRICS.items()
        if name in whole
    ]
    rates = [
        {
            "name": group_rate.name,
            "sufficient": group_rate.sufficient,
            "rates": [estimate_of(rate) for rate in group_rate.rates],
        }
        for group_rate in group_rates(groups)
    ]
    return render(
        "models/evaluation.html",
        manifest=manifest,
        how=how,
        whole=whole,
        figures=figures,
        curves=curves(bins, coarse, manifest, whole["auroc"]),
        shapes=effect_plots(shapes, manifest.link),
        benefits=net_benefits(manifest),
        benefit_all=net_benefit_of_everybody(manifest),
        alerts=manifest.thresholds.alerts_per_event or BAR,
        equal_ages=rates,
        css=Markup(static_file("look.css").decode()),  # noqa: S704 - a file of this package
    )
