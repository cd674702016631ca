"""What the drill of the detectors counts: it must not let one mistake make up for another."""

from __future__ import annotations

import numpy as np

from benchmarks.drills.maintenance import Stretch, looked_at

SENT = np.arange(1, 101, dtype=np.int64)


def test_every_sample_looked_at_once() -> None:
    assert looked_at(SENT, [Stretch(0, 40, 40), Stretch(40, 100, 60)]) == (0, 0)


def test_a_gap_is_no_less_a_gap_when_others_were_judged_twice() -> None:
    """100 samples judged in all, as many as were sent: ten of them twice, and ten never."""
    assert looked_at(SENT, [Stretch(0, 50, 50), Stretch(40, 90, 50)]) == (10, 10)


def test_a_stretch_that_left_samples_out_has_a_gap_inside() -> None:
    assert looked_at(SENT, [Stretch(0, 100, 97)]) == (3, 0)


def test_nothing_was_judged() -> None:
    assert looked_at(SENT, []) == (100, 0)
