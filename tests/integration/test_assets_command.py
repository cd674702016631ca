"""`millwright assets`: a dry run that finds problems exits with 1, an import changes what it says."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from psycopg import Connection

from api.commands import assets as command
from plant import assets

CSV = "Code,Name,Level,Class\nL-1,Line,line,\nP-1,Pump,equipment,pump\n"


def run(conn: Connection, file: Path, **options: object) -> int:
    asked = argparse.Namespace(file=file, dry_run=False, locale="en", **options)
    return command._import(conn, asked)


def test_an_import_from_the_command_line(
    conn: Connection, site: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(CSV + "X,Lost,,spaceship\n", "utf-8")
    assert run(conn, file) == 1 and assets.assets(conn) == []
    assert "row 4, Class: No library describes the class spaceship" in capsys.readouterr().err
    file.write_text(CSV, "utf-8")
    assert run(conn, file) == 0
    assert [each.code for each in assets.assets(conn)] == ["L-1", "P-1"]
    out = tmp_path / "out.csv"
    assert command._export(conn, argparse.Namespace(file=out, locale="zh")) == 0
    assert "编号" in out.read_text("utf-8-sig") and run(conn, out) == 0
