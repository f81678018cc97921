"""Settings: the only reader of the environment. Every setting is `CDS_` + its name in capitals (docs/settings.md)."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from time import time
from typing import Any, Final

# pydantic would look for plugins in every package that is installed: 6 ms
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cds_hooks.settings.checks import is_loopback, refuse_pasted_key
from cds_hooks.settings.constants import Constants
from cds_hooks.settings.fields import (
    CardSettings,
    ClientSettings,
    LimitSettings,
    LoginSettings,
    ModelState,
    RecordSettings,
)

__all__ = ["SETTINGS", "ModelState", "Settings", "settings", "with_settings"]

ROOT = Path(__file__).resolve().parents[2]


class Settings(LimitSettings, CardSettings, LoginSettings, ClientSettings, RecordSettings, Constants):
    """What a site can set; `Settings()` reads the environment and refuses what makes no sense."""

    model_config = SettingsConfigDict(env_prefix="CDS_", extra="ignore", hide_input_in_errors=True)

    as_of: datetime | None = Field(
        default=None,
        description="An ISO instant that replaces the clock for calls, feedback and outcomes. A decision's row has "
        "the time of the machine beside it, because rows are ordered by when they were written. For tests and replays "
        "in the development profile only.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return what is given, then the environment. No `.env` file is read: it would be looked for in every field."""
        return init_settings, env_settings

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_pasted_key(cls, value: object, info: ValidationInfo) -> object:
        name = str(info.field_name)
        if isinstance(value, str) and cls.model_fields[name].annotation != SecretStr | None:
            refuse_pasted_key(name, value)
        return value

    @field_validator("as_of")
    @classmethod
    def _with_zone(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    @model_validator(mode="after")
    def _asks_all_or_nobody(self) -> "Settings":
        if self.login != "none" and self.explain_pages == "everyone":
            raise ValueError("CDS_LOGIN asks everybody to log in, and CDS_EXPLAIN_PAGES=everyone nobody: choose one")
        host, port = self.operator_address or ("", None)
        is_public = port is not None and not is_loopback(host)
        if is_public and self.operator_token is None and self.login == "none":
            raise ValueError(
                "CDS_OPERATOR_LISTEN is an address that other machines reach, and would give them decisions without a "
                "token: listen on 127.0.0.1 or unix:/…, or set CDS_OPERATOR_TOKEN or CDS_LOGIN"
            )
        if self.explain_link_key is not None and self.explain_pages == "everyone":
            raise ValueError("With CDS_EXPLAIN_PAGES=everyone no link ends: choose it or CDS_EXPLAIN_LINK_KEY")
        return self

    @property
    def metrics_dir(self) -> Path | None:
        """Folder in which the workers of one server share what they counted: `serve --workers` hands it to them."""
        folder = os.environ.get("CDS_METRICS_DIR")
        return Path(folder) if folder else None

    @property
    def data_dir(self) -> Path:
        """Folder of other people's data (patients, training tables, published cases), for training and tests."""
        return Path(os.environ.get("CDS_DATA_DIR") or ROOT.parent / "shared" / "data")

    @property
    def otlp_endpoint(self) -> str | None:
        """Address of an OpenTelemetry collector: OpenTelemetry's own variable, which every such program reads."""
        return os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None

    @property
    def clock(self) -> Callable[[], float]:
        """Gives epoch seconds by the clock that calls are answered by."""
        return time if self.as_of is None else self.as_of.timestamp

    @property
    def links_to_pages(self) -> bool:
        """Whether cards link to the pages of decisions: whoever sees a card can open them, or can log in."""
        return self.shows_pages or self.login != "none"


SETTINGS: Final = tuple(Settings.model_fields)
"""The names of all settings, each the variable `CDS_` and its name in capitals."""


@cache
def settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        pydantic.ValidationError: A value makes no sense.
    """
    return Settings()


def with_settings(configured: Settings, changed: Mapping[str, Any]) -> Settings:
    """Return the same settings with others in their place, checked.

    Raises:
        pydantic.ValidationError: A value makes no sense.
    """
    return type(configured)(**{**configured.model_dump(), **changed})
