"""What a model predicts, when a prediction of it is mature, and by which threshold it is judged: worked out by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.outcomes.labels import DAY, InForce, Label, label_of, labels_of, site_labels, thresholds_in_force
from cds_hooks.settings import Settings
from models_onnx.artifact.manifest import AgeBandThreshold, ModelOutcome, Threshold, Thresholds
from models_onnx.monitoring.performance import Deployed

BAND = AgeBandThreshold(40, None, 0.0, 0.5, 0.1, None, None)


def manifest(name: str = "falls", **members: Any) -> Any:
    """The part of a manifest that is read."""
    usual: dict[str, Any] = {
        "id": name, "outcome": ModelOutcome("y", "died", 2.0), "thresholds": None, "twin": None, "evaluation": {},
    }  # fmt: skip
    return SimpleNamespace(**usual | members)


def test_the_area_is_that_of_the_evaluation() -> None:
    evaluation = {"all": {"auroc": {"value": 0.8}}}
    assert label_of(manifest(evaluation=evaluation), 7, InForce()).area == 0.8
    others: list[dict[str, Any]] = [{}, {"all": {}}, {"all": {"auroc": {}}}, {"latest": {"auroc": {"value": 0.8}}}]
    for other in others:
        assert label_of(manifest(evaluation=other), 7, InForce()).area is None


def test_a_prediction_is_mature_after_its_horizon_and_the_lag() -> None:
    label = Label("falls", "death", 1.5, 0.25)
    assert (label.horizon, label.wait) == (129_600_000_000, 151_200_000_000)
    assert DAY == 86_400_000_000


def table(**more: Any) -> Thresholds:
    """Thresholds for a tenth and a fifth of the people."""
    rows = tuple(
        Threshold(capacity, 90, 0.0, probability, 0.1, 0.3, 0.4, 3.3, benefit)
        for capacity, probability, benefit in ((0.1, 0.27, 0.03), (0.2, 0.13, None))
    )
    return Thresholds(0.1, rows, **more)


TENTH, FIFTH = Deployed(0.27, 0.25, 0.03), Deployed(0.13, 0.25, None)


@pytest.mark.parametrize(
    ("thresholds", "site", "usual"),
    [
        (table(), {}, TENTH),
        (table(alerts_per_event=3.0), {}, Deployed(0.27, 0.5, 0.03)),
        (table(), {"alert_share": "0.2"}, FIFTH),
        (table(), {"alert_share": "falls=0.2"}, FIFTH),
        (table(), {"alert_share": "0.2,falls=0.1"}, TENTH),
        (table(), {"alert_share": "other=0.2"}, TENTH),
        (table(), {"alert_share": "0.15"}, None),
        (table(age_bands=(BAND,)), {}, TENTH),
        (table(age_bands=(BAND,)), {"alert_share": "age-band"}, None),
        (table(), {"alert_share": "age-band"}, TENTH),
        (table(age_bands=(BAND,)), {"alert_share": "age-band,falls=0.2"}, FIFTH),
        (None, {}, None),
    ],
)
def test_the_threshold_in_force_is_that_of_the_share(
    thresholds: Thresholds | None, site: dict[str, Any], usual: Deployed | None
) -> None:
    assert thresholds_in_force([manifest(thresholds=thresholds)], Settings(**site)) == {"falls": InForce(usual)}


def test_a_service_of_the_site_has_what_its_file_says(tmp_path: Path) -> None:
    files = {
        "a": 'id = "a"\nmodel = "falls"\nshare = 0.2', "b": 'id = "b"\nmodel = "falls"\nwithin_age_band = true',
        "c": 'id = "c"\nmodel = "falls"\nwithin_age_band = false', "d": 'id = "d"\nmodel = "other"\nshare = 0.2',
        "e": 'id = "e"\nmodel = "falls"', "f": 'id = 5',
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / f"{name}.service.toml").write_text(text)
    model = manifest(thresholds=table(age_bands=(BAND,)))
    by_age = thresholds_in_force([model], Settings(models_folder=tmp_path, alert_share="age-band"))["falls"]
    assert by_age == InForce(None, {"a": FIFTH, "b": None, "c": TENTH, "e": None})
    usual = thresholds_in_force([model], Settings(models_folder=tmp_path))["falls"]
    assert usual == InForce(TENTH, {"a": FIFTH, "b": None, "c": TENTH, "e": TENTH})
    assert (usual.at("a"), usual.at("b"), usual.at("elsewhere")) == (FIFTH, None, TENTH)
    assert labels_of([model], Settings(label_lag_days=5))["falls"].lag_days == 5


def test_the_models_of_the_package_and_of_the_site_have_labels(tmp_path: Path) -> None:
    for name, content in (
        ("mine", b'{"id": "mine", "outcome": {"column": "y", "words": "fell", "horizon_years": 1, "event": "fall"}}'),
        ("mine@2", b'{"id": "other", "outcome": {"column": "y", "words": "fell", "horizon_years": 1}}'),
        ("broken", b"{"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_bytes(content)
    labels = site_labels(Settings(models_folder=tmp_path, label_lag_days=4))
    shipped = {"mortality_180d", "mortality_5y", "mortality_5y_small", "readmission_30d", "readmission_30d_early"}
    assert set(labels) == {*shipped, "mine"}
    assert labels["mine"] == Label("mine", "fall", 365.25, 4)
    assert set(site_labels(Settings())) == shipped
