"""Names of settings that are none: removed ones with what to use instead, misspelt ones with the nearest right one."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

PREFIX: Final = "CDS_"

_CONSTANT: Final = "is a constant now, {}, and no setting"
_TRUST_FILE: Final = "is no setting any more: write {} for the client into the trust file (docs/operations/trust.md)"
_BESIDE: Final = "is no setting any more: the server uses {} in its working folder; mount or link it there"
_OIDC_FILE: Final = "is no setting any more: describe the provider in CDS_OIDC_FILE (docs/operations/access.md)"

REMOVED: Final[Mapping[str, str]] = {
    "CDS_ACTION_SELECTION_BEHAVIOR": _TRUST_FILE.format("action_selection_behavior"),
    "CDS_ALERT_SHARES": "is no setting any more: CDS_ALERT_SHARE takes the shares of single models, too, as "
    "0.1,mortality_5y=0.05",
    "CDS_ALLOW_ANY_HOST": "is no setting any more: start with cds-hooks serve --any-host",
    "CDS_ANSWER_SECONDS": _CONSTANT.format("30"),
    "CDS_API_DOCS": "is no setting any more: /openapi.json and /api are served in the development profile only",
    "CDS_BODY_SECONDS": _CONSTANT.format("10"),
    "CDS_CALLS_PER_SECOND": _CONSTANT.format("10,000") + "; a trust file can say less for a client",
    "CDS_CONCURRENT_CALLS": _CONSTANT.format("256") + "; a trust file can say another number for a client",
    "CDS_CONNECTIONS": _CONSTANT.format("10,000"),
    "CDS_COUNTS_FILE": _BESIDE.format("var/monitor.sqlite3"),
    "CDS_HEAD_SECONDS": _CONSTANT.format("10"),
    "CDS_KEEP_REQUESTS": "is no setting any more: with CDS_KEEP_FACTS (the default) a replay gives the same card",
    "CDS_LABEL_LAG_DAYS": _CONSTANT.format("3") + "; a model can declare another label_lag_days",
    "CDS_LINK_HOSTS": _TRUST_FILE.format("link_hosts"),
    "CDS_MAX_DRAFTS": _CONSTANT.format("200"),
    "CDS_MAX_ENTRIES": _CONSTANT.format("30,000"),
    "CDS_MAX_ENTRIES_PER_KEY": _CONSTANT.format("10,000"),
    "CDS_PAUSE_CARDS": _CONSTANT.format("200"),
    "CDS_SEAL_SECONDS": _CONSTANT.format("60"),
    "CDS_SIMULATIONS_FOLDER": _BESIDE.format("var/simulations"),
    "CDS_SIMULATION_CHARTS": _BESIDE.format("var/charts"),
    "CDS_WITHIN_AGE_BAND": "is no setting any more: write age-band into CDS_ALERT_SHARE",
}
"""What a removed setting that only tuned something is answered with; the server starts all the same."""

REFUSED: Final[Mapping[str, str]] = {
    "CDS_CONTENT_KEY": "is no setting any more: write the keys into a file, one a line, and name it in "
    "CDS_CONTENT_KEYS; without it the record would not be encrypted",
    "CDS_EXPLAIN_LINK_MINUTES": _CONSTANT.format("60") + ": CDS_EXPLAIN_LINK_KEY alone makes such links",
    "CDS_HOOKS_FILE": "is no setting any more: put the file as hooks.toml or hooks.json into CDS_MODELS_FOLDER; "
    "without it these hooks would not be answered",
    "CDS_LOGIN_HOURS": _CONSTANT.format("12"),
    "CDS_LOGIN_IDLE_MINUTES": _CONSTANT.format("15"),
    **dict.fromkeys(("CDS_OIDC_CLIENT_ID", "CDS_OIDC_CLIENT_SECRET", "CDS_OIDC_ISSUER"), _OIDC_FILE),
    **dict.fromkeys(("CDS_OIDC_ROLES", "CDS_OIDC_ROLES_CLAIM", "CDS_OIDC_SCOPES"), _OIDC_FILE),
    "CDS_SEAL_URL": 'is no setting any more: CDS_SEAL_COMMAND="curl --fail --data-binary @- URL" sends each seal',
}
"""Removed settings that protected something or served hooks: nothing starts without what takes their place."""

_WITHOUT_FIELD: Final = frozenset(
    {"CDS_METRICS_DIR", "CDS_SANDBOX_DIR", "CDS_SPEC_DIR"}
)  # read by workers and by tests
# Kubernetes sets these in every container for a Service whose name begins with "cds".
_OF_KUBERNETES: Final = re.compile(
    r"CDS_(\w{1,63}_)?(SERVICE_HOST|SERVICE_PORT(_\w{1,63})?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_ADDRESS_OF_KUBERNETES: Final = ("tcp://", "udp://", "sctp://")


class RemovedSetting(Exception):
    """The environment sets one of `REFUSED`; the message says what to use."""


def refuse_removed(environment: Mapping[str, str]) -> None:
    """Refuses an environment that sets one of `REFUSED`.

    Raises:
        RemovedSetting: It does.
    """
    if names := sorted(REFUSED.keys() & environment.keys()):
        raise RemovedSetting("\n".join(f"{name} {REFUSED[name]}." for name in names))


def ignored_settings(environment: Mapping[str, str], fields: Collection[str]) -> Iterator[str]:
    """Yields a sentence for each variable that begins with CDS_ and is no setting, so that none is ignored in silence.

    `fields` are the names of the settings without their prefix.
    """
    names = {PREFIX + field.upper() for field in fields}
    for name, value in sorted(environment.items()):
        if not name.upper().startswith(PREFIX) or name.upper() in names | REFUSED.keys() | _WITHOUT_FIELD:
            continue
        if name in REMOVED:
            yield f"{name} {REMOVED[name]}."
        elif not (_OF_KUBERNETES.fullmatch(name) or value.startswith(_ADDRESS_OF_KUBERNETES)):
            yield _misspelt(name, names)


def _misspelt(name: str, names: Collection[str]) -> str:
    written = name.upper().removeprefix(PREFIX)
    near = get_close_matches(written, [setting.removeprefix(PREFIX) for setting in names], n=1, cutoff=0.6)
    advice = f"did you mean {PREFIX}{near[0]}?" if near else "cds-hooks settings lists all settings."
    return f"{name} is no setting; {advice}"
