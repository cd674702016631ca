"""A table of assets → what it would do, or every problem with its row, column and what to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant import export_rows, tree_rules
from plant.import_signals import SignalRow
from plant.import_words import EXPORT, HEADINGS, PROBLEMS
from plant.importing import AssetRow, Change, Known, Plan, plan
from tickets.export import neutral

CLASSES = frozenset({"pump", "motor"})
HEAD = [
    "Code",
    "Name",
    "Parent",
    "Level",
    "Class",
    "Signal",
    "Unit",
    "Low",
    "High",
    "Consequence",
    "Likelihood",
    "Criticality",
]
HEAD += ["Reason", "Quantity"]
TREE = [
    ["S", "Site", "", "site"],
    ["L1", "Line 1", "S", "line"],
    ["P-1", "Pump", "L1", "equipment", "pump", "vibration", "in/s", "0", "2", "4", "4"],
    ["P-1", "", "", "", "", "temp", "°C"],
]


def judged(*rows: list[str], head: list[str] = HEAD, known: Known | None = None) -> Plan:
    return plan([head, *rows], known or Known(classes=CLASSES))


def after(made: Plan) -> Known:
    """What the site knows once the plan is done."""
    assets = {each.asset: each.wanted for each in made.items if isinstance(each.wanted, AssetRow)}
    signals = {(each.asset, str(each.signal)): each.wanted for each in made.items if isinstance(each.wanted, SignalRow)}
    return Known(assets, signals, CLASSES)


def test_a_good_table_is_a_plan_parents_first_and_the_second_time_nothing() -> None:
    made = judged(*reversed(TREE))
    assert made.problems == ()
    order = [each.asset for each in made.items if each.signal is None]
    assert order == ["S", "L1", "P-1"]
    pump = next(each.wanted for each in made.items if each.asset == "P-1" and each.signal is None)
    assert isinstance(pump, AssetRow) and pump.criticality == tree_rules.proposal(4, 4) == 4
    limit = next(each.wanted for each in made.items if each.signal == "vibration")
    assert isinstance(limit, SignalRow) and limit.high == pytest.approx(50.8) and limit.quantity == "vibration_velocity"
    again = judged(*TREE, known=after(made))
    assert {each.change for each in again.items} == {Change.UNCHANGED}


def test_headings_are_known_in_both_languages_below_a_title_and_in_any_order() -> None:
    chinese = plan(
        [["资产表"], [], ["名称", "编号", "层级", "类别"], ["水泵", "P-9", "设备", "pump"]], Known(classes=CLASSES)
    )
    assert chinese.problems == ()
    (item,) = chinese.items
    assert isinstance(item.wanted, AssetRow) and (item.row, item.wanted.level) == (4, "equipment")


@pytest.mark.parametrize(
    ("row", "key", "column"),
    [
        (["", "Nameless"], "no_code", "Code"),
        (["a b", "Blank"], "bad_code", "Code"),
        (["X", ""], "no_name", "Name"),
        (["P-1", "Again"], "code_twice", "Code"),
        (["X", "X", "NOWHERE"], "no_parent", "Parent"),
        (["X", "X", "X"], "ring", "Parent"),
        (["X", "X", "P-1", "line"], "level_order", "Level"),
        (["X", "X", "", "floor"], "bad_level", "Level"),
        (["X", "X", "", "", "spaceship"], "bad_class", "Class"),
        (["Q", "", "", "", "", "v", "mm/s"], "no_asset", "Code"),
        (["P-1", "", "", "", "", "v 1", "mm/s"], "bad_signal", "Signal"),
        (["P-1", "", "", "", "", "temp", "K"], "signal_twice", "Signal"),
        (["P-1", "", "", "", "", "v", "furlong"], "bad_unit", "Unit"),
        (["P-1", "", "", "", "", "v", "bar", *[""] * 6, "temperature"], "wrong_unit", "Unit"),
        (["P-1", "", "", "", "", "v", "", *[""] * 6, "luck"], "bad_quantity", "Quantity"),
        (["P-1", "", "", "", "", "v"], "no_unit", "Unit"),
        (["P-1", "", "", "", "", "v", "bar", "x"], "bad_number", "Low"),
        (["P-1", "", "", "", "", "v", "bar", "3", "2"], "bad_range", "Low"),
        (["X", "X", *[""] * 7, "9"], "bad_step", "Consequence"),
        (["X", "X", *[""] * 7, "5", "5", "1"], "no_reason", "Criticality"),
    ],
)
def test_each_problem_names_its_row_and_column(row: list[str], key: str, column: str) -> None:
    made = judged(*TREE, row)
    (problem,) = made.problems
    assert (problem.key, problem.row, problem.column) == (key, 6, column)
    assert "{" not in problem.message["en"] + problem.message["zh"]


def test_a_circle_over_what_is_known_is_found_and_told_once() -> None:
    known = Known({"A": AssetRow("A", "A", level="component"), "B": AssetRow("B", "B", parent="A", level="component")})
    made = judged(["A", "A", "C"], ["C", "C", "B", "component"], known=known)
    (problem,) = made.problems
    assert problem.key == "ring" and "A" in problem.message["en"]
    assert judged(["A", "A", "", "component"], known=known).problems == ()


def test_a_parent_moved_down_says_which_row_is_to_blame() -> None:
    known = after(judged(*TREE))
    (problem,) = judged(["L1", "Line 1", "", "component"], known=known).problems[:1]
    assert problem.key == "level_order" and problem.row == 2


def test_no_header_and_a_heading_twice() -> None:
    assert plan([["a", "b"]], Known()).problems[0].key == "no_header"
    assert plan([], Known()).problems[0].key == "no_header"
    assert plan([["Code", "Name", "编号"]], Known()).problems[0].key == "column_twice"


def test_an_export_read_again_changes_nothing_in_either_language() -> None:
    known = after(judged(*TREE, ["ODD", "=1+1"]))
    for locale in ("en", "zh"):
        table = [export_rows.heads(locale)]
        table += [["" if cell is None else neutral(str(cell)) for cell in row] for row in export_rows.rows(known)]
        made = plan(table, known)
        assert made.problems == () and {each.change for each in made.items} == {Change.UNCHANGED}


def test_every_word_has_both_languages() -> None:
    assert set(EXPORT) == set(HEADINGS)
    for english, chinese in [*PROBLEMS.values(), *EXPORT.values()]:
        assert english and any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
    for key, (english, chinese) in EXPORT.items():
        assert english.casefold() in (*HEADINGS[key], key.replace("_", " ")) and chinese in HEADINGS[key]


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.one_of(st.none(), st.sampled_from("abcdefghz"))))
def test_rings_are_exactly_the_circles(parents: dict[str, str | None]) -> None:
    def circles(code: str) -> bool:
        at, steps = parents.get(code), 0
        while at is not None and at != code and steps < 10:
            at, steps = parents.get(at), steps + 1
        return at == code

    found = tree_rules.rings(parents)
    assert {code for ring in found for code in ring} == {code for code in parents if circles(code)}
    assert all(ring[0] == ring[-1] for ring in found)


@given(st.integers(1, 5), st.integers(1, 5))
def test_more_consequence_or_likelihood_never_matters_less(consequence: int, likelihood: int) -> None:
    here = tree_rules.proposal(consequence, likelihood)
    assert 1 <= here <= 5
    assert consequence == 5 or tree_rules.proposal(consequence + 1, likelihood) >= here
    assert likelihood == 5 or tree_rules.proposal(consequence, likelihood + 1) >= here


@given(st.lists(st.lists(st.text(max_size=6), max_size=8), max_size=8))
def test_no_table_makes_it_stumble(rows: list[list[str]]) -> None:
    made = plan([HEAD, *rows], Known(classes=CLASSES))
    assert all(each.message["zh"] for each in made.problems)
