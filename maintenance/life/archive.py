"""A fitted model ↔ bytes: named arrays (NumPy's own format, nothing that could run) and a header. Pure.

Another format, or bytes that do not hold together, are refused: a model is learnt again sooner than guessed at.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

from maintenance.errors import ForeignModel
from maintenance.life import boosted, features
from maintenance.life.boosted import LifeModel
from maintenance.life.conformal import Residuals
from maintenance.life.experts import Kernel, Trees

FORMAT = f"life/{boosted.VERSION}/{features.VERSION}"
Named = dict[str, npt.NDArray[Any]]


def pack(model: LifeModel) -> bytes:
    """The model as bytes; the same model gives the same answers after :func:`unpack`, to the last digit."""
    named: Named = {"centre": model.centre, "scale": model.scale, "used": model.used,
                    "cap": np.array(model.cap), "share": np.array(model.share)}  # fmt: skip
    named |= {"predicted": model.residuals.predicted, "residual": model.residuals.residual,
              "lives": np.array(model.residuals.lives)}  # fmt: skip
    named |= {f"kernel.{name}": each for name, each in model.kernel.arrays().items()}
    for number, trees in enumerate(model.trees):
        named |= {f"trees{number}.{name}": each for name, each in trees.arrays().items()}
    header = json.dumps({"format": FORMAT, "trees": len(model.trees)}).encode()
    body = io.BytesIO()
    np.savez_compressed(body, allow_pickle=False, header=np.frombuffer(header, np.uint8), **named)
    return body.getvalue()


def unpack(content: bytes, *, sha256: bytes | None = None) -> LifeModel:
    """What :func:`pack` made. Raises ForeignModel for another version, damage, or bytes that are no model."""
    if sha256 is not None and hashlib.sha256(content).digest() != sha256:
        raise ForeignModel("The kept model is damaged: its bytes are not those that were kept. Learn it again.")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            return _model({name: kept[name] for name in kept.files})
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, IndexError) as error:
        raise ForeignModel("This file is no model of remaining life. Learn the model again.") from error


def _model(kept: Named) -> LifeModel:
    header = json.loads(bytes(kept["header"]))
    if header.get("format") != FORMAT:
        raise ForeignModel(
            f"The model is of version {header.get('format')}; this program reads {FORMAT}. Learn the model again."
        )
    trees = tuple(Trees.of_arrays(_part(kept, f"trees{number}.")) for number in range(header["trees"]))
    kernel = Kernel.of_arrays(_part(kept, "kernel."))
    residuals = Residuals(kept["predicted"], kept["residual"], float(kept["lives"]))
    return LifeModel(
        float(kept["cap"]), kept["centre"], kept["scale"], kept["used"], trees, kernel, float(kept["share"]), residuals
    )


def _part(kept: Named, prefix: str) -> Named:
    return {name.removeprefix(prefix): each for name, each in kept.items() if name.startswith(prefix)}
