"""What `publish` needs of the public HTTP API: asset, signals, bindings, a device, the clock, the quarantine."""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import httpx

from api import identity
from api.commands.people import address_of
from api.instance import Instance
from core import clock
from core.clock import Clock
from core.errors import Conflict, MillwrightError, Unavailable
from plant.model import Role

KEPT_FILE = "publish.json"
HTTP_S = 15.0
TOKEN_TIME = timedelta(minutes=15)
CLOCK_S = 2.0  # how often the plant clock is read again
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


class PublishRefused(MillwrightError):
    """The API refuses what the table needs."""

    code = "publish_refused"
    status = 422


@dataclass(frozen=True, slots=True)
class Column:
    """A signal that a column of the table is, or becomes; ``low`` and ``high`` in the quantity's canonical unit."""

    code: str
    name: str
    unit: str
    quantity: str
    role: Role
    low: float | None = None
    high: float | None = None


class Api:
    """The running instance's API on behalf of a local administrator. A context manager."""

    def __init__(self, instance: Instance, login: str, site: str) -> None:
        self._instance, self._login, self._site = instance, login, site
        self._kept = instance.data_dir / KEPT_FILE
        self._token, self._token_until = "", 0.0
        self._http = httpx.Client(base_url=f"{address_of(instance)}/api/v1", timeout=HTTP_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def asset(self, code: str) -> Mapping[str, Any] | None:
        """The asset with its signals; None when there is none of this code."""
        found = next((each for each in self._items("/assets") if each["code"] == code), None)
        return None if found is None else dict(self._call("GET", f"/assets/{found['asset_id']}"))

    def make(
        self, code: str, asset: Mapping[str, Any], columns: Sequence[Column], *, device: str, period_s: float
    ) -> None:
        """Make asset, signals and bindings, or bring them to this; ``asset`` holds its name, class and so on."""
        signals = [
            {**asdict(each), "period_s": period_s, "source": device, "tag": tag_of(code, each)} for each in columns
        ]
        self._call("POST", "/assets/import", {"assets": [{**asset, "code": code, "signals": signals}]})

    def device_password(self, device: str) -> str:
        """The device's password as kept in the data directory; registers the device when it is not known.

        Raises Conflict when it is known but its password was not kept here. Two that publish for the first time at
        once register it once.
        """
        with self._kept.with_suffix(".lock").open("w") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX)
            return self._device_password(device)

    def _device_password(self, device: str) -> str:
        kept = self._passwords()
        known = any(each["name"] == device and each["revoked_at"] is None for each in self._items("/devices"))
        if known and self._key(device) in kept:
            return kept[self._key(device)]
        if known:
            raise Conflict(
                f"The device {device!r} is registered, but its password is not in {self._kept}. Use another one with "
                f"--device NAME, or revoke it first: millwright device revoke {device}"
            )
        made = str(self._call("POST", "/devices", {"name": device})["secret"])
        self._keep({**self._passwords(), self._key(device): made})
        return made

    def clock(self) -> Clock:
        """The plant clock."""
        told = self._call("GET", "/clock")
        return Clock(clock.wall_now(), datetime.fromisoformat(told["now"]), float(told["factor"]))

    def quarantined(self, device: str, tags: Sequence[str], *, since: datetime) -> list[Mapping[str, Any]]:
        """Groups of what of these tags waits in the quarantine and was heard since then (wall time)."""
        mine = frozenset(tags)
        return [
            each
            for each in self._items("/quarantine")
            if each["source"] == device
            and (each["tag"] in mine or not each["tag"])
            and datetime.fromisoformat(each["last_at"]) >= since
        ]

    def _items(self, path: str) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            answer = self._call("GET", path, cursor=cursor)
            yield from answer["items"]
            cursor = answer.get("next")
            if cursor is None:
                return

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, cursor: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self._bearer()}", "X-Site": self._site}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        params = {"cursor": cursor} if cursor else None
        try:
            answer = self._http.request(method, path, json=body, headers=headers, params=params)
        except httpx.TransportError as error:
            raise Unavailable(
                f"The API at {self._http.base_url} does not answer ({error}). Is `millwright up` running?"
            ) from error
        if answer.is_success:
            return answer.json()
        raise PublishRefused(_refusal(answer, path))

    def _bearer(self) -> str:
        """A token of a quarter of an hour, made anew when it is about to end: a play may take days."""
        if time.monotonic() > self._token_until:
            now = clock.wall_now()
            with self._instance.database.tx() as conn:
                self._token = identity.create_token(
                    conn, self._login, name="publish", now=now, expires_at=now + TOKEN_TIME
                )
            self._token_until = time.monotonic() + TOKEN_TIME.total_seconds() / 2
        return self._token

    def _key(self, device: str) -> str:
        return f"{self._site}/{device}"

    def _passwords(self) -> dict[str, str]:
        try:
            found = json.loads(self._kept.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise PublishRefused(f"{self._kept} is damaged ({error}). Delete it and name a new --device.") from error
        return dict(found)

    def _keep(self, passwords: Mapping[str, str]) -> None:
        fresh = self._kept.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(passwords, file, indent=2)
        fresh.replace(self._kept)


class PlantTime:
    """The plant clock as a number that never goes back, read again now and then: µs since the epoch."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._clock = api.clock()
        self._read_s = time.monotonic()
        self._last_us = 0

    def __call__(self) -> int:
        if time.monotonic() - self._read_s > CLOCK_S:
            self._read_s = time.monotonic()
            with suppress(MillwrightError):  # a restarting API: the clock goes on as it went
                self._clock = self._api.clock()
        self._last_us = max(self._last_us, (self._clock.now() - _EPOCH) // _US)
        return self._last_us


def tag_of(code: str, column: Column) -> str:
    """The tag that a column's samples carry."""
    return f"{code}/{column.code}"


def _refusal(answer: httpx.Response, path: str) -> str:
    """The API's own words, with the first field that does not fit."""
    try:
        body = answer.json()
    except ValueError:
        return f"{path} answers {answer.status_code}."
    where = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['message']}" for each in body.get("errors") or []]
    return " ".join([str(body.get("detail") or body.get("title") or answer.status_code), *where[:1]])
