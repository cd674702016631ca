"""What every body has in common: a field too many is named, thousands of them are one error."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from api.shapes import Change, Input


class Pump(Input):
    """Some body."""

    name: str = ""


class PumpChange(Change):
    """The same, of which a part changes."""

    name: str = ""


@pytest.mark.parametrize("shape", [Pump, PumpChange])
def test_a_few_unknown_fields_are_named(shape: type[Input]) -> None:
    with pytest.raises(ValidationError) as caught:
        shape.model_validate({"name": "P-101", "colour": "red", "weight": 1})
    assert {error["loc"] for error in caught.value.errors()} == {("colour",), ("weight",)}


@pytest.mark.parametrize("shape", [Pump, PumpChange])
def test_thousands_of_unknown_fields_are_one_error(shape: type[Input]) -> None:
    with pytest.raises(ValidationError) as caught:
        shape.model_validate({str(number): number for number in range(9_000)})
    assert [error["type"] for error in caught.value.errors()] == ["too_many_fields"]
