"""The settings of what is shown: rules and models of the site, thresholds, suppression and pauses of cards."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings

from cds_hooks.settings.checks import AGE_BAND, SafeAddress, parts_of, read_codes, read_shares

ModelState = Literal["validated", "approved"]
"""The release states from which a model may show cards, from the lowest to the highest."""


def _shares(value: object) -> str | None:
    text = None if value is None else str(value)
    read_shares(text or "")
    return text


def _codes(value: str) -> str:
    read_codes(value)
    return value


class CardSettings(BaseSettings):
    """Rules, models and which cards are shown."""

    rules_file: Path | None = Field(
        default=None,
        description="TOML file of what this site says of the medication rules: which versions are approved, which are "
        "switched off (docs/rules/governance.md).",
    )
    site_rules: Path | None = Field(
        default=None,
        description="A folder of the hospital's own rules, in the language of ours, with tables that replace or extend "
        "our maximum doses and name the drugs that it does not have (docs/adding/site-rules.md).",
    )
    packages: str = Field(
        default="",
        description="Names of installed packages from outside that bring services, dialects, features, equations, "
        "hold-back checks or pages of the hospital's own, separated by commas; no other package is loaded. Behind a "
        "trust file two people approve each version (docs/adding/package.md).",
    )
    terminology: Path | None = Field(
        default=None,
        description="The index of the hospital's own releases of terminologies and of its own codes, which "
        "`cds-hooks terminology import` writes, or a folder of such indexes, of which the one is read that two people "
        "have put in force (docs/terminology.md).",
    )
    text_file: Path | None = Field(
        default=None,
        description="TOML file that names the language models that may be asked for summaries of charts; without it "
        "none is asked (docs/text.md).",
    )
    models_folder: Path | None = Field(
        default=None,
        description="A folder of the hospital's own: its models, the services that show them or a published "
        "equation as files NAME.service.toml (docs/adding/hospital-model.md), and hooks that the site defines itself "
        "as hooks.toml or hooks.json (docs/hooks.md).",
    )
    model_keys: Path | None = Field(
        default=None,
        description="File of public keys whose signed models are trusted beside the maintainers' "
        "(docs/models/registry.md); whoever trains models names the .pub.json file of the own key here.",
    )
    model_signing_key: Path | None = Field(
        default=None,
        description="The private key that signs models trained here; default var/model-signing-key.pem, made at the "
        "first training.",
    )
    model_state: ModelState = Field(
        default="validated",
        description="What a model needs to show cards: validated (every gate green or waived), or approved (behind a "
        "trust file by two people, too).",
    )
    alert_share: Annotated[str | None, BeforeValidator(_shares)] = Field(
        default=None,
        description="Share of the reference cohort whose estimates are high enough for a card (0.10: top 10 %), the "
        "same for every model, and for single models MODEL=SHARE, separated by commas, such as 0.1,mortality_5y=0.05; "
        "a model that takes over for a named one follows, and `cds-hooks model capacity` finds the share for so many "
        "cards a day. With the word age-band, models that have thresholds by age and are not named show cards for the "
        "highest of the people of the same age. Not set: each model has its own, which is on its page. A service of "
        "the site's own may say otherwise in its file (docs/operations/restraint.md).",
    )
    kfre_region: Literal["north_america", "non_north_america"] = Field(
        default="north_america",
        description="Calibration of the kidney failure risk equation at this site: north_america or non_north_america.",
    )
    referral_risk: float = Field(
        default=0.03,
        ge=0.03,
        le=0.05,
        description="5-year risk of kidney failure from which a referral to nephrology is discussed: KDIGO 2024 gives "
        "0.03 to 0.05 and lets the site choose.",
    )
    opt_out_flags: Annotated[str, AfterValidator(_codes)] = Field(
        default="",
        description="Codes of a FHIR Flag by which a patient has opted out of estimates and reminders at this site, "
        "each as system|code, separated by commas: HL7 has no such code. A Consent that denies decision support "
        "(TREATDS) and the security label OPTOUT are read without a setting (docs/operations/restraint.md).",
    )
    ask_opt_outs: bool = Field(
        default=False,
        description="Whether the services that an opt-out silences ask for the patient's active Consents, and for "
        "Flags where CDS_OPT_OUT_FLAGS names codes, in their prefetch templates. Where they cannot be had, the cards "
        "say so.",
    )
    shown_rest_days: float = Field(
        default=14,
        ge=0,
        le=90,
        description="How long a finding at patient-view that was shown and that nobody answered is suppressed, in days "
        "from its first showing; on its first day it is shown at each opening. 0: always shown (docs/services.md).",
    )
    pause_share: float = Field(
        default=0.05,
        ge=0,
        le=0.5,
        description="A rule or service of whose cards a smaller share is accepted is paused until a person ends it; "
        "critical cards are shown all the same (docs/operations/restraint.md). 0: nothing is paused.",
    )
    notice_url: SafeAddress = Field(
        default=None,
        description="Address to which a notice is posted, once, when a rule or service is paused; https, or http on "
        "loopback. It has counts of cards and nothing of a patient. Alertmanager (…/api/v2/alerts), PagerDuty "
        "(https://events.pagerduty.com/v2/enqueue/ROUTING_KEY) and Slack (hooks.slack.com) get it in their own form.",
    )

    @property
    def package_names(self) -> tuple[str, ...]:
        """The names of the packages from outside."""
        return tuple(parts_of(self.packages))

    @property
    def hooks_file(self) -> Path | None:
        """The file of hooks that the site declares itself, hooks.toml or hooks.json in its folder (docs/hooks.md)."""
        files = (self.models_folder / name for name in ("hooks.toml", "hooks.json")) if self.models_folder else ()
        return next((file for file in files if file.is_file()), None)

    @cached_property
    def opt_out_codes(self) -> frozenset[tuple[str, str]]:
        """The codes of a Flag by which a patient has opted out, each with its system."""
        return read_codes(self.opt_out_flags)

    @cached_property
    def shares_by_model(self) -> Mapping[str, float]:
        """The shares of single models, by id."""
        return {model: share for model, share in read_shares(self.alert_share or "").items() if model}

    @property
    def share_of_all_models(self) -> float | None:
        """The share of every model that has none of its own."""
        return read_shares(self.alert_share or "").get("")

    @property
    def within_age_band(self) -> bool:
        """Whether models that have thresholds by age use them."""
        return AGE_BAND in parts_of(self.alert_share or "")
