"""Looks every package of the locks up in the database of known vulnerabilities (pip-audit), and says what it could not.

    make audit

Ends with 1 where there is a known vulnerability and with 2 where the data cannot be had: a package that was not looked
up is not one without vulnerabilities.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("runtime", "kit", "dev")


def main() -> None:
    """Audits each lock."""
    worst = 0
    for lock in LOCKS:
        found, code = audited(ROOT / "requirements" / f"{lock}.txt")
        print(f"{lock}.txt: {found}")
        worst = code if code == 1 else max(worst, code) if worst != 1 else 1
    sys.exit(worst)


def audited(lock: Path) -> tuple[str, int]:
    """Return what is known of the packages of a lock, in a sentence, and the exit code for it."""
    program = str(Path(sys.executable).parent / "pip-audit")
    command = [program, "--disable-pip", "--require-hashes", "--requirement", str(lock), "--format", "json"]
    done = subprocess.run([*command, "--progress-spinner", "off", "--timeout", "10"], capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        return f"not audited, the data could not be had: {reason[:200]}", 2
    return judged(packages)


def judged(packages: list[dict[str, object]]) -> tuple[str, int]:
    """Return the sentence and the exit code for what pip-audit says of each package."""
    skipped = [package for package in packages if "skip_reason" in package]
    known = [f"{each['name']} {each['version']}" for each in packages if each.get("vulns")]
    looked_up = f"{len(packages) - len(skipped)} of {len(packages)} packages looked up"
    if known:
        return f"{looked_up}; known vulnerabilities in {', '.join(known)} (run pip-audit for their ids)", 1
    if skipped or not packages:
        return f"{looked_up}; nothing is known of the others, the data could not be had here", 2
    return f"{looked_up}; no known vulnerability", 0


if __name__ == "__main__":
    main()
