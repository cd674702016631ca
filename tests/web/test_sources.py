"""The web app's sources: one language as complete as the other, no address that names a host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

WEB = Path(__file__).parent.parent.parent / "web"
ENTRY = re.compile(r'^  "(?P<key>[\w.-]+)": "(?P<text>(?:[^"\\]|\\.)*)",$', re.MULTILINE)
BLANK = re.compile(r"\{\w+\}")
CHINESE = re.compile(r"[一-鿿]")
# Neither language has another word for these.
SAME_IN_BOTH = {"app.name", "clock.factor", "prediction.range", "proof.size", "sched.at", "sla.why"}


def dictionary(language: str) -> dict[str, str]:
    text = (WEB / "src" / "i18n" / f"{language}.ts").read_text(encoding="utf-8")
    found = [(match["key"], match["text"]) for match in ENTRY.finditer(text)]
    assert len(found) == len(dict(found)), "a key stands twice"
    assert len(found) == text.count('": "'), "an entry has another form than the test reads"
    return dict(found)


def test_both_languages_have_the_same_keys() -> None:
    english, chinese = dictionary("en"), dictionary("zh")
    assert len(english) > 300
    assert set(english) == set(chinese)


def test_translations_keep_their_blanks() -> None:
    english, chinese = dictionary("en"), dictionary("zh")
    for key, text in english.items():
        assert sorted(BLANK.findall(text)) == sorted(BLANK.findall(chinese[key])), key


def test_chinese_is_chinese_and_english_is_not() -> None:
    english, chinese = dictionary("en"), dictionary("zh")
    untranslated = {key for key, text in chinese.items() if not CHINESE.search(text)} - SAME_IN_BOTH
    assert untranslated == {"top.language"}
    assert {key for key, text in english.items() if CHINESE.search(text)} == {"top.language"}


def test_every_key_in_use_is_in_the_dictionary() -> None:
    english = dictionary("en")
    sources = [path for path in (WEB / "src").rglob("*.ts*") if path.parent.name != "i18n"]
    used = {key for path in sources for key in re.findall(r'\bt\("([\w.-]+)"', path.read_text(encoding="utf-8"))}
    assert len(used) > 150
    assert used <= set(english)


def test_lock_file_names_no_host() -> None:
    text = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all("resolved" not in entry and "funding" not in entry for entry in packages.values())
    assert all("integrity" in entry for name, entry in packages.items() if name)


def test_npm_is_told_to_keep_it_so() -> None:
    settings = (WEB / ".npmrc").read_text(encoding="utf-8").split()
    assert {"omit-lockfile-registry-resolved=true", "fund=false", "audit=false"} <= set(settings)


@pytest.mark.parametrize("pattern", ["index.html", "src/**/*.ts*", "src/**/*.css", "public/*.svg"])
def test_sources_load_nothing_from_elsewhere(pattern: str) -> None:
    paths = list(WEB.glob(pattern))
    assert paths
    for path in paths:
        hosts = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", path.read_text(encoding="utf-8"))
        assert [host for host in hosts if "www.w3.org" not in host] == [], path
