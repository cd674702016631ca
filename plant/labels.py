"""What a label on a machine says, and which asset a code names: our own address of the asset, or its code alone.

http://plant.example/#/assets/12?code=P-101&site=alpha        P-101        P-101;SN 4711
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

from psycopg import Connection

from plant import assets
from plant.errors import AssetNotFound
from plant.model import Asset

MOST_WORDS = 10
OURS = re.compile(r"/assets/(\d{1,9})\Z")
BREAKS = re.compile(r"[\s;,|]+")


@dataclass(frozen=True, slots=True)
class Address:
    """An asset as our own label names it."""

    asset_id: int
    code: str
    site: str


def address(origin: str, site: str, asset: Asset) -> str:
    """What the label of an asset says: a phone's camera opens it in the browser."""
    return f"{origin}/#/assets/{asset.asset_id}?code={quote(asset.code, safe='')}&site={quote(site, safe='')}"


def parse(text: str) -> Address | None:
    """The asset that one of our labels names; None for any other text."""
    try:
        path, _, query = urlsplit(text.strip()).fragment.partition("?")
    except ValueError:
        return None
    found, named = OURS.search(path), parse_qs(query)
    if found is None or not {"code", "site"} <= named.keys():
        return None
    return Address(int(found[1]), named["code"][0], named["site"][0])


def asset_named(conn: Connection, text: str, *, site: str) -> Asset | None:
    """The asset of this site that a code's text names, if any: a label of another site or instance names none."""
    ours = parse(text)
    if ours is not None:
        found = _by_code(conn, ours.code) if ours.site == site else None
        return found if found is not None and found.asset_id == ours.asset_id else None
    words = [text.strip(), *BREAKS.split(text.strip())[:MOST_WORDS]]
    return next((found for word in words if word and (found := _by_code(conn, word)) is not None), None)


def _by_code(conn: Connection, code: str) -> Asset | None:
    if not 0 < len(code) <= 64 or "\x00" in code:
        return None
    try:
        return assets.asset_by_code(conn, code)
    except AssetNotFound:
        return None
