"""What is said where a model is published, moved on, waived, or taken in; and which key signs it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_hooks.commands.model import adding, release
from cds_hooks.commands.model.main import app
from cds_hooks.hold_back.acts import model_subject
from models_onnx.artifact.keys import local_signer, maintainers, public_file
from models_onnx.artifact.release_file import parse_release
from models_onnx.errors import ImportRefused, NotReleased
from models_onnx.serving.registry import ARTIFACTS

AT = datetime(2026, 11, 20, 9, 0, 0, 500_000, tzinfo=UTC)


def run(*words: object) -> tuple[int, str, str]:
    """The exit code of the command as typed after `cds-hooks model`, what was printed, and the errors."""
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A site with a key of its own, and what was published and put in use there; its settings can be changed."""
    key = tmp_path / "key.pem"
    configured = SimpleNamespace(
        model_signing_key=key, as_of=AT, model_state="validated", model_keys=None, trust_file=None, key=key,
        published=[], in_use=[],
    )  # fmt: skip

    def publish(folder: Path, signer: Any, words: Any) -> Any:
        configured.published.append((folder, signer.public.id, words))
        return SimpleNamespace(id="m", version="2.0.0", digest="0123456789abcdef0123")

    monkeypatch.setattr(release, "settings", lambda: configured)
    monkeypatch.setattr(release, "getuser", lambda: "ann")
    monkeypatch.setattr("models_onnx.workbench.release.card.card_words", lambda *given: given)
    monkeypatch.setattr("models_onnx.workbench.release.publishing.publish", publish)
    monkeypatch.setattr(
        "models_onnx.workbench.release.in_use.record_in_use", lambda *given: configured.in_use.append(given)
    )
    return configured


def _own_key(site: Any) -> str:
    return local_signer(site.key, "trained here")[0].public.id


