"""A site with a trust file and two registered clients, for rows on tokens and on what belongs to whom."""

import json
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cds_hooks.tools.kit.simulator.signing import SigningKey, new_key, sign_token
from tests.conformance.outside import SERVICES, Outside

BASE = "https://cds.example.org"
ISSUER, OTHER_ISSUER = "https://ehr.example.org", "https://other.example.org"
KEY, OTHER_KEY = new_key(ISSUER, kid="a+/=1"), new_key(OTHER_ISSUER)
RSA_KEY = new_key(ISSUER, "RS384")
P256_KEY = new_key(ISSUER, "ES256")

CLIENTS = f"""
version = 1

[[client]]
name = "ehr"
issuers = ["{ISSUER}"]
jwks_file = "ehr.json"
cors_origins = ["https://app.ehr.example.org"]

[[client]]
name = "other"
issuers = ["{OTHER_ISSUER}"]
jwks_file = "other.json"
protocol_version = "3.0"
"""


class Site:
    """A started server with a trust file in a folder; `more` is added to the first client's table."""

    def __init__(self, folder: Path, more: str = "", clients: str = CLIENTS, **settings: Any) -> None:
        keys = {"keys": [key.key_set()["keys"][0] for key in (KEY, RSA_KEY)]}
        (folder / "ehr.json").write_text(json.dumps(keys))
        (folder / "other.json").write_text(json.dumps(OTHER_KEY.key_set()))
        self.file = folder / "trust.toml"
        self.file.write_text(clients.replace('name = "ehr"\n', f'name = "ehr"\n{more}\n'))
        self.server = Outside(folder, trust_file=self.file, public_url=BASE, **settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.server.close()

    @staticmethod
    def signed(path: str, key: SigningKey = KEY, **claims: Any) -> dict[str, str]:
        """The header of a call of this path."""
        return {"authorization": f"Bearer {sign_token(key, BASE + path, **claims)}"}

    def call(self, service: str, body: Any, key: SigningKey = KEY) -> Any:
        """The answer to a signed hook call or, with `/feedback` behind the service, feedback."""
        return self.server.call(service, body, headers=self.signed(f"{SERVICES}/{service}", key))


def named(key: SigningKey, **members: Any) -> SigningKey:
    """The key under other members of its JWK, such as another `kid`."""
    return replace(key, jwk={**key.jwk, **members})
