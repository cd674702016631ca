"""The OpenAPI document: what FastAPI knows, completed with what every route has in common."""

from __future__ import annotations

import threading
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import Field
from pydantic_core import to_json
from starlette.routing import BaseRoute

from api.deps import IF_ANY
from api.policies import RULES, Grant, Policy, check_routes
from api.shapes import Output

DESCRIPTION = """From sensor to verified repair. Errors are RFC 9457 problem documents with a stable `code`
(`docs/errors.md`). Sign in with `POST /session` (cookie) or send `Authorization: Bearer mwt_…`; a change by cookie
needs `X-Requested-With: millwright`. `X-Site` chooses the site. A POST with an `Idempotency-Key` has one effect however
often it is sent. A PATCH, transition or assignment of a ticket needs `If-Match` with its ETag."""
MAKING = threading.Lock()
HTTP_METHODS = ("get", "post", "patch", "put", "delete")
MEANINGS = {
    400: "The request is malformed.",
    401: "Not signed in.",
    403: "The role does not allow this.",
    404: "There is no such thing on this site.",
    408: "The body did not come in time.",
    409: "It conflicts with the present state.",
    412: "If-Match names an old version; `current` holds the present one.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not JSON.",
    422: "Some input does not fit.",
    428: "If-Match is missing.",
    429: "Too much or too often; see Retry-After.",
    503: "A part does not answer in time; see Retry-After.",
}
SITE = {
    "name": "X-Site",
    "in": "header",
    "required": False,
    "description": "Code of the site; the first of one's sites when missing.",
    "schema": {"type": "string", "maxLength": 64},
}
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and request have one effect and get the same answer (kept 7 days).",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}


class FieldProblem(Output):
    """What does not fit: `loc` and `message` of the request's shape, or `field` and `detail` of a refused value."""

    code: str
    loc: list[str | int] | None = None
    message: str | None = None
    field: str | None = None
    detail: str | None = None


class Problem(Output):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:millwright:error:not_found"])
    title: str
    status: int
    detail: str
    code: str = Field(examples=["not_found"])
    instance: str = Field(examples=["urn:millwright:request:1f2e3d4c5b6a7988"])
    errors: list[FieldProblem] | None = None


def text(app: FastAPI) -> bytes:
    """The document as JSON, made once a process; not for the event loop, since making it takes seconds."""
    with MAKING:
        found: bytes | None = getattr(app.state, "openapi_text", None)
        if found is None:
            found = app.state.openapi_text = to_json(document(app))
            app.openapi_schema = None  # a hundred thousand objects that nobody reads again
    return found


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document of an app, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
        app.openapi_schema = _complete(made, app.routes)
    return app.openapi_schema


def _complete(made: dict[str, Any], routes: list[BaseRoute]) -> dict[str, Any]:
    policies = check_routes(routes)
    for path, methods in made["paths"].items():
        for method in HTTP_METHODS:
            if method in methods:
                _operation(methods[method], method, path, policies[method.upper(), path])
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs") | {"Problem": problem}
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token, `mwt_…`."},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "millwright_session",
            "description": "Set by signing in.",
        },
    }
    return made


def _operation(operation: dict[str, Any], method: str, path: str, policy: Policy) -> None:
    parameters = operation.setdefault("parameters", [])
    for each in parameters:
        looked = each["name"] == "if-match" and each.get("description") != IF_ANY  # 428 without
        each["required"] = each.get("required", False) or looked
    parameters += [] if policy.is_open else [SITE]
    parameters += [KEY] if method == "post" and not policy.is_open else []
    for status in sorted(_errors(operation, method, path, policy)):
        operation["responses"][str(status)] = {
            "description": MEANINGS[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    operation["security"] = [] if policy.is_open else [{"token": []}, {"session": []}]
    operation["x-policy"] = policy.action or f"open: {policy.reason}"
    if policy.action:
        operation["x-roles"] = {role: grant for role, grant in RULES[policy.action].items() if grant is not Grant.NO}


def _errors(operation: dict[str, Any], method: str, path: str, policy: Policy) -> set[int]:
    """Which errors an operation can answer with, by what it takes."""
    versioned = any(each["name"] == "if-match" for each in operation["parameters"])
    found = {400, 422, 503}
    found |= set() if policy.is_open else {401, 403, 404}
    found |= {404} if "{" in path else set()
    found |= {408, 413, 415, 429} if "requestBody" in operation else set()
    found |= {409} if method in ("post", "put", "patch", "delete") else set()
    found |= {412, 428} if versioned else set()
    return found | ({401, 403, 429} if "/session" in path else set())
