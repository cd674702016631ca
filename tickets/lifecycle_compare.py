"""What changes when one life cycle takes the place of another: for each role, for each state, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tickets.lifecycle import PARTS, Lifecycle, Requirement, State, Transition
from tickets.model import Text

Way = tuple[str, str]  # from, to


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What a role could do before and cannot now, the other way round, and what it does under other conditions."""

    role: str
    gains: tuple[Way, ...]
    losses: tuple[Way, ...]
    conditions: tuple[tuple[Way, Text], ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """``sentences`` say all of it, for people. ``touched``: states in which something changes for somebody."""

    states_added: tuple[str, ...]
    states_removed: tuple[str, ...]
    states_changed: tuple[str, ...]
    roles: tuple[RoleChange, ...]
    touched: frozenset[str]
    sentences: tuple[Text, ...]

    @property
    def is_empty(self) -> bool:
        return not self.sentences


def compare(old: Lifecycle, new: Lifecycle) -> Difference:
    """Everything by which ``new`` differs from ``old``."""
    added, removed = sorted(set(new.states) - set(old.states)), sorted(set(old.states) - set(new.states))
    changed = [name for name in new.states if name in old.states and new.states[name] != old.states[name]]
    roles = tuple(change for role in sorted(PARTS) if (change := _role(role, old, new)) is not None)
    touched = {*removed, *changed} | {way[0] for each in roles for way in _ways_of(each)}
    return Difference(
        tuple(added),
        tuple(removed),
        tuple(changed),
        roles,
        frozenset(touched & set(old.states)),
        (*_of_states(old, new, added, removed, changed), *(text for each in roles for text in _of_role(each))),
    )


def _role(role: str, old: Lifecycle, new: Lifecycle) -> RoleChange | None:
    before, after = _ways(old, role), _ways(new, role)
    conditions = tuple(
        (way, text) for way in sorted(set(before) & set(after)) if (text := _conditions(before[way], after[way]))
    )
    gains, losses = tuple(sorted(set(after) - set(before))), tuple(sorted(set(before) - set(after)))
    return RoleChange(role, gains, losses, conditions) if gains or losses or conditions else None


def _ways(flow: Lifecycle, role: str) -> dict[Way, Transition]:
    return {(source, step.to): step for step in flow.transitions if role in step.roles for source in step.sources}


def _ways_of(change: RoleChange) -> Iterator[Way]:
    yield from change.gains
    yield from change.losses
    yield from (way for way, _ in change.conditions)


def _conditions(before: Transition, after: Transition) -> Text | None:
    """How the guards and fields of a way changed; None when they did not."""
    was = {*before.guards, *map(_requirement, before.requires)}
    now = {*after.guards, *map(_requirement, after.requires)}
    if was == now:
        return None
    added, gone = ", ".join(sorted(now - was)), ", ".join(sorted(was - now))
    return {
        "en": "; ".join(([f"now needs {added}"] if added else []) + ([f"no longer needs {gone}"] if gone else [])),
        "zh": "；".join(([f"现需 {added}"] if added else []) + ([f"不再需要 {gone}"] if gone else [])),
    }


def _requirement(each: Requirement) -> str:
    when = " and ".join(f"{name} is {' or '.join(values)}" for name, values in sorted(each.when.items()))
    return f"{each.field} (when {when})" if when else each.field


# -- in words ---------------------------------------------------------------------------------------------------------


def _of_states(
    old: Lifecycle, new: Lifecycle, added: list[str], removed: list[str], changed: list[str]
) -> Iterator[Text]:
    if old.initial != new.initial:
        yield {
            "en": f"A ticket begins in {new.initial} instead of {old.initial}.",
            "zh": f"工单的初始状态由 {old.initial} 改为 {new.initial}。",
        }
    for name in added:
        yield {"en": f"State {name} is new.", "zh": f"新增状态 {name}。"}
    for name in removed:
        yield {"en": f"State {name} is gone.", "zh": f"取消状态 {name}。"}
    for name in changed:
        yield from _of_state(old.states[name], new.states[name])


def _of_state(old: State, new: State) -> Iterator[Text]:
    if old.label != new.label:
        yield {
            "en": f"State {new.name} is called “{new.label['en']}” instead of “{old.label['en']}”.",
            "zh": f"状态 {new.name} 的名称由“{old.label['zh']}”改为“{new.label['zh']}”。",
        }
    for field, verb, verb_zh in (
        ("stops", "stops the clock", "停止计时"),
        ("resumes", "starts again the clock", "恢复计时"),
        ("pauses_for", "pauses the clocks for", "暂停计时原因"),
    ):
        was, now = getattr(old, field), getattr(new, field)
        for word in sorted(now - was):
            yield {"en": f"State {new.name} now {verb} {word}.", "zh": f"状态 {new.name} 新增{verb_zh}：{word}。"}
        for word in sorted(was - now):
            yield {"en": f"State {new.name} no longer {verb} {word}.", "zh": f"状态 {new.name} 不再{verb_zh}：{word}。"}


def _of_role(change: RoleChange) -> Iterator[Text]:
    for verb, verb_zh, ways in (("may now", "现可", change.gains), ("may no longer", "不再可", change.losses)):
        for to, sources in _by_target(ways).items():
            yield {
                "en": f"{change.role} {verb} move a ticket from {' or '.join(sources)} to {to}.",
                "zh": f"{change.role} {verb_zh}将工单从 {'、'.join(sources)} 移至 {to}。",
            }
    for (source, to), how in change.conditions:
        yield {
            "en": f"{change.role}, from {source} to {to}: {how['en']}.",
            "zh": f"{change.role}，从 {source} 到 {to}：{how['zh']}。",
        }


def _by_target(ways: tuple[Way, ...]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source, to in ways:
        found.setdefault(to, []).append(source)
    return found
