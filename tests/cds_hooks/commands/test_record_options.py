"""What commands about the record read of their options: its address, who the user is there, an instant."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.commands import record_options
from cds_hooks.storage.content import UserNames, open_user_names, read_user_keys


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    configured = SimpleNamespace(database_url="of the settings", user_keys=tmp_path / "keys.txt", used=[])
    monkeypatch.setattr(record_options, "settings", lambda: configured)
    monkeypatch.setattr(record_options, "use_site_keys", configured.used.append)
    return configured


def test_the_record_is_that_of_the_option_or_of_the_settings_and_read_with_the_keys_of_the_site(site: Any) -> None:
    assert record_options.record_url("of the option") == "of the option"
    assert record_options.record_url(None) == "of the settings"
    assert site.used == [site, site]


def test_a_user_is_found_under_every_key_and_in_the_clear(site: Any) -> None:
    clear = record_options.possible_users("ehr", "Practitioner/1")
    assert "Practitioner/1" in clear
    open_user_names("hashed", site.user_keys)
    hashed = record_options.possible_users("ehr", "Practitioner/1")
    assert hashed == UserNames("hashed", read_user_keys(site.user_keys)).possible("ehr", "Practitioner/1")
    assert len(hashed) > len(clear)


@pytest.mark.parametrize(
    ("time", "microseconds"),
    [
        (None, None),
        (datetime(1970, 1, 1, 0, 0, 1, 500_000), 1_500_000),  # noqa: DTZ001 - as typed
        (datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), 1_500_000),
        (datetime(1970, 1, 1, 2, 0, 1, tzinfo=timezone(timedelta(hours=2))), 1_000_000),
    ],
)
def test_an_instant_without_a_zone_is_utc(time: datetime | None, microseconds: int | None) -> None:
    assert record_options.microseconds(time) == microseconds
