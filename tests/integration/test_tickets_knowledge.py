"""What a site is given before its first ticket: defaults and guides, and that giving them again changes nothing."""

from __future__ import annotations

import re
from datetime import time, timedelta

import pytest
from psycopg import Connection

from core.errors import Invalid, NotFound
from maintenance import library as failure_modes
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, order
from tickets import engineers, policies, seed
from tickets.knowledge import articles
from tickets.model import TicketKind
from tickets.policies import Subject
from tickets.routing import Shift
from tickets.sla import ClockKind

MACHINES = ("pump", "motor", "compressor", "conveyor", "turbofan")
HAN = re.compile(r"[\u4e00-\u9fff]")


def test_every_failure_mode_of_the_simulated_machines_has_its_own_guide(conn: Connection) -> None:
    articles.seed(conn)
    for asset_class in MACHINES:
        for mode in failure_modes.modes(asset_class):
            best = articles.suggest(conn, asset_class, mode.code)[0]
            assert (best.mode, best.asset_class) == (mode.code, asset_class), mode.code


@pytest.mark.parametrize("article", articles.library(), ids=lambda article: article.code)
def test_a_guide_says_how_to_be_safe_what_to_check_and_when_it_is_good(article: articles.Article) -> None:
    for language, sections in (
        ("en", ("## Make it safe", "## Check|## Which way", "## It is good when")),
        ("zh", ("## 先保证安全", "## 先查|## 检查|## 信号指向", "## 怎样算修好")),
    ):
        assert all(re.search(section, article.body[language]) for section in sections), (article.code, language)
        assert article.title[language]
    assert len(article.body["en"].split()) > 120
    assert len(HAN.findall(article.body["zh"])) > 150
    assert not HAN.search(article.body["en"])
    assert re.search("lock and tag|isolate|breakers|cabinet|electrical work", article.body["en"])


def test_guides_are_ranked_exact_then_class_then_mode_then_generic(conn: Connection) -> None:
    articles.seed(conn)
    own = "insert into articles (code, asset_class, mode, title, body) values (%s, %s, '', '{}', '{}')"
    conn.execute(own, ("house-pumps", "pump"))
    conn.execute(own, ("house-rules", ""))

    def codes(asset_class: str, mode: str | None) -> list[str]:
        return [article.code for article in articles.suggest(conn, asset_class, mode, limit=9)]

    assert codes("pump", "bearing_wear") == [
        "pump-bearing-wear",
        "house-pumps",
        "pump-unknown",
        "compressor-bearing-wear",
        "any-unknown",
        "house-rules",
    ]
    assert codes("fan", "bearing_wear") == [
        "compressor-bearing-wear",
        "pump-bearing-wear",
        "any-unknown",
        "house-rules",
    ]
    assert codes("pump", None) == ["pump-unknown", "house-pumps", "any-unknown", "house-rules"]
    assert codes("pump", "unknown") == codes("pump", None)
    assert codes("pump", "sensor:vibration:stuck")[0] == "sensor-stuck"
    assert "pump-unknown" not in codes("pump", "sensor:vibration:stuck")
    assert codes("", None) == ["any-unknown", "house-rules"]
    assert len(articles.suggest(conn, "pump", "bearing_wear", limit=2)) == 2


def test_seeding_again_changes_nothing_but_a_corrected_text(conn: Connection) -> None:
    assert articles.seed(conn) == len(articles.library())
    assert articles.seed(conn) == 0
    conn.execute("update articles set title = '{}' where code = 'sensor-stuck'")
    assert articles.seed(conn) == 1
    (stuck,) = articles.find(conn, mode="stuck")
    assert articles.get(conn, stuck.article_id) == stuck
    assert stuck.title["zh"] == "传感器：数值不变"
    with pytest.raises(NotFound):
        articles.get(conn, 99_999)


def test_a_site_is_seeded_once_and_what_it_changed_stays(conn: Connection) -> None:
    seed.seed_site(conn)
    conn.execute("update sla_policies set response_s = 60 where kind = '*' and priority = 1")
    before = conn.execute("select count(*) from sla_policies").fetchone()
    seed.seed_site(conn)
    assert conn.execute("select count(*) from sla_policies").fetchone() == before
    for kind in TicketKind:
        for priority in range(1, 6):
            rules = policies.promise(conn, Subject(kind, priority))
            assert rules is not None
            assert rules.policy.targets[ClockKind.RESPONSE] < rules.policy.targets[ClockKind.RESOLUTION]
    urgent = policies.promise(conn, Subject(TicketKind.PREVENTIVE, 1))
    assert urgent is not None
    assert urgent.policy.targets[ClockKind.RESPONSE] == timedelta(seconds=60)
    assert urgent.dated.calendar.always


def test_office_hours_are_those_of_the_site(conn: Connection) -> None:
    conn.execute("update sites set timezone = 'Asia/Shanghai'")
    seed.seed_site(conn)
    rules = policies.promise(conn, Subject(TicketKind.PREVENTIVE, 3))
    assert rules is not None
    assert rules.dated.calendar.zone.key == "Asia/Shanghai"


def test_the_roster_shows_shift_and_load(conn: Connection) -> None:
    world = tickets_world.build(conn)
    night = [Shift(day, time(22), time(6)) for day in range(7)]
    engineers.set_shifts(conn, world.wang_id, night)
    engineers.set_shifts(conn, world.wang_id, night)
    order(conn, world)
    shown = {person.name: person for person in engineers.roster(conn, now=NOW)}
    assert (shown["Lin"].on_shift, shown["Lin"].open_jobs, shown["Lin"].user_id) == (True, 1, world.lin.actor_id)
    assert (shown["Wang"].on_shift, shown["Wang"].open_jobs) == (False, 0)
    assert engineers.of_user(conn, world.lin.actor_id or 0) == world.lin_id
    assert engineers.of_user(conn, world.planner.actor_id or 0) is None
    again = engineers.create(conn, name="Lin Wei", skills={"vibration": 3}, user_id=world.lin.actor_id)
    assert again == world.lin_id
    with pytest.raises(Invalid, match="level"):
        engineers.create(conn, name="X", skills={"vibration": 4}, user_id=None)
