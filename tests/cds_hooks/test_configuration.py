"""Which settings can change an answer: a new one is put into one of two lists, so that no replay misses a cause."""

from cds_hooks.configuration import ANSWERING
from cds_hooks.settings import SETTINGS

_HOW_MUCH_AND_HOW_LONG = {
    "call_seconds", "drain_seconds", "fetch_milliseconds", "max_body_bytes", "visit_memory_bytes",
}  # fmt: skip
_WHERE_THINGS_ARE = {
    "content_keys", "data_dir", "database_url", "events_file", "explain_link_key", "model_signing_key",
    "notice_url", "otlp_endpoint", "seal_command", "seal_file", "seal_key", "user_keys",
}  # fmt: skip
_WHO_MAY_SEE_AND_CALL = {
    "cors_origins", "oidc_file", "operator_listen", "operator_token", "record_user", "trust_file", "trusted_proxies",
}  # fmt: skip
_WATCHED_AND_KEPT = {"keep_facts", "contact", "log_level"}
_IN_FORCE_BY_WHAT_THEY_BRING = {
    # files of models, rules, hooks and people, whose content is in force by its digests; pauses by what is paused
    "model_keys", "models_folder", "packages", "pause_share", "rules_file", "site_rules", "text_file",
    # the clock, which every decision records
    "as_of",
}  # fmt: skip


def test_every_setting_is_said_to_change_answers_or_not_to() -> None:
    others = (
        _HOW_MUCH_AND_HOW_LONG
        | _WHERE_THINGS_ARE
        | _WHO_MAY_SEE_AND_CALL
        | _WATCHED_AND_KEPT
        | _IN_FORCE_BY_WHAT_THEY_BRING
    )
    assert others.isdisjoint(ANSWERING)
    assert others | set(ANSWERING) == set(SETTINGS)
