"""The build chain: what it skips, what it strips, what it says when something is missing."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

DEPLOY = Path(__file__).parent.parent.parent / "deploy"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


web_build = load("web_build")
hatch_build = load("hatch_build")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose web app was built from its present sources."""
    web = tmp_path / "web"
    (web / "src").mkdir(parents=True)
    (web / "src" / "main.tsx").write_text("1", encoding="utf-8")
    (web / "dist").mkdir()
    (web / "dist" / "index.html").write_text("built", encoding="utf-8")
    (web / "dist" / ".build-hash").write_text(web_build.source_hash(web), encoding="utf-8")
    (tmp_path / "requirements-build.lock").write_text("no-such-package-of-ours==1\n", encoding="utf-8")
    return tmp_path


def test_an_up_to_date_build_is_kept(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert web_build.build(project) == project / "web" / "dist"
    assert "up to date" in capsys.readouterr().out
    assert not (project / ".venv-build").exists()


@pytest.mark.parametrize("noise", ["node_modules/x/index.js", "dist/assets/a.js", "coverage/a.json"])
def test_only_sources_count(project: Path, noise: str) -> None:
    before = web_build.source_hash(project / "web")
    path = project / "web" / noise
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x", encoding="utf-8")
    assert web_build.source_hash(project / "web") == before


@pytest.mark.parametrize("change", ["edit", "add", "rename"])
def test_every_change_of_a_source_counts(project: Path, change: str) -> None:
    main = project / "web" / "src" / "main.tsx"
    before = web_build.source_hash(project / "web")
    if change == "edit":
        main.write_text("2", encoding="utf-8")
    elif change == "add":
        (main.parent / "new.ts").write_text("", encoding="utf-8")
    else:
        main.rename(main.parent / "other.tsx")
    assert web_build.source_hash(project / "web") != before


def test_a_failing_install_names_the_command(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web_build, "ROOT", project)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setenv("PATH", "/nowhere")
    assert web_build.main(["--force"]) == 1
    said = capfd.readouterr().err
    assert "/bin/false -m venv" in said
    assert "apt install python3-venv" in said


def test_urls_are_stripped_from_the_lock_file(tmp_path: Path) -> None:
    lock = tmp_path / "package-lock.json"
    entry = {"version": "1.0.0", "resolved": "https://host/a.tgz", "integrity": "sha512-x", "funding": {"url": "u"}}
    lock.write_text(json.dumps({"packages": {"node_modules/a": entry}}), encoding="utf-8")
    web_build.strip_lock(lock)
    kept = json.loads(lock.read_text(encoding="utf-8"))
    assert kept == {"packages": {"node_modules/a": {"version": "1.0.0", "integrity": "sha512-x"}}}


def hook(project: Path) -> object:
    made = object.__new__(hatch_build.WebBuildHook)
    made.__dict__["_BuildHookInterface__root"] = str(project)
    return made


def test_a_wheel_takes_the_built_app_along(project: Path) -> None:
    (project / "deploy").mkdir()
    (project / "deploy" / "web_build.py").write_bytes((DEPLOY / "web_build.py").read_bytes())
    build_data: dict[str, dict[str, str]] = {"force_include": {}}
    hook(project).initialize("standard", build_data)  # type: ignore[attr-defined]
    assert build_data == {"force_include": {"web/dist": "api/static"}}


def test_an_editable_install_builds_nothing(tmp_path: Path) -> None:
    build_data = SimpleNamespace()
    hook(tmp_path).initialize("editable", build_data)  # type: ignore[attr-defined]
    assert list((tmp_path / "web" / "dist").iterdir()) == []
    assert not (tmp_path / ".venv-build").exists()
