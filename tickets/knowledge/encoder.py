"""Sentences as vectors: the forward pass of a BERT encoder in numpy, mean over the tokens, length 1. Pure.

Devlin and others, BERT, 2019; the pooling of Reimers and Gurevych, Sentence-BERT, 2019. Only what is needed to use a
trained model: no dropout, no gradients, float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
EPSILON = 1e-12  # of the layer norms
HIDDEN_FROM = -1e9  # what is added to the score of a token that is none
BATCH = 16
TOGETHER = 1.25  # texts of a batch differ in length by no more: the rest would be padding
ROOT_2 = np.float32(2**0.5)


@dataclass(frozen=True, slots=True)
class Dense:
    """x · weight + bias, the weight already turned round."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        flat: Floats = x.reshape(-1, x.shape[-1]) @ self.weight  # one large product instead of one for each text
        flat += self.bias
        shaped: Floats = flat.reshape(*x.shape[:-1], -1)
        return shaped


@dataclass(frozen=True, slots=True)
class Norm:
    """Mean 0 and variance 1 over the last axis, then scaled and shifted."""

    scale: Floats
    shift: Floats

    def __call__(self, x: Floats) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
        found: Floats = centred / spread * self.scale + self.shift
        return found


@dataclass(frozen=True, slots=True)
class Layer:
    """Attention, then two dense layers, each added to what came in."""

    heads: int
    asking: Dense
    answering: Dense
    saying: Dense
    joined: Dense
    joined_norm: Norm
    wide: Dense
    narrow: Dense
    narrow_norm: Norm

    def __call__(self, x: Floats, hidden: Floats) -> Floats:
        seen = self.joined_norm(x + self.joined(self._attention(x, hidden)))
        return self.narrow_norm(seen + self.narrow(gelu(self.wide(seen))))

    def _attention(self, x: Floats, hidden: Floats) -> Floats:
        asked, answers, said = (self._split(part(x)) for part in (self.asking, self.answering, self.saying))
        scores = asked @ answers.swapaxes(-1, -2) / np.float32(asked.shape[-1] ** 0.5) + hidden
        mixed: Floats = softmax(scores) @ said
        return mixed.swapaxes(1, 2).reshape(x.shape)

    def _split(self, x: Floats) -> Floats:
        texts, tokens, width = x.shape
        return x.reshape(texts, tokens, self.heads, width // self.heads).swapaxes(1, 2)


@dataclass(frozen=True, slots=True)
class Encoder:
    """A trained encoder, ready to be asked. Several threads may ask at once."""

    words: Floats
    places: Floats
    kind: Floats
    norm: Norm
    layers: tuple[Layer, ...]

    @classmethod
    def of(cls, weights: Mapping[str, Floats], *, heads: int) -> Encoder:
        """From the tensors of a model under the names that BERT's have."""
        of_layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
        layers = (_layer(weights, f"encoder.layer.{number}", heads) for number in range(len(of_layers)))
        beginning = (weights[f"embeddings.{part}_embeddings.weight"] for part in ("word", "position", "token_type"))
        words, places, kinds = beginning
        return cls(words, places, kinds[0], _norm(weights, "embeddings.LayerNorm"), tuple(layers))

    @property
    def width(self) -> int:
        return int(self.words.shape[1])

    def vectors(self, texts: Sequence[Sequence[int]]) -> Floats:
        """One vector of length 1 for each text, in their order. A text is the ids of its tokens, one at least."""
        found = np.zeros((len(texts), self.width), dtype=np.float32)
        for batch in batches([len(each) for each in texts]):
            found[batch] = self._batch([texts[at] for at in batch])
        return found

    def _batch(self, texts: Sequence[Sequence[int]]) -> Floats:
        longest = max(len(each) for each in texts)
        ids = np.array([[*each, *[0] * (longest - len(each))] for each in texts], dtype=np.int64)
        real = np.array([[1.0] * len(each) + [0.0] * (longest - len(each)) for each in texts], dtype=np.float32)
        hidden = ((1 - real) * np.float32(HIDDEN_FROM))[:, None, None, :]
        x = self.norm(self.words[ids] + self.places[:longest] + self.kind)
        for layer in self.layers:
            x = layer(x, hidden)
        return unit((x * real[:, :, None]).sum(axis=1) / real.sum(axis=1, keepdims=True))


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The places of texts that are about equally long, together."""
    batch: list[int] = []
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == BATCH or lengths[at] > TOGETHER * lengths[batch[0]] + 1):
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def gelu(x: Floats) -> Floats:
    """x times the share of a normal distribution below x."""
    shares: Floats = erf(x / ROOT_2)
    found: Floats = (x * (shares + np.float32(1)) / np.float32(2)).astype(np.float32, copy=False)
    return found


def softmax(x: Floats) -> Floats:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def unit(x: Floats) -> Floats:
    """Each row at length 1."""
    scaled: Floats = x / np.maximum(np.sqrt(np.square(x).sum(axis=-1, keepdims=True)), np.float32(EPSILON))
    return scaled


def _layer(weights: Mapping[str, Floats], name: str, heads: int) -> Layer:
    return Layer(
        heads,
        _dense(weights, f"{name}.attention.self.query"),
        _dense(weights, f"{name}.attention.self.key"),
        _dense(weights, f"{name}.attention.self.value"),
        _dense(weights, f"{name}.attention.output.dense"),
        _norm(weights, f"{name}.attention.output.LayerNorm"),
        _dense(weights, f"{name}.intermediate.dense"),
        _dense(weights, f"{name}.output.dense"),
        _norm(weights, f"{name}.output.LayerNorm"),
    )


def _dense(weights: Mapping[str, Floats], name: str) -> Dense:
    return Dense(np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"])


def _norm(weights: Mapping[str, Floats], name: str) -> Norm:
    return Norm(weights[f"{name}.weight"], weights[f"{name}.bias"])
