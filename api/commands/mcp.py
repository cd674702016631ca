"""The verb `mcp`: tools for a local agent over stdio, with the rights of a token."""

from __future__ import annotations

import argparse
import os

from api.tools import server
from core.errors import Invalid
from core.settings import settings

TOKEN = "MILLWRIGHT_TOKEN"  # noqa: S105 - a variable's name


def mcp(argv: list[str]) -> int:
    """Speak MCP on stdin and stdout until the client closes them."""
    parser = argparse.ArgumentParser(
        prog="millwright mcp",
        description=f"Tools for an agent over MCP on stdin and stdout. The token comes in the variable {TOKEN}.",
    )
    default = f"http://127.0.0.1:{settings().port}"
    parser.add_argument("--url", default=default, help="the instance (default: %(default)s)")
    parser.add_argument("--site", help="site code (default: the token's first site)")
    asked = parser.parse_args(argv)
    token = os.environ.get(TOKEN, "")
    if not token:
        raise Invalid(f"Set {TOKEN} to a token: `millwright token LOGIN`.")
    if not asked.url.startswith(("http://", "https://")):
        raise Invalid("--url must begin with http:// or https://.")
    server.over_stdio(asked.url.rstrip("/"), token=token, site=asked.site).run("stdio")
    return 0
