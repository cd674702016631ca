"""The verb that writes what can be derived: docs/openapi.json and docs/commands.md."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from pathlib import Path

from api import cli
from api.app import create_app
from api.commands.parts import say
from core.database import Database
from core.settings import settings

SUBVERBS = {"user": ("add", "password", "list"), "device": ("add", "revoke", "list")}


def docs(argv: list[str]) -> int:
    """Write both documents into ``--folder``."""
    parser = argparse.ArgumentParser(prog="millwright docs", description="Write docs/openapi.json and commands.md.")
    parser.add_argument("--folder", type=Path, default=Path("docs"))
    folder = parser.parse_args(argv).folder
    (folder / "openapi.json").write_text(json.dumps(openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    (folder / "commands.md").write_text(commands())
    say(f"wrote {folder / 'openapi.json'} and {folder / 'commands.md'}")
    return 0


def openapi() -> dict[str, object]:
    """The OpenAPI document; needs no database."""
    return create_app(Database("", "", ""), settings=settings()).openapi()


def commands() -> str:
    """Every verb with its own help."""
    lines = ["# Commands", "", "Written by `make docs` from the verbs' own help.", ""]
    for name, verb in cli.VERBS.items():
        lines += [
            f"## `{name}`",
            "",
            f"{verb.summary[0].upper()}{verb.summary[1:]}.",
            "",
            "```",
            help_of(name),
            "```",
            "",
        ]
        for sub in SUBVERBS.get(name, ()):
            lines += [f"### `{name} {sub}`", "", "```", help_of(name, sub), "```", ""]
    return "\n".join(lines)


def help_of(*words: str) -> str:
    """What ``millwright WORDS --help`` prints, at a fixed width."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main([*words, "--help"])
    return out.getvalue().strip()