def test_a_model_that_is_published_is_in_use_and_its_gates_come_next(
    site: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    release.publish_trained(Path("own/m"))
    key = _own_key(site)
    own = f"Signed by your own key {key}. A server takes it where CDS_MODEL_KEYS names {public_file(site.key)}.\n"
    published = "Published: m 2.0.0, digest 0123456789abcdef, state draft.\n"
    assert capsys.readouterr() == (
        "",
        f"Made a signing key: {site.key}. Keep it; it belongs into no repository.\n{published}{own}"
        "Next: cds-hooks model gates m --folder own --record\n",
    )
    assert site.published == [(Path("own/m"), key, ("m", None))]
    assert site.in_use == [(Path("own"), "m", "ann", "published")]
    release.publish_trained(Path("own/m"), Path("mine"), Path("tables"))
    next_command = "Next: cds-hooks model gates m --folder own --specs mine --data tables --record\n"
    assert capsys.readouterr().err == f"{published}{own}{next_command}"


def test_a_version_beside_the_one_in_use_leaves_it_in_use(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _own_key(site)
    release.publish_trained(Path("own/m@2.0.0"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "The version in use stays as it is. This one can be tried and released as m@2.0.0 (cds-hooks release set "
        "shadow|canary|active model); a server loads it when it starts again."
    )
    assert (len(lines), lines[-1]) == (4, "Next: cds-hooks model gates m@2.0.0 --folder own --record")
    assert site.in_use == []


def test_a_maintainer_publishes_into_the_package(
    site: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = _own_key(site)
    monkeypatch.setattr(release, "maintainers", lambda: {**maintainers(), key: None})
    release.publish_trained(ARTIFACTS / "m")
    assert capsys.readouterr().err == (
        "Published: m 2.0.0, digest 0123456789abcdef, state draft.\nNext: cds-hooks model gates m --record\n"
    )
    assert site.in_use == []


def test_a_state_is_shown_with_whether_cards_are_and_how_it_came_to_be(site: Any) -> None:
    of_model = parse_release(ARTIFACTS / "mortality_5y")
    (step,) = of_model.history
    history = f"  {step.at} validated by cds-hooks model gates (gates): gates: all green or waived\n"
    name = f"mortality_5y {of_model.version}"
    assert run("state", "mortality_5y") == (0, f"{name} is validated; cards: shown\n{history}", "")
    site.model_state = "active"
    held = f"{name} is validated; cards are shown from active on, not in shadow"
    assert run("state", "mortality_5y") == (0, f"{name} is validated; cards: {held}\n{history}", "")


def test_a_release_is_moved_on_by_those_who_were_named(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[Any] = []
    before = parse_release(ARTIFACTS / "mortality_5y")

    def move(folder: Path, given: Any, to: str, at: str, people: Any, why: str, signer: Any) -> Any:
        moved.append((folder, given, to, at, people, why, signer.public.id))
        return before

    monkeypatch.setattr("models_onnx.workbench.release.publishing.move_release", move)
    named = ("--by", "Ann", "--by", "Bob", "--role", "owner", "--role", "physician")
    assert run("state", "mortality_5y", "--to", "shadow", *named, "--why", "tried")[0] == 0
    assert run("state", "mortality_5y", "--to", "approved", *named)[0] == 0
    assert run("state", "mortality_5y", "--to", "retired", "--by", "Ann")[0] == 0  # nobody without a role
    people, at, home = [("Ann", "owner"), ("Bob", "physician")], "2026-11-20T09:00:00+00:00", ARTIFACTS / "mortality_5y"
    assert moved == [
        (home, before, "shadow", at, people, "tried", _own_key(site)),
        (home, before, "approved", at, people, "", _own_key(site)),
        (home, before, "retired", at, [], "", _own_key(site)),
    ]
    site.as_of = None
    began = datetime.now(UTC).replace(microsecond=0)
    assert run("state", "mortality_5y", "--to", "retired")[0] == 0
    assert began <= datetime.fromisoformat(moved[-1][3]) <= datetime.now(UTC)


def test_behind_a_trust_file_those_approve_who_have_signed(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [("Ann", "owner"), ("Bob", "physician")]
    of_model = parse_release(ARTIFACTS / "mortality_5y")
    assert release._who_approves(of_model, typed) == typed
    asked: list[Any] = []
    missing = ["it is signed by Ann alone", None]

    def why_not(*given: Any) -> str | None:
        asked.append(given)
        return missing.pop(0)

    people = [SimpleNamespace(person=SimpleNamespace(name=name, role=role)) for name, role in typed[::-1]]
    book = SimpleNamespace(why_not_approved=why_not, signers=lambda *given: people if given == asked[-1][:2] else [])
    monkeypatch.setattr(release, "site_approvals", lambda: book)
    site.trust_file = Path("trust.toml")
    with pytest.raises(NotReleased) as refused:
        release._who_approves(of_model, typed)
    assert str(refused.value) == "it is signed by Ann alone: cds-hooks approve model mortality_5y --key FILE"
    assert release._who_approves(of_model, []) == typed[::-1]
    assert {given[:1] for given in asked} == {("model",)}
    assert asked[0][1] == model_subject(of_model)
    assert asked[0][2] == datetime.now(UTC).date()


def test_a_model_that_declares_no_waiver_has_none_to_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local_signer(tmp_path / "key.pem", "waivers")
    written: list[Any] = []
    words: dict[str, Any] = {"product": {"indications": []}}
    monkeypatch.setattr("models_onnx.spec.get_spec", lambda *_: SimpleNamespace(version="2.0.0"))
    monkeypatch.setattr("models_onnx.workbench.release.card.declared_words", lambda *_: (Path("m.card.json"), words))
    monkeypatch.setattr("models_onnx.workbench.release.card.write_words", lambda *given: written.append(given))
    none = "m.card.json declares no waiver (product.waivers)\n"
    assert run("waive", "m", "--key", tmp_path / "key.pem") == (2, "", none)
    assert written == []


# New models


def test_the_files_of_a_new_model_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = [tmp_path / "falls_1y.py", tmp_path / "falls_1y.card.json"]
    monkeypatch.setattr("models_onnx.workbench.training.template.write_template", lambda *_: written)
    mine = tmp_path
    assert run("new", "falls_1y", "--folder", mine) == (
        0,
        f"{written[0]}\n{written[1]}\nNext: complete {mine}/falls_1y.py, then cds-hooks model train falls_1y --specs "
        f"{mine} --data TABLES\n",
        "",
    )
    code, shown, errors = run("new", "falls_1y", "--json")
    assert (code, json.loads(shown), errors) == (0, {"files": list(map(str, written))}, "")


@pytest.mark.parametrize("explains", [True, False])
def test_a_model_that_is_taken_in_says_whether_it_explains_itself(
    explains: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def import_model(*given: Any) -> Any:
        asked.append(given)
        wiring = SimpleNamespace(contributions="contributions" if explains else None)
        return SimpleNamespace(id="m", version="1.0", wiring=wiring), SimpleNamespace(digest="0123456789abcdef0123")

    monkeypatch.setattr("models_onnx.workbench.release.importing.import_model", import_model)
    monkeypatch.setattr("models_onnx.workbench.release.importing.read_json", lambda path: f"{path} as JSON")
    monkeypatch.setattr(adding, "signer", lambda: "the key")
    monkeypatch.setattr(adding, "_from_registry", lambda uri, server, _: Path(f"{uri} of {server}"))
    silent = "" if explains else "It does not explain itself: not for cards (gate G6).\n"
    said = "Taken in: m 1.0 in own/m, digest 0123456789abcdef, draft.\n"
    words = ("--card", "c", "--features", "f", "--out", "own")
    assert run("import", "m.onnx", *words) == (0, f"{said}{silent}Next: cds-hooks model gates m --folder own\n", "")
    assert run("import", "models:/m/3", *words, "--mlflow", "s")[0] == 0
    more = ("c as JSON", "f as JSON", Path("own"), "the key")
    assert asked == [(Path("m.onnx"), *more), (Path("models:/m/3 of s"), *more)]


def test_a_model_of_a_registry_is_downloaded_from_the_server_that_was_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ImportRefused, match=r"^models:/m/3 is of an MLflow server: say by --mlflow where it is$"):
        adding._from_registry("models:/m/3", None, tmp_path)
    server = SimpleNamespace(download=lambda uri, folder: folder / uri.rpartition("/")[2])
    monkeypatch.setattr("cds_hooks.commands.model.mlflow.MLflowServer", lambda address: address == "s" and server)
    assert adding._from_registry("models:/m/3", "s", tmp_path) == tmp_path / "3"


def test_what_the_card_of_a_compiled_file_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = [f"attribute {number} is blank" for number in (1, 2, 3, 4)]
    saved: list[Path] = []
    given: dict[str, Any] = {}
    compiled = SimpleNamespace(save=saved.append, report=SimpleNamespace(as_dict=lambda: {"form": "trees"}))

    def compile_model(file: Path, rows: Any, **options: Any) -> Any:
        given.update(options, file=file, rows=rows)
        return compiled

    monkeypatch.setattr("models_onnx.model_card.schema.card_problems", lambda _: lacks)
    monkeypatch.setattr("models_onnx.workbench.compiler.compile_model", compile_model)
    monkeypatch.setattr(
        "models_onnx.workbench.compiler.readers.rows.read_rows", lambda *_: SimpleNamespace(X="X", outcomes="y")
    )
    (tmp_path / "card.json").write_text('{"title": "Invented"}')
    words = ("compile", "m.txt", "--reference", "r.csv", "--card", tmp_path / "card.json", "--out", "falls.onnx")
    code, shown, errors = run(*words, "--features", "a,b", "--json")
    said = "attribute 1 is blank; attribute 2 is blank; attribute 3 is blank"
    assert (code, json.loads(shown), errors) == (
        0, {"form": "trees"}, f"The card is not whole, `cds-hooks model import` will refuse it: {said}\n",
    )  # fmt: skip
    assert given == {
        "file": Path("m.txt"), "rows": "X", "features": ["a", "b"], "outcomes": "y", "name": "falls",
        "version": "0.0.0", "groups": {}, "card": {"title": "Invented"}, "deepest": 4, "approximate": False,
    }  # fmt: skip
    lacks.clear()
    assert run(*words, "--features", "a,b", "--json", "--approximate", "--name", "n")[2] == ""
    assert (given["approximate"], given["name"], saved) == (True, "n", [Path("falls.onnx")] * 2)
    for text, why in (
        ("[]", "is not a model card: a JSON object"),
        ("{}", "is not a model card"),
        ("{", "is not JSON"),
    ):
        (tmp_path / "card.json").write_text(text)
        code, _, errors = run(*words, "--features", "a,b")
        assert (code, f"card.json {why}" in errors) == (2, True)
