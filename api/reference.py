"""Pages that are derived from the program: every error code, every route with who may call it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from fastapi import FastAPI

import api as doors
import core
import detectors
import edge
import ingest
import maintenance
import plant
import tickets
from api import policies
from core.errors import MillwrightError

PACKAGES = (core, plant, edge, ingest, detectors, tickets, maintenance, doors)
ERRORS = """# Errors

Written by `make docs` from the classes. Every error of the API is an RFC 9457 problem document:

```json
{"type": "urn:millwright:error:not_found", "title": "Not Found", "status": 404, "code": "not_found",
 "detail": "There is no ticket 7 on this site.", "instance": "urn:millwright:request:1f2e3d4c5b6a7988"}
```

`code` is stable; programs should look at it and at nothing else. `detail` is a sentence to act on. `instance` names the
request: the same id stands in the server's log and in the header `X-Request-Id`. Some errors say more: `errors` (which
fields), `current` and `difference` (the present state, who changed what since, with 412), `Retry-After` (with 429 and
503). A command prints the sentence alone.
An error that has no code of its own has the code of the HTTP status: `no_such_route`, `method_not_allowed`, `http`.
"""


def errors() -> str:
    """docs/errors.md: one heading a code, in alphabetical order."""
    lines = [ERRORS]
    for kind in sorted(_kinds(), key=lambda each: each.code):
        sentence = " ".join((kind.__doc__ or "").split())
        lines += [f"## `{kind.code}`", "", f"{_where(kind)}. {sentence}", ""]
    return "\n".join(lines)


def _where(kind: type[MillwrightError]) -> str:
    return "At the command line, or 500" if kind.status == 500 else f"HTTP {kind.status}"


def _kinds() -> Iterator[type[MillwrightError]]:
    """One class for each code, of every room."""
    for package in PACKAGES:
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in info.name:
                importlib.import_module(info.name)
    seen: dict[str, type[MillwrightError]] = {}
    waiting = [MillwrightError]
    while waiting:
        kind = waiting.pop(0)
        waiting += kind.__subclasses__()
        if kind.__module__.split(".")[0] != "tests":
            seen.setdefault(kind.code, kind)
    yield from seen.values()


def routes(app: FastAPI) -> str:
    """A table of every route: method, path, what for, the right it asks for."""
    lines = ["| method | path | what | right |", "|---|---|---|---|"]
    paths = app.openapi()["paths"]
    for (method, path), policy in sorted(policies.check_routes(app.routes).items(), key=lambda item: item[0][::-1]):
        what = str(paths[path][method.lower()].get("description", "")).split("\n")[0]
        lines.append(f"| {method} | `{path}` | {what} | {policy.action or 'open'} |")
    return "\n".join(lines) + "\n"


def rights() -> str:
    """The truth table: who may what."""
    lines = ["| right | " + " | ".join(policies.ROLES) + " |", "|---" * (len(policies.ROLES) + 1) + "|"]
    for action, grants in policies.RULES.items():
        lines.append(f"| `{action}` | " + " | ".join(str(grants[role]) for role in policies.ROLES) + " |")
    return "\n".join(lines) + "\n"


MARK = "<!-- from here on written by `make docs` -->"


def api(page: str, app: FastAPI) -> str:
    """docs/api.md: what people wrote above the mark, and the tables below it."""
    written = page.split(MARK)[0].rstrip()
    return f"{written}\n\n{MARK}\n\n## Routes\n\n{routes(app)}\n## Rights\n\n{rights()}"
