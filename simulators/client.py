"""The public HTTP API as a patient caller sees it: retries what may be retried, with the same Idempotency-Key."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.2, 3.0


class ApiError(Exception):
    """The API refuses: ``status``, ``code`` and ``body`` of its problem document. Not to be tried again as it is."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.body = body
        self.code = str(body.get("code", ""))
        super().__init__(f"{status} {self.code}: {body.get('detail', '')}")

    @property
    def lost_race(self) -> bool:
        """Somebody was faster: look again and decide anew."""
        return self.status in (409, 412)


class ApiDown(Exception):
    """The API did not answer within the caller's patience."""


class ApiClient:
    """Signed in by token, or by login and password (then again whenever the session ends).

    Connection errors, 5xx and 429 are tried again for ``patience_s``, waiting as Retry-After says or a little longer
    each time; a POST keeps its Idempotency-Key, so it has one effect however often it is sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        login: str | None = None,
        password: str | None = None,
        site: str | None = None,
        patience_s: float = 120.0,
        timeout_s: float = 10.0,
    ) -> None:
        self._login, self._password = login, password
        self._patience_s = patience_s
        self._signed_in = token is not None
        headers = {"X-Requested-With": "millwright"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if site is not None:
            headers["X-Site"] = site
        self._http = httpx.Client(
            base_url=f"{base_url}/api/v1", headers=headers, timeout=timeout_s, trust_env=False, follow_redirects=False
        )

    def get(self, path: str, **params: str | int) -> Any:
        """The decoded answer of a GET."""
        return self._send("GET", path, params=params)

    def items(self, path: str, **params: str | int) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page."""
        cursor: str | None = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = self.get(path, **params, **more)
            yield from page["items"]
            cursor = page.get("next")
            if cursor is None:
                return

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, version: int | None = None) -> Any:
        """The decoded answer of a POST that happens once; ``version`` goes into If-Match."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), **_if_match(version)}
        return self._send("POST", path, body=body or {}, headers=headers)

    def patch(self, path: str, body: Mapping[str, Any], *, version: int | None = None) -> Any:
        """The decoded answer of a PATCH. A retry after a lost answer may raise ApiError 412: look again."""
        return self._send("PATCH", path, body=body, headers=_if_match(version))

    def delete(self, path: str) -> None:
        """A retry after a lost answer may raise ApiError 404: it is gone."""
        self._send("DELETE", path)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        if not self._signed_in and self._login is not None:
            self._sign_in()
        answer = self._persist(method, path, params=params, body=body, headers=headers)
        if answer.status_code == 401 and self._login is not None:
            self._sign_in()
            answer = self._persist(method, path, params=params, body=body, headers=headers)
        return _decoded(answer)

    def _sign_in(self) -> None:
        body = {"login": self._login, "password": self._password}
        _decoded(self._persist("POST", "/session", body=body))
        self._signed_in = True

    def _persist(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        deadline, wait_s, last = time.monotonic() + self._patience_s, SHORTEST_WAIT_S, ""
        while True:
            try:
                answer = self._http.request(method, path, params=params, json=body, headers=headers)
                if answer.status_code < 500 and answer.status_code != 429:
                    return answer
                last, pause_s = f"{answer.status_code} {answer.text[:200]}", _retry_after(answer)
            except httpx.TransportError as error:
                last, pause_s = str(error) or type(error).__name__, None
            if time.monotonic() + (pause_s or wait_s) > deadline:
                raise ApiDown(f"{method} {path}: no answer in {self._patience_s:.0f} s; last: {last}")
            time.sleep(wait_s * random.uniform(0.7, 1.3) if pause_s is None else pause_s)
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)


def _if_match(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"{version}"'}


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return min(30.0, float(text)) if text.isdigit() else None


def _decoded(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        body = answer.json()
    except ValueError:
        body = {"detail": answer.text[:500]}
    raise ApiError(answer.status_code, body if isinstance(body, dict) else {"detail": str(body)})
