"""The secrets file: made once, private, whole, and never silently replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.secrets import NAME, Secrets, SecretsDamaged, SecretsExposed, load_or_create


def test_made_once_and_private(tmp_path: Path) -> None:
    made = load_or_create(tmp_path / "data")
    path = tmp_path / "data" / NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create(tmp_path / "data") == made
    assert [entry.name for entry in path.parent.iterdir()] == [NAME]


def test_every_secret_is_its_own(tmp_path: Path) -> None:
    values = json.loads((load_or_create(tmp_path) and tmp_path / NAME).read_text())
    assert len(set(values.values())) == len(values) == len(Secrets.__slots__)
    assert all(len(value) >= 32 for name, value in values.items() if name != "instance_id")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_refuses_a_file_that_others_can_read(tmp_path: Path, mode: int) -> None:
    load_or_create(tmp_path)
    (tmp_path / NAME).chmod(mode)
    with pytest.raises(SecretsExposed, match=r"chmod 600 .*secrets\.json"):
        load_or_create(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"db_app": 3}', '{"db_app": ""}'])
def test_damaged_file_is_named_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / NAME
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SecretsDamaged, match="backup"):
        load_or_create(tmp_path)
    assert path.read_text() == text


def test_secret_of_a_newer_version_is_added(tmp_path: Path) -> None:
    made = load_or_create(tmp_path)
    path = tmp_path / NAME
    values = json.loads(path.read_text())
    del values["mqtt_simulator"]
    path.write_text(json.dumps(values))
    grown = load_or_create(tmp_path)
    assert grown.db_app == made.db_app
    assert grown.mqtt_simulator != made.mqtt_simulator
    assert load_or_create(tmp_path) == grown
    assert path.stat().st_mode & 0o777 == 0o600


def test_repr_shows_no_secret(tmp_path: Path) -> None:
    made = load_or_create(tmp_path)
    assert made.db_app not in repr(made)
    assert made.instance_id in repr(made)
