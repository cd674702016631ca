"""The web app's files: whatever no API route matched. Hash routes, so that one page serves every screen."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

HERE = Path(__file__).parent
ROOTS = (HERE.parent / "web" / "dist", HERE / "static")  # a work tree, a wheel
CSP = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
FOREVER = "public, max-age=31536000, immutable"
NO_BUILD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Millwright</title>
<style>body{font:1rem/1.6 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem;color:#222;background:#f6f6f4}
@media (prefers-color-scheme:dark){body{color:#ddd;background:#1b1c1d}}</style>
<h1>Millwright runs</h1><p>The web app is not built yet. In the project folder run <code>make web</code>, then load this
page again.</p><p lang="zh">网页尚未构建。请在项目目录中运行 <code>make web</code>，然后刷新本页。</p>
<p>The API is at <code>/api/v1</code>; its description: <a href="/api/v1/openapi.json">openapi.json</a>.</p></html>"""


class WebApp:
    """Serves ``root`` (by default the build of the work tree or the wheel); looks again at every request."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].lstrip("/")
        if scope["type"] != "http" or path.startswith("api/") or path == "api":
            raise HTTPException(404)
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        response = await self._response(path or "index.html", scope)
        response.headers["content-security-policy"] = CSP
        await response(scope, receive, send)

    async def _response(self, path: str, scope: Scope) -> Response:
        root = self.root or built()
        if root is None:
            if path == "index.html":
                return HTMLResponse(NO_BUILD, headers={"cache-control": "no-store"})
            raise HTTPException(404)
        response = await StaticFiles(directory=root, check_dir=False).get_response(path, scope)
        response.headers["cache-control"] = FOREVER if path.startswith("assets/") else "no-cache"
        return response


def built() -> Path | None:
    """The folder of the built web app; None when there is none."""
    return next((root for root in ROOTS if (root / "index.html").is_file()), None)
