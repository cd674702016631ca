"""The OpenAPI document says what the app does: schemathesis sends what it allows and what it forbids."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import FailureGroup, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living
from tickets import seed

load_all_checks()
ENDLESS, LAST = f"{API}/events", f"{API}/session"  # a stream; and signing out would end the test's token
EXAMPLES = 3
BEYOND_A_SCHEMA = [positive_data_acceptance]  # cursors, known quantities, keys used before: rules no schema tells
SETTINGS = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        with database.tx(site_id=running.alpha) as conn:
            seed.seed_site(conn)
        yield running


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_app_does_what_its_description_says(world: World, mode: GenerationMode) -> None:
    refusals = {"expected-statuses": [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428, 429]}
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": refusals}})
    description = schemathesis.openapi.from_url(f"{world.address}{API}/openapi.json", config=config)
    headers = {"Authorization": f"Bearer {world.tokens['admin']}"}
    wrong = []
    for found in description.get_all_operations():
        operation = found.ok()
        if operation.path == ENDLESS or (operation.path, operation.method) == (LAST, "delete"):
            continue

        @SETTINGS
        @given(operation.as_strategy(generation_mode=mode))
        def send(case: Case) -> None:
            case.call_and_validate(headers=headers, excluded_checks=BEYOND_A_SCHEMA)

        try:
            send()
        except Unsatisfiable:  # it takes no input that could be wrong
            continue
        except (FailureGroup, AssertionError) as failure:
            wrong.append(f"{operation.label}: {failure}")
    assert not wrong, "\n\n".join(wrong)
