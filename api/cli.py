"""The `millwright` command: one table of verbs, each in a module that is loaded when its verb is called.

A gateway has the base distribution alone; verbs of the extra `server` say so where it is not installed.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import MillwrightError


@dataclass(frozen=True, slots=True)
class Verb:
    """``module:function`` is called with the remaining arguments and returns the exit code.

    ``failed``: the exit code when it could not run, another one where 1 is an answer.
    """

    target: str
    summary: str
    failed: int = 1


VERBS = {
    "up": Verb("api.commands.run:up", "start everything: database, broker, ingest, detectors, jobs, web"),
    "demo": Verb("api.commands.demo:demo", "a living plant in a data directory of its own"),
    "ingest": Verb("api.commands.ingest:ingest", "run ingest alone"),
    "detect": Verb("api.commands.detect:detect", "run the detectors alone"),
    "worker": Verb("api.commands.worker:worker", "run the job worker alone"),
    "serve": Verb("api.commands.serve:serve", "run API and web alone"),
    "gateway": Verb("edge.gateway:main", "hear machines, spool on disk, send on; `gateway check FILE` validates"),
    "migrate": Verb("api.commands.run:migrate", "bring the database schema to this version"),
    "doctor": Verb("api.commands.run:doctor", "say in words what is wrong"),
    "backup": Verb("api.commands.backup:backup", "back up database, attachments and secrets; list and verify backups"),
    "restore": Verb("api.commands.backup:restore_verb", "bring a backup back, to any moment since it was made"),
    "reset": Verb("api.commands.run:reset", "delete this instance's data"),
    "user": Verb("api.commands.people:user", "add a person, set a password, list people"),
    "link": Verb("api.commands.people:link", "print a sign-in link (single use, 15 minutes)"),
    "token": Verb("api.commands.people:token", "make an API token"),
    "device": Verb("api.commands.devices:device", "register, revoke or renew a device; prints how to publish"),
    "source": Verb("api.commands.sources:source", "subscribe to an OPC UA server, list sources, forget one"),
    "reconcile": Verb("api.commands.reconcile:reconcile", "does everything that was sent add up?"),
    "clock": Verb("api.commands.clock:clock", "show the plant clock, or set its speed"),
    "publish": Verb("api.commands.publish:publish", "play a recorded table through the real broker"),
    "backfill": Verb("api.commands.backfill:backfill", "store old data from CSV or Parquet; twice changes nothing"),
    "tag": Verb("api.commands.tags:tag", "which tags bring which signals; rename a tag without losing history"),
    "lifecycle": Verb("api.commands.lifecycle:lifecycle", "life cycles as text: export, check, preview, publish"),
    "audit": Verb("api.commands.audit:audit", "was any ticket's history changed? names every problem"),
    "evidence": Verb("api.commands.evidence:evidence", "packs of evidence: verify one without a database, write one"),
    "rules": Verb("api.commands.rules:rules", "rules as text: export, check, diff, apply, test on recorded history"),
    "guides": Verb("api.commands.guides:guides", "guides as text: export, diff, apply"),
    "plans": Verb("api.commands.plans:plans", "job plans and plans as text: export, diff, apply"),
    "assets": Verb("api.commands.assets:assets", "assets and signals from and to CSV or Excel; with a dry run"),
    "library": Verb("api.commands.assets:library_verb", "check a failure-mode library file"),
    "replay": Verb("api.commands.replay:replay", "recorded weeks again in a sandbox, and what comes out otherwise", 2),
    "backtest": Verb("api.commands.backtest:backtest", "what a maintenance policy would have done, beside what failed"),
    "mcp": Verb("api.commands.mcp:mcp", "tools for a local agent over MCP, with the rights of a token"),
    "docs": Verb("api.commands.docs:docs", "write the OpenAPI document and the command reference into docs/"),
}


def usage() -> str:
    """The list of verbs."""
    lines = [f"  {name:<9} {verb.summary}" for name, verb in VERBS.items()]
    return "usage: millwright VERB [options]   (millwright VERB --help)\n\n" + "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run one verb; errors of ours are one sentence and the verb's exit code for them, 1 if it says nothing else."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    verb = VERBS.get(arguments[0])
    if verb is None:
        print(f"millwright: there is no verb {arguments[0]!r}.\n\n{usage()}", file=sys.stderr)
        return 2
    try:
        return _load(verb)(arguments[1:])
    except MillwrightError as error:
        print(f"millwright: {error.message}", file=sys.stderr)
        return verb.failed
    except KeyboardInterrupt:
        return 130
    except Exception:
        if verb.failed == 1:
            raise
        traceback.print_exc()  # Python's own exit code would be 1
        return verb.failed


def _load(verb: Verb) -> Callable[[list[str]], int]:
    module, function = verb.target.split(":")
    try:
        found: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in {"api", "core", "edge", "ingest", "plant"}:
            raise
        raise MillwrightError(
            f"This verb needs the package {error.name!r}: install the server set with "
            "`pip install 'millwright[server]'`."
        ) from error
    return found


if __name__ == "__main__":
    sys.exit(main())
