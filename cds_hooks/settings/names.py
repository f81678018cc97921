"""Variables of the environment that look like settings and are none: misspelt ones, with the nearest right name."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

PREFIX: Final = "CDS_"
_WITHOUT_FIELD: Final = frozenset(
    {"CDS_METRICS_DIR", "CDS_SANDBOX_DIR", "CDS_SPEC_DIR"}
)  # read by workers and by tests
# Kubernetes sets these in every container for a Service whose name begins with "cds".
_OF_KUBERNETES: Final = re.compile(
    r"CDS_(\w{1,63}_)?(SERVICE_HOST|SERVICE_PORT(_\w{1,63})?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_ADDRESS_OF_KUBERNETES: Final = ("tcp://", "udp://", "sctp://")


def ignored_settings(environment: Mapping[str, str], fields: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each variable that begins with CDS_ and is no setting, so that none is ignored in silence.

    `fields` are the names of the settings without their prefix.
    """
    names = {PREFIX + field.upper() for field in fields}
    for name, value in sorted(environment.items()):
        if not name.upper().startswith(PREFIX) or name.upper() in names | _WITHOUT_FIELD:
            continue
        if not (_OF_KUBERNETES.fullmatch(name) or value.startswith(_ADDRESS_OF_KUBERNETES)):
            yield _misspelt(name, names)


def _misspelt(name: str, names: Collection[str]) -> str:
    written = name.upper().removeprefix(PREFIX)
    near = get_close_matches(written, [setting.removeprefix(PREFIX) for setting in names], n=1, cutoff=0.6)
    advice = f"did you mean {PREFIX}{near[0]}?" if near else "cds-hooks settings lists all settings."
    return f"{name} is no setting; {advice}"
