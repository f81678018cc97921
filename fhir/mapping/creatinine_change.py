"""Whether kidney function is changing: creatinine that moves as in acute kidney injury."""

from collections.abc import Sequence

from fhir.record.measurement import Measurement
from fhir.record.time import DAY_SECONDS

# KDIGO 2012 acute kidney injury: 0.3 mg/dL within 48 hours, or by half within 7 days.
RISE_MG_DL = 0.3
RISE_SECONDS = 2 * DAY_SECONDS
SHARE = 0.5
SHARE_SECONDS = 7 * DAY_SECONDS
_ROUNDING = 1e-9  # 2.4 − 2.1 is 0.3 on paper, not in binary


def is_creatinine_unstable(creatinine: Sequence[Measurement]) -> bool:
    """Whether the newest creatinine (they come newest first) differs from earlier ones as in acute kidney injury.

    By 0.3 mg/dL within 48 hours, or by half of the earlier value within 7 days, up or down.
    """
    if not creatinine:
        return False
    newest = creatinine[0]
    for earlier in creatinine[1:]:
        seconds = newest.time.instant - earlier.time.instant
        change = abs(newest.value - earlier.value) + _ROUNDING
        if seconds > SHARE_SECONDS:
            return False
        if seconds <= 0:
            continue  # two results of one sample contradict each other, they are no change
        if (seconds <= RISE_SECONDS and change >= RISE_MG_DL) or change >= SHARE * earlier.value:
            return True
    return False
