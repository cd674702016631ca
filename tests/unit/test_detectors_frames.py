"""Grid rows: alignment, holding, bad quality, and that cuts do not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.frames import build_frames, grid_step_us, look_back_us
from plant.model import Quality, Role, SampleBatch, Signal

SECOND = 1_000_000
FAST = Signal(1, 1, 7, "vibration", "Vibration", "vibration_velocity", "mm/s", None, None, 10.0, Role.MEASURED)
SLOW = replace(FAST, signal_id=2, code="oil", period_s=30.0)
STATE = replace(FAST, signal_id=3, code="state", quantity="state", unit="", role=Role.STATE)
SIGNALS = (FAST, SLOW, STATE)
STEP = 10 * SECOND


def batch(*samples: tuple[int, float, float, int]) -> SampleBatch:
    """From (signal, second, value, quality)."""
    columns = list(zip(*samples, strict=True)) if samples else [(), (), (), ()]
    return SampleBatch(
        np.array(columns[0], np.int32),
        (np.array(columns[1], np.float64) * SECOND).astype(np.int64),
        np.array(columns[2], np.float64),
        np.array(columns[3], np.uint8),
    )


def test_step_is_the_median_period() -> None:
    assert grid_step_us(SIGNALS) == 10 * SECOND
    assert grid_step_us([SLOW]) == 30 * SECOND
    assert grid_step_us([replace(FAST, period_s=0.01)]) == SECOND


def test_rows_end_at_multiples_of_the_step_and_take_the_last_value() -> None:
    frame = build_frames(
        batch((1, 11, 1.0, 0), (1, 19, 2.0, 0), (1, 20, 3.0, 0), (1, 21, 4.0, 0)),
        SIGNALS,
        after_us=10 * SECOND,
        until_us=34 * SECOND,
        step_us=STEP,
    )
    assert frame.at_us.tolist() == [20 * SECOND, 30 * SECOND]
    assert frame.values[:, 0].tolist() == [3.0, 4.0]
    assert frame.asset_id == 7


def test_values_are_held_for_two_periods() -> None:
    frame = build_frames(
        batch((1, 10, 5.0, 0), (2, 10, 6.0, 0)), SIGNALS, after_us=0, until_us=90 * SECOND, step_us=STEP
    )
    assert np.isfinite(frame.values[:, 0]).tolist() == [True, True] + [False] * 7  # two rows of 10 s
    assert np.isfinite(frame.values[:, 1]).tolist() == [True] * 6 + [False] * 3  # two periods of 30 s


def test_bad_samples_give_no_value() -> None:
    frame = build_frames(
        batch((1, 5, 5.0, 0), (1, 15, np.nan, Quality.BAD), (1, 25, 7.0, Quality.UNCERTAIN)),
        SIGNALS,
        after_us=0,
        until_us=30 * SECOND,
        step_us=STEP,
    )
    assert frame.bad[:, 0].tolist() == [False, True, False]
    np.testing.assert_array_equal(frame.values[:, 0], [5.0, np.nan, 7.0])


def test_state_codes() -> None:
    frame = build_frames(
        batch((3, 5, 1.0, 0), (3, 45, 0.0, 0)), SIGNALS, after_us=0, until_us=50 * SECOND, step_us=STEP
    )
    assert frame.state.tolist() == [1, 1, -1, -1, 0]


def test_no_samples_give_empty_values() -> None:
    frame = build_frames(batch(), SIGNALS, after_us=0, until_us=20 * SECOND, step_us=STEP)
    assert len(frame) == 2
    assert np.isnan(frame.values).all()


@given(
    samples=st.lists(
        st.tuples(st.integers(1, 4), st.integers(-50, 400), st.floats(-5, 5), st.integers(0, 2)), max_size=60
    ),
    cut=st.integers(0, 300),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_cuts_and_order_do_not_matter(samples: list[tuple[int, float, float, int]], cut: int, order: object) -> None:
    samples = [*{(s, at): (s, at, v, q) for s, at, v, q in samples}.values()]
    whole = build_frames(batch(*samples), SIGNALS, after_us=0, until_us=300 * SECOND, step_us=STEP)
    order.shuffle(samples)  # type: ignore[attr-defined]
    back = look_back_us(SIGNALS, step_us=STEP) // SECOND
    first = build_frames(
        batch(*[s for s in samples if s[1] <= cut]), SIGNALS, after_us=0, until_us=cut * SECOND, step_us=STEP
    )
    done = cut // 10 * 10
    second = build_frames(
        batch(*[s for s in samples if s[1] > done - back]),
        SIGNALS,
        after_us=done * SECOND,
        until_us=300 * SECOND,
        step_us=STEP,
    )
    for name in ("at_us", "values", "bad", "state"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(first, name), getattr(second, name)]), getattr(whole, name)
        )
