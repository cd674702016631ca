"""What a site is given before its first ticket: defaults and guides, and that giving them again changes nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import time, timedelta

import pytest
from psycopg import Connection

from core.errors import Invalid, NotFound
from maintenance import library as failure_modes
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, order
from tickets import engineers, policies, seed
from tickets.knowledge import articles, revisions, shelf, store
from tickets.knowledge.fit import Wanted
from tickets.model import TicketKind
from tickets.policies import Subject
from tickets.routing import Shift
from tickets.sla import ClockKind

MACHINES = ("pump", "motor", "compressor", "conveyor", "turbofan")
HAN = re.compile(r"[\u4e00-\u9fff]")


def chosen(conn: Connection, asset_class: str, mode: str | None, text: str = "", *, most: int = 9) -> list[str]:
    """The codes of the guides that such an order gets, best first."""
    known = shelf.standing(conn, None)
    assert known
    codes = {each.article_id: each.code for each in store.find(conn)}
    return [codes[each.article_id] for each in known.shelf.best(Wanted.of(asset_class, mode, text), most=most)]


def test_a_failure_mode_gets_its_own_guide_and_one_without_gets_a_guide_of_its_class(conn: Connection) -> None:
    articles.seed(conn)
    texts = articles.library()
    own = {(mode, each) for text in texts.values() for mode in text.modes for each in text.classes}
    told = {(mode.code, each) for each in MACHINES for mode in failure_modes.modes(each)}
    assert len(own & told) >= 15
    for mode, asset_class in sorted(told):
        best = texts[chosen(conn, asset_class, mode)[0]]
        if (mode, asset_class) in own:
            assert (best.modes, best.classes) == ((mode,), (asset_class,)), mode
        else:
            assert mode in best.modes or best.classes in ((asset_class,), ()), mode


@pytest.mark.parametrize("code", articles.library())
def test_a_guide_says_how_to_be_safe_what_to_check_and_when_it_is_good(code: str) -> None:
    article = articles.library()[code]
    for language, sections in (
        ("en", ("## Make it safe", "## Check|## Which way", "## It is good when")),
        ("zh", ("## 先保证安全", "## 先查|## 检查|## 信号指向", "## 怎样算修好")),
    ):
        assert all(re.search(section, article.body[language]) for section in sections), (code, language)
        assert article.title[language]
    assert len(article.body["en"].split()) > 120
    assert len(HAN.findall(article.body["zh"])) > 150
    assert not HAN.search(article.body["en"])
    assert re.search("lock and tag|isolate|breakers|cabinet|electrical work", article.body["en"])


def test_guides_are_ranked_by_class_and_mode_then_by_words(conn: Connection) -> None:
    articles.seed(conn)
    assert chosen(conn, "pump", "bearing_wear")[:3] == [
        "pump-bearing-wear", "compressor-bearing-wear", "pump-unknown",
    ]  # fmt: skip
    assert set(chosen(conn, "fan", "bearing_wear")) == {"compressor-bearing-wear", "pump-bearing-wear"}
    assert chosen(conn, "pump", None)[0] == "pump-unknown"
    assert chosen(conn, "pump", None, "The bearing is worn and loud")[:2] == ["pump-unknown", "pump-bearing-wear"]
    assert chosen(conn, "pump", "unknown") == chosen(conn, "pump", None)
    assert chosen(conn, "pump", "sensor:vibration:stuck")[0] == "sensor-stuck"
    assert "pump-unknown" not in chosen(conn, "pump", "sensor:vibration:stuck")
    assert chosen(conn, "", None, "") == [], "nothing is known of it, so nothing is pushed"
    assert chosen(conn, "", None, "Seal leaks, water drips from the mechanical seal of the pump")[0] == "pump-seal-leak"
    assert chosen(conn, "", None, "机械密封漏水，泵下有积水")[0] == "pump-seal-leak"


def test_seeding_again_changes_nothing_but_a_corrected_text(conn: Connection) -> None:
    shipped = articles.library()
    assert articles.seed(conn) == len(shipped)
    assert articles.seed(conn) == 0
    better = replace(shipped["sensor-stuck"], title={"en": "Stuck", "zh": "卡住"})
    assert articles.seed(conn, {**shipped, "sensor-stuck": better}) == 1
    (stuck,) = store.find(conn, mode="stuck")
    assert (stuck.title["zh"], stuck.published, stuck.offered) == ("卡住", 2, None)
    assert store.get(conn, stuck.article_id) == stuck
    with pytest.raises(NotFound):
        store.get(conn, 99_999)


def test_a_text_from_before_revisions_becomes_the_first_one(conn: Connection) -> None:
    old = 'insert into articles (code, title, body) values (\'house\', \'{"en": "a"}\', \'{"en": "b"}\')'
    conn.execute(old)
    articles.seed(conn)
    house = store.by_code(conn, "house")
    assert house
    (first,) = revisions.of(conn, house.article_id)
    assert (house.head, house.published, first.origin, first.content) == (1, 1, "site", house.content)


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
