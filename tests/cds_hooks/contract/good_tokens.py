"""How the good server checks signed tokens: completely, unless a habit is planted."""

from functools import cache
from typing import Any

import jwt

from cds_hooks.contract.signer import Signer
from cds_hooks.security.signing import SigningKey, algorithms_of, new_key, sign_claims
from tests.cds_hooks.contract.habits import Habits, Json

ISSUER = "https://ehr.example"
_REQUIRED = ("iss", "aud", "exp", "iat", "jti")


@cache
def key() -> SigningKey:
    """The tester's key, of RSA: it can sign with algorithms that are not registered, too."""
    return new_key(ISSUER, "RS384", "kit")


def signer() -> Signer:
    """What the kit is given for it."""
    mine = key()
    return Signer(
        ISSUER,
        "RS384",
        "kit",
        lambda header, claims: sign_claims(mine, header, claims),
        algorithms=algorithms_of(mine),
    )


def is_good(habits: Habits, given: str, url: str) -> bool:
    """Whether the token is right in every point; each habit forgets one."""
    try:
        header = jwt.get_unverified_header(given)
        claims = _claims(habits, given)
    except jwt.PyJWTError:
        return False
    return _has_good_header(habits, header) and _has_good_claims(habits, claims, url) and _is_new(habits, claims)


def _claims(habits: Habits, given: str) -> Json:
    options: Any = {
        "verify_aud": False,
        "verify_exp": not habits.has("expired tokens taken"),
        "verify_iat": not habits.has("tokens of tomorrow taken"),
        "verify_nbf": not habits.has("nbf not read"),
        "require": [] if habits.has("claims may be missing") else list(_REQUIRED),
    }
    algorithms = algorithms_of(key()) if habits.has("any algorithm taken") else ["RS384"]
    claims: Json = jwt.decode(given, key().private.public_key(), algorithms=algorithms, options=options)
    return claims


def _has_good_header(habits: Habits, header: Json) -> bool:
    right_key = header.get("kid") == "kit" or habits.has("kid not read")
    right_type = header.get("typ") == "JWT" or habits.has("typ not read")
    return right_key and right_type and ("jku" not in header or habits.has("any jku taken"))


def _has_good_claims(habits: Habits, claims: Json, url: str) -> bool:
    audience = claims.get("aud", [])
    if isinstance(audience, list) and habits.has("aud as text only"):
        return False
    for_us = habits.has("any audience taken") or url in ([audience] if isinstance(audience, str) else audience)
    if habits.has("discovery with any token") and url.endswith("/cds-services"):
        for_us = True
    ours = claims.get("iss") == ISSUER or habits.has("any issuer taken")
    times = [claims.get("exp"), claims.get("iat")]
    if not all(isinstance(each, int) for each in times) and not habits.has("claims may be missing"):
        return False
    short = habits.has("tokens live long", "claims may be missing") or claims["exp"] - claims["iat"] <= 3600
    known = not habits.has("unknown claims refused") or set(claims) <= {*_REQUIRED, "sub", "tenant"}
    return for_us and ours and short and known


def _is_new(habits: Habits, claims: Json) -> bool:
    name = f"jti {claims.get('jti')}"
    if name in habits.seen and not habits.has("tokens taken twice"):
        return False
    habits.seen.add(name)
    return True
