"""Readings no machine could make: wear takes hours, a wire takes a millisecond. Pure, compiled.

Phases of one signal: in band → far off since a few rows → stepped away alone. A small step, which no single reading
betrays, is told from wear by its shape: two levels fit the last hour better than a slope. Rows of the last two phases
stay out of the machine's memories. When other signals move as well, it is the machine.
"""

from __future__ import annotations

from enum import IntEnum

from detectors import bank
from detectors.context_state import BLOCKS, ROWS, ContextState, Shape
from detectors.jit import inner
from detectors.pace import Pace
from plant.model import Floats

# limits in sigmas
FAR = 5.0
WILD = 10.0
CALM = 1.5  # of the short memory, before a jump
MOVES = 4.0  # another signal moves
BACK = 3.0
CALM_ROWS = 5
NEAR_RATE = 0.3
BLOCK_ROWS = 5
LEAST_STEP = 1.5
BETTER = 0.5  # two levels must leave less than this share of a slope's squared error


class Jump(IntEnum):
    """Verdict on one reading."""

    NONE = 0
    AWAY = 1  # far off: perhaps a spike, perhaps the first row of a step
    STEP = 2  # a step that stays, in this signal alone
    WILD = 3  # farther off than anything a machine does


IN_BAND, AWAY, STEPPED = range(3)
PHASE, COUNT, ROW = range(3)


@inner
def judge(pace: Pace, shape: Shape, s: ContextState, memory: bank.Bank, z: Floats, j: int) -> int:
    """Jump code of signal ``j`` whose standardised residuals of this row are ``z`` float64[k]."""
    gap = s.counters[ROWS] - s.jump[j, ROW]
    s.jump[j, ROW] = s.counters[ROWS]
    if s.jump[j, PHASE] == IN_BAND:
        if gap > 2:
            s.jump[j, COUNT] = 0  # nobody looked at what lies between: a step cannot be told from a change
            s.signals[j]["near"] = z[j]
            s.block[j] = 0.0
            return 0
        if not _jumps(shape, s, memory, z, j):
            return 0
        s.jump[j, PHASE] = AWAY
        s.jump[j, COUNT] = 0
        s.block[j] = 0.0
    verdict = _phase(pace, s, z[j], j)
    return 3 if verdict == 1 and abs(z[j]) > WILD else verdict


@inner
def _phase(pace: Pace, s: ContextState, z: float, j: int) -> int:
    s.signals[j]["near"] += NEAR_RATE * (z - s.signals[j]["near"])
    over = abs(z) < BACK if s.jump[j, PHASE] == AWAY else abs(s.signals[j]["near"]) < s.signals[j]["back"]
    s.jump[j, COUNT] = min(s.jump[j, COUNT] + (-1 if over else 1), pace.jump_rows)
    if s.jump[j, COUNT] <= 0:
        s.jump[j, PHASE] = IN_BAND  # it came back, and this reading counts again
        s.jump[j, COUNT] = CALM_ROWS
        s.signals[j]["near"] = 0.0
        return 0
    if s.jump[j, PHASE] == AWAY and s.jump[j, COUNT] >= pace.jump_rows:
        s.jump[j, PHASE] = STEPPED
        s.signals[j]["back"] = 0.5 * abs(s.signals[j]["near"])
    return 2 if s.jump[j, PHASE] == STEPPED else 1


@inner
def _jumps(shape: Shape, s: ContextState, memory: bank.Bank, z: Floats, j: int) -> bool:
    """Far from the band and from the last rows, out of calm, and alone."""
    calm, near = s.jump[j, COUNT], s.signals[j]["near"]
    far = abs(z[j]) > FAR and abs(z[j] - near) > FAR
    s.signals[j]["near"] = near + NEAR_RATE * (z[j] - near)
    s.jump[j, COUNT] = 0 if far else calm + 1
    if not far or calm < CALM_ROWS or abs(memory[j]["short"]) > CALM:
        return False
    for other in range(shape.measured):
        if other != j and (abs(z[other]) > MOVES or abs(memory[other]["short"]) > CALM):
            return False
    return True


@inner
def watch_shape(pace: Pace, shape: Shape, s: ContextState, memory: bank.Bank, z: float, j: int) -> bool:
    """Take one reading that counts; True when signal ``j`` alone stepped within the last hour, and now is masked."""
    s.block[j, 0] += z
    s.block[j, 1] += 1.0
    if s.block[j, 1] < BLOCK_ROWS:
        return False
    for b in range(BLOCKS - 1):
        s.blocks[j, b] = s.blocks[j, b + 1]
    s.blocks[j, BLOCKS - 1] = s.block[j, 0] / BLOCK_ROWS
    s.block[j, 0] = 0.0
    s.block[j, 1] = 0.0
    s.block[j, 2] += 1.0
    if s.block[j, 2] < BLOCKS or not _alone(shape, memory, j):
        return False
    step = _step(s.blocks[j])
    if abs(step) < LEAST_STEP:
        return False
    s.jump[j, PHASE] = STEPPED
    s.jump[j, COUNT] = pace.jump_rows
    s.signals[j]["near"] = s.blocks[j, BLOCKS - 1]
    s.signals[j]["back"] = 0.5 * abs(step)
    s.block[j] = 0.0
    return True


@inner
def _alone(shape: Shape, memory: bank.Bank, j: int) -> bool:
    moving = 0
    for other in range(shape.measured):
        if other != j and abs(memory[other]["short"]) > CALM:
            moving += 1
    return moving == 0


@inner
def _step(blocks: Floats) -> float:
    """Height of the step from the baseline if two levels fit the blocks clearly better than a straight line, else 0."""
    n = len(blocks)
    mean = blocks.mean()
    slope, spread, total = 0.0, 0.0, 0.0
    for b in range(n):
        away = b - (n - 1) / 2.0
        slope += away * (blocks[b] - mean)
        spread += away * away
        total += (blocks[b] - mean) ** 2
    line = total - slope * slope / spread
    best, height = line, 0.0
    for cut in range(3, n - 2):
        low, high = blocks[:cut].mean(), blocks[cut:].mean()
        left = total - cut * (low - mean) ** 2 - (n - cut) * (high - mean) ** 2
        if left < best and abs(low) < 1.0:
            best, height = left, high - low
    return height if best < BETTER * line else 0.0
