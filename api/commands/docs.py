"""The verb that writes what can be derived: the OpenAPI document, commands, errors, and the API's tables."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from pathlib import Path

from api import cli, reference
from api.app import create_app
from api.commands.parts import say
from core.database import Database
from core.settings import settings

SUBVERBS = {
    "user": ("add", "password", "list"),
    "device": ("add", "certificate", "rotate", "revoke", "list", "events"),
    "source": ("add", "remove", "list"),
    "rules": ("export", "check", "diff", "apply", "test"),
    "lifecycle": ("export", "check", "preview", "publish", "versions", "restore", "migrate"),
    "audit": ("verify",),
    "evidence": ("verify", "pack", "key"),
    "backup": ("make", "list", "verify"),
    "assets": ("import", "export"),
    "library": ("check",),
}


def docs(argv: list[str]) -> int:
    """Write both documents into ``--folder``."""
    parser = argparse.ArgumentParser(prog="millwright docs", description="Write what can be derived into docs/.")
    parser.add_argument("--folder", type=Path, default=Path("docs"))
    folder = parser.parse_args(argv).folder
    app = create_app(Database("", "", ""), settings=settings())  # describing needs no database
    page = folder / "api.md"
    written = {
        "openapi.json": json.dumps(app.openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n",
        "commands.md": commands(),
        "errors.md": reference.errors(),
        "api.md": reference.api(page.read_text() if page.exists() else "", app),
    }
    for name, text in written.items():
        (folder / name).write_text(text)
        say(f"wrote {folder / name}")
    return 0


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
