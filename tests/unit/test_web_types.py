"""TypeScript made from the API's document: shapes, unions, optional columns, routes."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MADE = runpy.run_path(str(ROOT / "deploy" / "web_types.py"))
DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "Part": {
                "type": "object",
                "required": ["code"],
                "properties": {
                    "code": {"type": "string"},
                    "least": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    "kind": {"enum": ["a", "b"], "type": "string"},
                    "marks": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
                    "more-of": {"additionalProperties": {"$ref": "#/components/schemas/Part"}, "type": "object"},
                    "any": {},
                },
            }
        }
    },
    "paths": {
        "/api/v1/parts/{code}": {
            "put": {
                "parameters": [
                    {"in": "path", "name": "code", "required": True, "schema": {"type": "string"}},
                    {"in": "query", "name": "q", "schema": {"type": "boolean"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Part"}}},
                },
                "responses": {"204": {}, "404": {}},
            }
        },
        "/metrics": {"get": {"responses": {"200": {}}}},
    },
}
PART = (
    '{ code: string; least?: (number | null); kind?: "a" | "b"; marks?: ((number | null))[]; '
    '"more-of"?: Record<string, Schemas["Part"]>; any?: unknown }'
)


def test_shapes_and_routes_are_said_as_the_document_has_them() -> None:
    text = MADE["typescript"](DOCUMENT)
    assert f"  Part: {PART};\n" in text
    route = '{ path: { code: string }; query: { q?: boolean }; body: Schemas["Part"]; answer: null }'
    assert f'  "PUT /parts/{{code}}": {route};\n' in text
    assert "metrics" not in text


def test_the_file_is_written_once_and_only_where_there_is_a_document(tmp_path: Path) -> None:
    assert MADE["write"](tmp_path) is False
    (tmp_path / "docs").mkdir()
    (tmp_path / "web/src/api").mkdir(parents=True)
    (tmp_path / "docs/openapi.json").write_text(json.dumps(DOCUMENT))
    assert [MADE["write"](tmp_path), MADE["write"](tmp_path)] == [True, False]


def test_every_route_of_the_real_document_has_a_type_without_gaps() -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_text())
    text = MADE["typescript"](document)
    routes = sum(method in each for each in document["paths"].values() for method in MADE["METHODS"])
    outside = sum(not path.startswith("/api/v1") for path in document["paths"])
    assert text.count("answer: ") >= routes - outside
    named = set(document["components"]["schemas"])
    assert all(each.split('"')[0] in named for each in text.split('Schemas["')[1:])
