"""What simulators put on the wire and in the ledger."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.codecs import json as codec
from simulators import ledger, wire
from simulators.machines.base import Columns
from simulators.outbox import Outbox

T0 = 1_767_225_600_000_000


def columns() -> Columns:
    at_us = T0 + np.arange(4, dtype=np.int64) * 60_000_000
    return Columns(
        at_us,
        {
            "flow": np.array([101.25, 0.1, 1e-7, 120.0]),
            "oil": np.array([np.nan, 2.5, np.nan, 3.5]),
            "gone": np.full(4, np.nan),
        },
    )


def test_a_batch_is_what_the_contract_says() -> None:
    payload = json.loads(wire.batch(columns(), "P-101", epoch="a1", seq=17))
    assert payload == {
        "epoch": "a1",
        "seq": 17,
        "d": [
            {
                "s": "P-101/flow",
                "t0": T0,
                "dt": [0, 60_000_000, 120_000_000, 180_000_000],
                "v": [101.25, 0.1, 1e-7, 120],
            },
            {"s": "P-101/oil", "t0": T0 + 60_000_000, "dt": [0, 120_000_000], "v": [2.5, 3.5]},
        ],
    }
    assert json.loads(wire.batch(columns(), "P-101", epoch="a1", seq=1, hist="history"))["hist"] is True


def test_the_products_codec_reads_it() -> None:
    message = codec.decode(wire.batch(columns(), "P-101", epoch="a1", seq=17), source="gw-1", tag=None, heard_us=T0)
    assert not message.faults and (message.epoch, message.seq) == ("a1", 17)
    flow, oil = message.readings
    assert (flow.source, flow.tag, flow.values.tolist()) == ("gw-1", "P-101/flow", [101.25, 0.1, 1e-7, 120.0])
    assert oil.at_us.tolist() == [T0 + 60_000_000, T0 + 180_000_000]


def test_a_full_batch_stays_far_below_the_message_limit() -> None:
    at_us = T0 + np.arange(wire.MAX_ROWS, dtype=np.int64) * 60_000_000
    values = np.random.default_rng(0).uniform(0, 1000, wire.MAX_ROWS).round(3)
    payload = wire.batch(Columns(at_us, {f"s{i}": values for i in range(12)}), "C-301", epoch="e", seq=1)
    assert len(payload) < codec.MAX_BYTES / 3


@pytest.mark.parametrize(("seq", "covered"), [(4, True), (5, False), (7, False), (8, True), (9, True), (10, False)])
def test_receipts(seq: int, covered: bool) -> None:
    assert wire.read_receipt(b'{"epoch":"a1","seq":9,"gaps":[[5,7]]}').covers(seq) is covered


def test_hostile_receipts_and_commands_are_refused_by_name() -> None:
    for bad in (b"", b"[]", b'{"epoch":1,"seq":9}', b'{"epoch":"a","seq":9,"gaps":[[1]]}', b"\xff"):
        with pytest.raises(msgspec.DecodeError):
            wire.read_receipt(bad)
    with pytest.raises(msgspec.DecodeError):
        wire.read_command(b'{"do":"repair"}')
    assert wire.read_command(b'{"action":"repair"}') == wire.Command("repair", "machine")


def test_the_outbox_keeps_what_no_receipt_covers() -> None:
    box = Outbox("a1", timeout_s=5.0, longest_s=12.0)
    for _ in range(9):
        seq = box.next_seq()
        box.put(seq, b"%d" % seq, now_s=0.0)
    assert box.due(0.0, limit=4) == [b"1", b"2", b"3", b"4"]
    assert box.due(0.0, limit=99) == [b"5", b"6", b"7", b"8", b"9"]
    assert box.due(4.9, limit=99) == []
    assert box.confirm(wire.Receipt("other", 99)) == 0
    assert box.confirm(wire.Receipt("a1", 8, [(3, 3), (5, 6)])) == 5
    assert box.due(5.0, limit=99) == [b"3", b"5", b"6", b"9"]
    assert box.due(14.9, limit=99) == []  # the wait doubles
    assert len(box.due(15.0, limit=99)) == 4
    assert box.due(26.9, limit=99) == []  # … but not for ever
    box.hurry(20.0)
    assert len(box.due(25.0, limit=99)) == 4
    assert box.confirm(wire.Receipt("a1", 9)) == 4 and len(box) == 0


def test_the_ledger_gives_back_every_sample(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    with ledger.LedgerWriter(path) as book:
        for seq, code in ((1, "P-101"), (2, "P-102")):
            payload = wire.batch(columns(), code, epoch="a1", seq=seq)
            book.write([ledger.Line("gw-1", "a1", seq, msgspec.Raw(payload))])
    with path.open("ab") as torn:
        torn.write(b'{"device":"gw-1","epoch":"a1","seq":3,"payl')
    published = ledger.read(path)
    assert len(published) == 12
    assert published.triples() >= {("P-102/flow", T0 + 120_000_000, 1e-7), ("P-101/oil", T0 + 180_000_000, 3.5)}
    at_us, value = published.of("P-102/oil")
    assert at_us.tolist() == [T0 + 60_000_000, T0 + 180_000_000] and value.tolist() == [2.5, 3.5]
    assert len(published.of("nobody")[0]) == 0
    assert [line.seq for line in ledger.lines(path)] == [1, 2]


def test_an_empty_ledger_is_empty(tmp_path: Path) -> None:
    with ledger.LedgerWriter(tmp_path / "l") as book:
        book.write([])
    assert len(ledger.read(tmp_path / "l")) == 0
