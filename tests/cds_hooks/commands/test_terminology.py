"""`cds-hooks terminology import`: what it says of the files, and what it refuses."""

from pathlib import Path

from typer.testing import CliRunner

from cds_hooks.commands.terminology import app

_TABLE = "system,code,name,group,drug\nurn:ours,HI,,hf,\nurn:ours,IB,Ourofen forte,,ibuprofen\n"


def _import(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["import", *arguments])
    return result.exit_code, result.output


def test_the_command_says_what_was_read_and_what_was_not(tmp_path: Path) -> None:
    table, other, index = tmp_path / "ours.csv", tmp_path / "other.csv", tmp_path / "terms.idx"
    table.write_text(_TABLE)
    other.write_text("a,b\n1,2\n")
    code, said = _import(str(table), str(other), "--out", str(index))
    assert code == 0
    assert "this site: ours.csv, SHA-256 " in said
    assert "2 codes (2 of urn:ours) and 1 names." in said
    assert "not read: other.csv, line 1: no table that is known" in said
    assert index.is_file()
