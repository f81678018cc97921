"""The settings of limits: sizes of calls, times, and how many at once; beyond them a call is answered, never cut."""

from pydantic import Field
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """Limits of calls and connections."""

    max_body_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="Largest request body that is read, in bytes; larger ones are answered 413.",
    )
    visit_memory_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=0,
        le=1024 * 1024 * 1024,
        description="Memory of each server process for the prefetch of the last five minutes, in bytes: where a client "
        "sends the same chart again for another service or order, it is not read again. 0 keeps none.",
    )
    call_seconds: float = Field(
        default=20,
        gt=0,
        le=600,
        description="Longest time from a call's body to its answer, in seconds; then it is answered 503 with "
        "Retry-After and recorded as a failure.",
    )
    fetch_milliseconds: int = Field(
        default=400,
        ge=1,
        le=60_000,
        description="Longest time in which one call reads from the client's FHIR server what its prefetch lacks, in "
        "milliseconds, where no trust file says how long.",
    )
    drain_seconds: float = Field(
        default=3,
        ge=0,
        le=300,
        description="How long a server that got SIGTERM goes on answering, with 503 at /readyz and closing "
        "connections, before it ends, in seconds: as long as the load balancer needs to notice. Ctrl-C does not wait.",
    )
