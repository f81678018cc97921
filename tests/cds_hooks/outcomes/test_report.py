"""The body of POST /outcomes: what is read, and the sentence for what is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cds_hooks.errors import HookError
from cds_hooks.outcomes.labels import site_labels
from cds_hooks.outcomes.report import MOST_REPORTS, read_reports
from cds_hooks.services import find_services
from cds_hooks.services._model import ChartModel, site_thresholds
from cds_hooks.settings import Settings

ID = "0190a1b2-c3d4-7e5f-8a6b-012345670000"
FULL: dict[str, Any] = {"prediction": ID, "outcome": "yes", "at": "2026-11-20"}


def body(*reports: Any) -> bytes:
    return json.dumps({"outcomes": reports}).encode()


@pytest.mark.parametrize(
    "report",
    [
        FULL,
        {"prediction": ID, "outcome": "unknown"},
        {"patient": "p1", "event": "death", "at": "2026-11-20T09:05:31Z"},
        {"patient": "Patient/p1", "model": "mortality_5y", "outcome": "no", "at": "2031-11-20"},
        {"card": ID, "order": "still-ordered"},
        {"event": "admission", "completeThrough": "2026-10-31"},
    ],
)
def test_each_form_of_a_report_is_read(report: dict[str, Any]) -> None:
    (found,) = read_reports(body(report))
    assert {name: getattr(found, name) for name in report} == report


@pytest.mark.parametrize(
    ("report", "place", "words"),
    [
        ({}, "outcomes[0].prediction", "names one of prediction, patient, card and completeThrough"),
        (FULL | {"patient": "p"}, "outcomes[0].patient", "and only one"),
        ({"prediction": ID}, "outcomes[0].outcome", "needs outcome"),
        (FULL | {"order": "changed"}, "outcomes[0].order", "has no order"),
        (FULL | {"at": "yesterday"}, "outcomes[0].at", "neither a day"),
        (FULL | {"at": "2026-02-30"}, "outcomes[0].at", "neither a day"),
        (FULL | {"at": "2026-11-20T09:05:31"}, "outcomes[0].at", "with its zone"),
        ({"patient": "p", "at": "2026-11-20"}, "outcomes[0].event", "either the event or the model"),
        ({"patient": "p", "event": "d", "model": "m", "at": "2026-11-20"}, "outcomes[0].event", "either the event"),
        ({"patient": "p", "event": "d", "outcome": "unknown", "at": "2026-11-20"}, "outcomes[0].outcome", "taken back"),
        ({"patient": " ", "event": "death", "at": "2026-11-20"}, "outcomes[0].patient", "blank"),
        ({"patient": "p\u0007", "event": "death", "at": "2026-11-20"}, "outcomes[0].patient", "not printable"),
        ({"event": "death", "completeThrough": "2026-11-20T00:00:00Z"}, "outcomes[0].completeThrough", "is a day"),
        (FULL | {"outcom": "yes"}, None, "no list of outcomes"),
        (FULL | {"outcome": "maybe"}, None, "no list of outcomes"),
        (7, None, "no list of outcomes"),
    ],
)
def test_a_wrong_report_is_refused_with_its_place_and_without_its_value(
    report: Any, place: str | None, words: str
) -> None:
    with pytest.raises(HookError, match=words.replace("[", r"\[")) as refused:
        read_reports(body(report))
    assert refused.value.status == 400
    assert refused.value.expression == place
    assert "yesterday" not in refused.value.text


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"outcomes": []}', 400),
        (b"{}", 400),
        (b"[]", 400),
        (b"\xff{}", 400),
        (b'{"outcomes": ' + b"[" * 100_000, 400),
        (body(*[FULL] * (MOST_REPORTS + 1)), 413),
    ],
)
def test_what_is_no_list_of_reports_is_refused(content: bytes, status: int) -> None:
    with pytest.raises(HookError) as refused:
        read_reports(content)
    assert refused.value.status == status


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), lambda each: st.lists(each, max_size=3)
)
_MEMBERS = ("prediction", "patient", "card", "model", "event", "outcome", "at", "suggestion", "order")


@given(st.lists(st.dictionaries(st.sampled_from([*_MEMBERS, "completeThrough"]), _JSON), min_size=1, max_size=3))
def test_any_other_content_is_refused_in_a_sentence(reports: list[Any]) -> None:
    refused: HookError | None = None
    try:
        read_reports(body(*reports))
    except HookError as error:
        refused = error
    assert refused is None or (refused.status in (400, 413) and refused.text.endswith("."))


# The threshold that monitoring judges a model by is the one by which its cards are shown.
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
