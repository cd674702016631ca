"""The options that the benchmarks of several signals share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from detectors.stream.parameters import DEFAULT


def read(bench: str, doc: str | None, argv: Sequence[str] | None) -> argparse.Namespace:
    """``folder``, ``scores_out``, ``threshold`` (nominal evidence), ``quick`` and ``seed`` of ``benchmarks.BENCH``."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{bench}", description=(doc or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scores-out", type=Path, metavar="DIR", help="write the score of every row")
    parser.add_argument("--threshold", type=float, default=DEFAULT.fault_evidence, metavar="T")
    parser.add_argument("--quick", action="store_true", help="every third run")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)
