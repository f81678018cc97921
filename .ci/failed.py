"""Names the tests that failed in the last run, and ends with exit code 1 where it was not one to three of them."""

import json
import sys
from pathlib import Path

FEW = 3
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """0 where one to three tests failed, and nothing else."""
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not failed:
        print("No test failed: what ended the run is something else.")
        return 1
    print(
        f"\n== {len(failed)} failed, run once more alone: {', '.join(failed[:20])}"
        if len(failed) <= FEW
        else f"\n== {len(failed)} failed: too many to be chance."
    )
    return 0 if len(failed) <= FEW else 1


if __name__ == "__main__":
    sys.exit(main())
