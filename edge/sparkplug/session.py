"""One edge node as a host application sees it: births, deaths, sequence, and what its data mean. Pure.

    unknown ──NBIRTH──> live ──gap, reorder time over──> lost ──NBIRTH──> live
       ^                 │ NDEATH of this session           │
       └─ own reconnect  v                                  v
                        dead ──────────NBIRTH─────────────> live

Data are read by the tables of the births that came before them in unbroken sequence, and by nothing else. What cannot
be read yet is held for a while: a missing message may still come, or the node says its births again. A birth of the
same MQTT session (same bdSeq) that places the held metrics just as the one before frees them; else a metric that calls
itself by name is kept, and one that is told by alias goes to quarantine.

Time is an argument: ``now_s`` of a steady clock for waiting, ``heard_us`` of the plant for marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edge.codecs.sparkplug import Payload
from edge.delivery import Fault, Message
from edge.reasons import Reason
from edge.sparkplug import tables
from edge.sparkplug.outcomes import (
    KEEP_BYTES,
    SEQS,
    Born,
    Heard,
    Keep,
    Learnt,
    Life,
    Limits,
    Mark,
    Missed,
    Outcome,
    Told,
)
from edge.sparkplug.tables import Found, Table, Trust
from edge.sparkplug.topics import Verb

MOST_EARLY = 128  # half a round of seq: beyond it a number may be of another round


class _Waits(StrEnum):
    """What a held message waits for."""

    TURN = "turn"  # others before it
    BIRTH = "birth"  # its turn was; nobody knows its metrics


@dataclass(slots=True)
class _Held:
    heard: Heard
    until_s: float
    waits: _Waits

    @property
    def is_early(self) -> bool:
        return self.waits is _Waits.TURN


@dataclass(slots=True)
class _Session:
    """From one NBIRTH to the next."""

    bd_seq: int | None
    born_us: int | None
    next_seq: int
    node: Table
    began_s: float
    devices: dict[str, Table] = field(default_factory=dict)

    def table(self, device: str | None) -> Table | None:
        return self.node if device is None else self.devices.get(device)


class NodeSession:
    """Not safe for several threads. ``wants_birth`` is why a rebirth should be asked for, "" for no reason."""

    def __init__(self, limits: Limits, *, source: str = "", prefix: str | None = None) -> None:
        self.limits = limits
        self.life = Life.UNKNOWN
        self.wants_birth = ""
        self.held_bytes = 0
        self.is_pressed = False  # memory is short: hold nothing
        self._source, self._prefix = source, prefix
        self._session: _Session | None = None
        self._before: _Session | None = None  # the session that held messages may belong to
        self._orphans: dict[str, tuple[list[str], float]] = {}  # devices that have not been born again
        self._held: list[_Held] = []
        self._gap_s: float | None = None
        self._doubt_s: float | None = None
        self._last = b""
        self._last_us: int | None = None  # when we last heard a message in its turn
        self._out: list[Outcome] = []

    @property
    def is_restless(self) -> bool:
        """Whether time alone may change something."""
        return bool(self._held or self._orphans or self.wants_birth) or self._doubt_s is not None

    def hear(self, heard: Heard, now_s: float) -> list[Outcome]:
        """What follows from a message."""
        verb = heard.topic.verb
        if verb is Verb.NBIRTH:
            self._nbirth(heard, now_s)
        elif verb is Verb.NDEATH:
            self._ndeath(heard, now_s)
        elif heard.payload.seq is None or not 0 <= heard.payload.seq < SEQS:
            self._refuse(heard, Reason.BAD_SEQUENCE, "A birth of a device, a death or data need a seq of 0 to 255.")
        else:
            self._sequenced(heard, now_s)
        return self._taken()

    def tick(self, now_s: float, now_us: int) -> list[Outcome]:
        """What follows from time alone."""
        if self._gap_s is not None and now_s - self._gap_s >= self.limits.reorder_s:
            self._lose("a message is missing")
        self._expire(lambda held: self.is_pressed or held.until_s <= now_s)
        for device, (names, until_s) in list(self._orphans.items()):
            if until_s <= now_s:
                del self._orphans[device]
                self._mark(names, device, now_us)
        self._resolve_doubt(now_s, now_us)
        return self._taken()

    def forget(self) -> None:
        """We were away ourselves: whatever we knew may have changed since."""
        if self.life in (Life.LIVE, Life.LOST):
            self._before = self._session
            self.wants_birth = "we were away"
        self.life, self._session, self._gap_s, self._doubt_s = Life.UNKNOWN, None, None, None
        self._last = b""

    def recall(self, node: Payload, devices: Mapping[str, Payload], now_s: float) -> None:
        """The births that an earlier run of this program followed: they serve like those before an absence."""
        following = 0 if node.seq is None else (node.seq + 1) % SEQS
        self._before = _Session(tables.bd_seq(node), node.at_us, following, tables.born(node), now_s)
        self._before.devices.update({name: tables.born(each) for name, each in devices.items()})
        self.wants_birth = "we were started anew"

    def _sequenced(self, heard: Heard, now_s: float) -> None:
        session = self._session
        if self.life is not Life.LIVE or session is None:
            self._hold(heard, now_s, _Waits.TURN)
            self.wants_birth = self.wants_birth or "data came before a birth"
        elif heard.payload.seq == session.next_seq and self._may_fill(heard):
            self._apply(heard, session, now_s)
            self._drain(session, now_s)
        elif heard.raw == self._last:
            self._out.append(Keep(heard, ()))  # the same message once more
        else:
            self._overtaken(heard, now_s)

    def _may_fill(self, heard: Heard) -> bool:
        """Whether a message was sent before those that wait for it: if not, its number is of another round or birth."""
        if self._gap_s is None:
            return True
        sent_us = heard.payload.at_us
        waiting = [each.heard.payload.at_us for each in self._held if each.is_early]
        return sent_us is not None and all(each is None or sent_us <= each for each in waiting)

    def _overtaken(self, heard: Heard, now_s: float) -> None:
        """A message came before its turn."""
        is_of_another_round = self._session is not None and heard.payload.seq == self._session.next_seq
        self._hold(heard, now_s, _Waits.TURN)
        self._gap_s = now_s if self._gap_s is None else self._gap_s
        if is_of_another_round or sum(each.is_early for each in self._held) > MOST_EARLY:
            self._lose("messages are missing")

    def _drain(self, session: _Session, now_s: float) -> None:
        """Held messages whose turn it is now."""
        while self.life is Life.LIVE and self._gap_s is not None:
            fit = [each for each in self._held if each.is_early and self._is_next(each.heard, session)]
            if not fit:
                break
            self._release(fit[0])
            self._apply(fit[0].heard, session, now_s)
        if not any(each.is_early and self._is_of(each.heard, session) for each in self._held):
            self._gap_s = None

    def _is_next(self, heard: Heard, session: _Session) -> bool:
        return heard.payload.seq == session.next_seq and self._is_of(heard, session)

    def _is_of(self, heard: Heard, session: _Session) -> bool:
        """Whether a held message was sent after the birth of this session: by the sender's own clock."""
        sent_us, born_us = heard.payload.at_us, session.born_us
        return sent_us is not None and born_us is not None and sent_us > born_us

    def _apply(self, heard: Heard, session: _Session, now_s: float) -> None:
        """A message whose turn it is."""
        session.next_seq = (session.next_seq + 1) % SEQS
        self._last, self._last_us, self._doubt_s = heard.raw, heard.heard_us, None
        device = heard.topic.device
        if heard.topic.verb is Verb.DBIRTH and device is not None:
            self._dbirth(heard, session, device)
        elif heard.topic.verb is Verb.DDEATH and device is not None:
            table = session.devices.pop(device, None)
            at_us = heard.heard_us if heard.payload.at_us is None else heard.payload.at_us
            self._out.append(Keep(heard, self._stale([] if table is None else table.numeric(), device, at_us)))
        else:
            self._data(heard, session, now_s)

    def _data(self, heard: Heard, session: _Session, now_s: float) -> None:
        table = session.table(heard.topic.device)
        found = None if table is None else tables.find(heard.payload, table, heard.heard_us)
        if found is None or found.homeless:
            self._hold(heard, now_s, _Waits.BIRTH)
            why = f"device {heard.topic.device} is not born" if found is None else found.homeless[0]
            self.wants_birth = self.wants_birth or why
            return
        self._keep(heard, found)

    def _dbirth(self, heard: Heard, session: _Session, device: str) -> None:
        table = tables.born(heard.payload)
        gone, _ = self._orphans.pop(device, ([], 0.0))
        before = session.devices.get(device)
        gone = gone if before is None else before.numeric()
        session.devices[device] = table
        self._out.append(Learnt(device, heard.raw))
        self._keep_birth(heard, table)
        self._mark([name for name in gone if name not in table.by_name], device, heard.heard_us)
        self._free(device)

    def _nbirth(self, heard: Heard, now_s: float) -> None:
        table, number = tables.born(heard.payload), tables.bd_seq(heard.payload)
        if heard.payload.seq is None or not 0 <= heard.payload.seq < SEQS:
            self._refuse(heard, Reason.BAD_SEQUENCE, "A birth needs a seq of 0 to 255.")
            return
        if self._is_overtaken(heard, now_s):
            self._keep_birth(heard, table)
            self.wants_birth = self.wants_birth or "an older birth came after a newer one"
            return
        former = self._session or self._before if self.life is not Life.DEAD else None
        session = _Session(number, heard.payload.at_us, (heard.payload.seq + 1) % SEQS, table, now_s)
        if former is not None:
            self._bury(former, session, heard.heard_us, now_s)
        if former is not None and self.life is not Life.LIVE and self._last_us is not None:
            self._out.append(Missed(self._last_us, heard.heard_us, len(table.numeric())))
        is_same = former is not None and former.bd_seq is not None and former.bd_seq == number
        self._before = former if is_same else None  # else its tables say nothing about what is held
        self._session, self.life = session, Life.LIVE
        self.wants_birth, self._gap_s, self._doubt_s = "", None, None
        self._last, self._last_us = heard.raw, heard.heard_us
        self._keep_birth(heard, table)
        self._out += [Learnt(None, heard.raw), Told(True, "")]
        self._free(None)
        early = any(each.is_early and self._is_of(each.heard, session) for each in self._held)
        self._gap_s = now_s if early else None
        self._drain(session, now_s)

    def _is_overtaken(self, heard: Heard, now_s: float) -> bool:
        """A birth that was sent before the one that we follow, and came right after it."""
        session = self._session
        if session is None or session.born_us is None or heard.payload.at_us is None:
            return False
        return heard.payload.at_us < session.born_us and now_s - session.began_s < self.limits.reorder_s

    def _bury(self, former: _Session, session: _Session, heard_us: int, now_s: float) -> None:
        """Metrics of the session before that the new births do not name fall silent."""
        self._mark([name for name in former.node.numeric() if name not in session.node.by_name], None, heard_us)
        until_s = now_s + self.limits.hold_s
        self._orphans.update({device: (table.numeric(), until_s) for device, table in former.devices.items()})

    def _ndeath(self, heard: Heard, now_s: float) -> None:
        session, number = self._session, tables.bd_seq(heard.payload)
        if self.life is Life.DEAD:
            self._out.append(Keep(heard, ()))
        elif session is not None and None not in (number, session.bd_seq) and number != session.bd_seq:
            self._out.append(Keep(heard, ()))  # of another session; a sign of life will tell, or its want
            self._doubt_s = now_s if self._doubt_s is None else self._doubt_s
        else:
            self._die(heard.heard_us, "the broker or the node itself said its death", heard)

    def _die(self, at_us: int, why: str, heard: Heard | None) -> None:
        session = self._session if self._session is not None else self._before
        marks = [] if session is None else self._marks_of(session, at_us)
        if heard is not None:
            self._out.append(Keep(heard, tuple(marks)))
        elif marks:
            self._out.append(Mark(tuple(marks), at_us))
        self._expire(lambda _: True)
        self._orphans.clear()
        self.life, self.wants_birth, self._gap_s, self._doubt_s = Life.DEAD, "", None, None
        self._session = self._before = None
        self._out.append(Told(False, why))

    def _marks_of(self, session: _Session, at_us: int) -> list[Message]:
        marks = list(self._stale(session.node.numeric(), None, at_us))
        for device, table in session.devices.items():
            marks += self._stale(table.numeric(), device, at_us)
        for device, (names, _) in self._orphans.items():
            marks += self._stale(names, device, at_us)
        return marks

    def _resolve_doubt(self, now_s: float, now_us: int) -> None:
        if self._doubt_s is None:
            return
        if now_s - self._doubt_s >= self.limits.doubt_s:
            self._die(now_us, "a death of another session came, and no sign of life since", None)
        elif now_s - self._doubt_s >= self.limits.reorder_s:
            self.wants_birth = self.wants_birth or "a death of another session came"

    def _lose(self, why: str) -> None:
        if self.life is Life.LIVE:
            self.life, self.wants_birth, self._gap_s = Life.LOST, why, None

    # -- held messages

    def _hold(self, heard: Heard, now_s: float, waits: _Waits) -> None:
        self._held.append(_Held(heard, now_s + self.limits.hold_s, waits))
        self.held_bytes += len(heard.raw)
        while len(self._held) > self.limits.held_messages or self.held_bytes > self.limits.held_bytes:
            self._give_up(self._held[0])

    def _release(self, held: _Held) -> None:
        self._held.remove(held)
        self.held_bytes -= len(held.heard.raw)

    def _free(self, device: str | None) -> None:
        """A birth came: what was held for it is read if the birth before says the same of it, else given up."""
        session, before = self._session, self._before
        if session is None:
            return
        for held in [each for each in self._held if not self._is_of(each.heard, session)]:
            if held.heard.topic.verb in (Verb.NDATA, Verb.DDATA):
                if held.heard.topic.device == device:
                    self._read_late(held, session, before)
            elif device is None:
                self._give_up(held)

    def _read_late(self, held: _Held, session: _Session, before: _Session | None) -> None:
        heard, device = held.heard, held.heard.topic.device
        new, old = session.table(device), before.table(device) if before is not None else None
        if new is None:
            return
        now = tables.find(heard.payload, new, heard.heard_us)
        then = None if old is None else tables.find(heard.payload, old, heard.heard_us)
        if then is not None and not now.homeless and not then.homeless and now.places() == then.places():
            self._release(held)
            self._keep(heard, now)
        else:
            self._give_up(held, new)

    def _expire(self, is_over: Callable[[_Held], bool]) -> None:
        for held in [each for each in self._held if is_over(each)]:
            self._give_up(held)

    def _give_up(self, held: _Held, table: Table | None = None) -> None:
        """What names itself is kept; the rest is nobody's any more."""
        self._release(held)
        heard = held.heard
        if heard.topic.verb is Verb.DDEATH:
            self._out.append(Keep(heard, ()))
        elif heard.topic.verb is Verb.DBIRTH:
            self._keep_birth(heard, tables.born(heard.payload))
        else:
            known = table or self._last_table(heard.topic.device)
            found = tables.find(heard.payload, known, heard.heard_us, trust=Trust.NAMES)
            if found.homeless:
                detail = f"No birth says what these data mean: {found.homeless[0]} ({len(found.homeless)} metrics)."
                kept = heard.raw[:KEEP_BYTES]
                found.faults.append(Fault("", Reason.NO_BIRTH, detail, kept, len(found.homeless)))
            self._keep(heard, found)

    def _last_table(self, device: str | None) -> Table:
        session = self._session or self._before
        return (session.table(device) if session is not None else None) or Table()

    # -- what comes of it

    def _keep_birth(self, heard: Heard, table: Table) -> None:
        device = heard.topic.device
        self._keep(heard, tables.find(heard.payload, table, heard.heard_us))
        self._out.append(Born(tables.offers(heard.payload, self._full(device), heard.topic.node)))

    def _keep(self, heard: Heard, found: Found) -> None:
        self._out.append(Keep(heard, tables.messages(found, self._full(heard.topic.device), self._source)))

    def _refuse(self, heard: Heard, reason: Reason, detail: str) -> None:
        fault = Fault(
            heard.topic.device or "", reason, detail, heard.raw[:KEEP_BYTES], max(len(heard.payload.metrics), 1)
        )
        self._out.append(Keep(heard, (Message((), (fault,)),)))

    def _stale(self, names: Iterable[str], device: str | None, at_us: int) -> tuple[Message, ...]:
        found = Found(samples=tables.stale(names, None, at_us))
        return tables.messages(found, self._full(device), self._source) if found.samples else ()

    def _mark(self, names: list[str], device: str | None, at_us: int) -> None:
        messages = self._stale(names, device, at_us)
        if messages:
            self._out.append(Mark(messages, at_us))

    def _full(self, device: str | None) -> str | None:
        """What stands before a metric's name in its tag."""
        parts = [each for each in (self._prefix, device) if each is not None]
        return "/".join(parts) if parts else None

    def _taken(self) -> list[Outcome]:
        taken, self._out = self._out, []
        return taken
