"""TypeScript of the HTTP API out of ``docs/openapi.json``: every shape and every route, for ``web/src/api/schema.ts``.

    python deploy/web_types.py          written by each web build before anything else; the file is not committed

Standard library only, like the build that calls it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET = Path("docs/openapi.json"), Path("web/src/api/schema.ts")
PREFIX = "/api/v1"
METHODS = ("get", "post", "put", "patch", "delete")
HEAD = "// Made from docs/openapi.json by deploy/web_types.py at each build; do not edit.\n\n"
PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Schema = Mapping[str, Any]


def write(root: Path) -> bool:
    """Bring the file to what the document says; False when it said so already, or there is no document."""
    source, target = root / SOURCE, root / TARGET
    if not source.is_file():
        return False
    text = typescript(json.loads(source.read_text(encoding="utf-8")))
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return False
    target.write_text(text, encoding="utf-8")
    return True


def typescript(document: Schema) -> str:
    """The whole file: ``Schemas`` by name, ``Routes`` by `METHOD /path`. Pure."""
    shapes = "".join(
        f"  {_key(name)}: {_type(each)};\n" for name, each in sorted(document["components"]["schemas"].items())
    )
    routes = "".join(
        f"  {json.dumps(f'{method.upper()} {path.removeprefix(PREFIX)}')}: {_route(each[method])};\n"
        for path, each in sorted(document["paths"].items())
        if path.startswith(PREFIX)
        for method in METHODS
        if method in each
    )
    return f"{HEAD}export interface Schemas {{\n{shapes}}}\n\nexport interface Routes {{\n{routes}}}\n"


def _route(operation: Schema) -> str:
    body = operation.get("requestBody", {})
    sent = _content(body) if body else "undefined"
    optional = "" if body.get("required", True) else " | undefined"
    parts = [f"{place}: {_parameters(operation, place)}" for place in ("path", "query")]
    good = [each for status, each in sorted(operation["responses"].items()) if status.startswith("2")]
    answers = " | ".join(dict.fromkeys(_content(each) for each in good)) or "null"
    return "{ " + "; ".join([*parts, f"body: {sent}{optional}", f"answer: {answers}"]) + " }"


def _content(holder: Schema) -> str:
    content = holder.get("content", {})
    return _type(content["application/json"].get("schema", {})) if "application/json" in content else "null"


def _parameters(operation: Schema, place: str) -> str:
    found = [each for each in operation.get("parameters", []) if each["in"] == place]
    if not found:
        return "Record<string, never>" if place == "path" else "{ [key: string]: never }"
    asked = (f"{_key(each['name'])}{'' if each.get('required') else '?'}: {_type(each['schema'])}" for each in found)
    return "{ " + "; ".join(asked) + " }"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return f"Schemas[{json.dumps(schema['$ref'].rsplit('/', 1)[-1])}]"
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        return " | ".join(json.dumps(each, ensure_ascii=False) for each in schema["enum"])
    for word, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if word in schema:
            return "(" + sign.join(dict.fromkeys(_type(each) for each in schema[word])) + ")"
    kind = schema.get("type")
    if isinstance(kind, list):
        return "(" + " | ".join(_type({**schema, "type": each}) for each in kind) + ")"
    if kind == "array":
        return _array(schema)
    return _object(schema) if kind == "object" else PLAIN.get(str(kind), "unknown")


def _array(schema: Schema) -> str:
    if "prefixItems" in schema:
        return "[" + ", ".join(_type(each) for each in schema["prefixItems"]) + "]"
    return f"{_bracketed(_type(schema.get('items', {})))}[]"


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


def _object(schema: Schema) -> str:
    if "properties" not in schema:
        more = schema.get("additionalProperties", {})
        return f"Record<string, {_type(more) if isinstance(more, Mapping) else 'unknown'}>"
    needed = schema.get("required", ())
    columns = (
        f"{_key(name)}{'' if name in needed else '?'}: {_type(each)}" for name, each in schema["properties"].items()
    )
    return "{ " + "; ".join(columns) + " }"


def _key(name: str) -> str:
    return name if NAME.fullmatch(name) else json.dumps(name)


if __name__ == "__main__":
    write(ROOT)
