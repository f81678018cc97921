"""Behind a trust file the calls of the page /try need the token of a client."""

import json
from pathlib import Path
from typing import Any

from cds_hooks.tools.kit.simulator.signing import new_key, sign_token
from tests.cds_hooks.calls import PLANNING, client
from tests.cds_hooks.people.pages.tester.pressing import opened

OPERATOR = "operator-token-of-the-tests"
KEY = new_key("https://ehr.example")
TRUST = f"""
version = 1

[[client]]
name = "ehr"
issuers = ["https://ehr.example"]
algorithms = ["ES384"]
jwks_file = "keys.json"
services = ["{PLANNING}"]
"""


def behind_a_trust_file(folder: Path) -> dict[str, Any]:
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(TRUST)
    return {"trust_file": folder / "trust.toml", "operator_token": OPERATOR, "public_url": "http://127.0.0.1:8085"}


async def test_a_call_from_the_page_needs_the_token_of_a_client_which_is_never_written_back(tmp_path: Path) -> None:
    async with client(tmp_path, **behind_a_trust_file(tmp_path)) as calls:
        calls.headers["authorization"] = f"Bearer {OPERATOR}"
        refused = await (await opened(calls)).press("send")
        token = sign_token(KEY, f"http://127.0.0.1:8085/cds-services/{PLANNING}")
        answered = await refused.press("send", token=token)
    assert "Answered with HTTP 401" in refused.text
    assert "people with results like these" in answered.text
    assert token not in answered.html
    assert OPERATOR not in answered.html
