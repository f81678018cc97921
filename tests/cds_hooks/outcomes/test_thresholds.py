"""The threshold that monitoring judges a model by is the one by which its cards are shown."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cds_hooks.outcomes.labels import site_labels
from cds_hooks.services import find_services
from cds_hooks.services._model import ChartModel, site_thresholds
from cds_hooks.settings import Settings

SERVICE, MAIN, TWIN = "planning-conversation", "mortality_5y", "mortality_5y_small"


def shown_by(**more: Any) -> ChartModel:
    """The model of the service with its twin, as the service asks it; `more` is what its file would say."""
    asked = find_services()[SERVICE].of_chart
    assert asked is not None
    assert {each.manifest.id for each in asked.loaded} == {MAIN, TWIN}
    return replace(asked, **more)


def is_as_shown(asked: ChartModel, site: Settings, service: str) -> bool:
    """Whether monitoring has, for the model and its twin, the tested threshold by which the service shows cards."""
    labels = site_labels(site)
    for manifest in (each.manifest for each in asked.loaded):
        share = asked.share_for(manifest, site_thresholds(site))
        row = next(each for each in manifest.thresholds.table if each.capacity == share)
        found = labels[manifest.id].thresholds.at(service)
        if found is None or (found.estimate, found.released) != (row.probability, row.net_benefit):
            return False
    return True


@pytest.mark.parametrize(
    "site",
    [
        {},
        {"alert_share": 0.05},
        {"alert_share": f"{MAIN}=0.05"},
        {"alert_share": f"{TWIN}=0.2,{MAIN}=0.05,0.15"},
        {"alert_share": f"age-band,{MAIN}=0.05"},
    ],
)
def test_it_is_that_of_the_site_for_the_model_and_its_twin(site: dict[str, Any]) -> None:
    assert is_as_shown(shown_by(), Settings(**site), SERVICE)


def test_a_service_of_the_site_has_the_share_of_its_own_file_and_others_keep_theirs(tmp_path: Path) -> None:
    (tmp_path / "a.service.toml").write_text(f'id = "follow-up"\nmodel = "{MAIN}"\nshare = 0.2\n')
    (tmp_path / "b.service.toml").write_text("this is no service")
    site = Settings(models_folder=tmp_path, alert_share="0.05")
    assert is_as_shown(shown_by(share=0.2), site, "follow-up")
    assert is_as_shown(shown_by(), site, SERVICE)


def test_none_is_named_where_cards_are_shown_by_age_or_the_share_was_not_tested(tmp_path: Path) -> None:
    (tmp_path / "a.service.toml").write_text(f'id = "by-age"\nmodel = "{MAIN}"\nwithin_age_band = true\n')
    by_age = site_labels(Settings(models_folder=tmp_path))[MAIN].thresholds
    assert by_age.at("by-age") is None
    assert by_age.at(SERVICE) is not None
    everywhere = site_labels(Settings(alert_share="age-band"))
    assert [everywhere[name].thresholds.at(SERVICE) for name in (MAIN, TWIN)] == [None, None]
    assert everywhere["readmission_30d"].thresholds.at("follow-up") is not None  # it has no thresholds by age
    assert site_labels(Settings(alert_share="0.123"))[MAIN].thresholds.at(SERVICE) is None
