"""The encoder against its definition and, where the extra is installed, against the model's published example."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tickets.knowledge import embedding, encoder
from tickets.knowledge.encoder import Encoder
from tickets.knowledge.meaning import Meaning
from tickets.knowledge.ranking import Document, Ranking

WIDTH, WIDE, HEADS, WORDS = 8, 12, 2, 30
needs_extra = pytest.mark.skipif(
    not embedding.installed(), reason="the embedding extra is not installed (make embedding)"
)


@pytest.fixture(scope="module")
def small() -> Encoder:
    """Two layers of chance."""
    chance = np.random.default_rng(7)
    sizes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (WORDS, WIDTH),
        "embeddings.position_embeddings.weight": (16, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        dense = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        dense |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (WIDE, WIDTH)}
        dense |= {"output.dense": (WIDTH, WIDE)}
        for name, size in dense.items():
            sizes |= {f"{layer}.{name}.weight": size, f"{layer}.{name}.bias": size[:1]}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    sizes |= {f"{norm}.{part}": (WIDTH,) for norm in norms for part in ("weight", "bias")}
    return Encoder.of({name: chance.normal(size=size).astype(np.float32) for name, size in sizes.items()}, heads=HEADS)


def test_a_text_has_the_same_vector_alone_and_beside_longer_ones(small: Encoder) -> None:
    texts = [[3, 1, 4], [1, 5, 9, 2], [6], [5, 3, 5, 8, 9, 7], [3, 1, 4]]
    together = small.vectors(texts)
    alone = np.concatenate([small.vectors([each]) for each in texts])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.array_equal(together[0], together[4]) and not np.allclose(together[0], together[1], atol=0.01)


def test_the_order_of_the_tokens_counts(small: Encoder) -> None:
    assert not np.allclose(small.vectors([[1, 2, 3]]), small.vectors([[3, 2, 1]]), atol=1e-4)


def test_attention_is_what_it_is_defined_to_be(small: Encoder) -> None:
    x = np.random.default_rng(1).normal(size=(1, 3, WIDTH)).astype(np.float32)
    layer = small.layers[0]
    asked, answers, said = (part(x)[0] for part in (layer.asking, layer.answering, layer.saying))
    part = WIDTH // HEADS
    for head in range(HEADS):
        mine = slice(head * part, (head + 1) * part)
        for at in range(3):
            raised = [math.exp(float(asked[at, mine] @ answers[other, mine]) / math.sqrt(part)) for other in range(3)]
            expected = sum(weight / sum(raised) * said[other, mine] for other, weight in enumerate(raised))
            found = layer._attention(x, np.zeros((1, 1, 1, 3), dtype=np.float32))[0, at, mine]
            assert np.allclose(found, expected, atol=1e-5)


def test_gelu_softmax_and_norm() -> None:
    x = np.linspace(-4, 4, 9, dtype=np.float32)
    assert np.allclose(encoder.gelu(x), [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x.tolist()], atol=1e-6)
    assert np.isclose(encoder.softmax(np.array([[1e4, 0.0, -1e9]], dtype=np.float32)).sum(), 1)
    normal = encoder.Norm(np.ones(4, dtype=np.float32), np.zeros(4, dtype=np.float32))
    found = normal(np.array([[1, 2, 3, 6]], dtype=np.float32))
    assert np.isclose(found.mean(), 0, atol=1e-6) and np.isclose(found.std(), 1, atol=1e-5)


def test_batches_hold_each_text_once_and_texts_of_about_one_length() -> None:
    lengths = np.random.default_rng(2).integers(1, 256, 200).tolist()
    found = list(encoder.batches(lengths))
    assert sorted(at for batch in found for at in batch) == list(range(200))
    assert all(len(batch) <= encoder.BATCH for batch in found)
    assert all(max(lengths[a] for a in b) <= encoder.TOGETHER * min(lengths[a] for a in b) + 1 for b in found)
    assert list(encoder.batches([])) == []


def test_meaning_decides_and_words_help_where_it_is_even() -> None:
    ranking = Ranking.of({2: Document("clean the filter"), 1: Document("change the bearing"), 3: Document("oil")})
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    meaning = Meaning(ranking, vectors)
    assert [key for key, _ in meaning.best("the bearing", np.array([1, 0], dtype=np.float32))] == [1, 2, 3]
    assert [key for key, _ in meaning.best("the bearing", np.array([0, 1], dtype=np.float32))] == [3, 1, 2]
    assert meaning.best("nothing alike", np.array([1, 0], dtype=np.float32), most=1, among={3}) == [(3, 0.0)]


@needs_extra
def test_the_published_example_of_the_model() -> None:
    """The model card's two sentences and the vectors that it prints for them."""
    found = _vectors("This is an example sentence", "Each sentence is converted")
    assert np.allclose(found[0, :5], [6.7657e-02, 6.3496e-02, 4.8713e-02, 7.9305e-02, 3.7448e-02], atol=2e-5)
    assert np.allclose(found[1, :5], [8.6439e-02, 1.0276e-01, 5.3946e-03, 2.0444e-03, -9.9634e-03], atol=2e-5)


@needs_extra
def test_paraphrases_are_nearer_than_other_faults() -> None:
    asked, same, other = _vectors("The pump bearing runs hot", "Overheating of the pump's bearings", "A cable is torn")
    assert asked @ same > 0.7 > asked @ other + 0.3


@needs_extra
def test_empty_chinese_and_endless_texts_have_a_vector() -> None:
    found = _vectors("", "轴承过热", "hot " * 10_000)
    assert np.isfinite(found).all() and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def _vectors(*texts: str) -> encoder.Floats:
    embedder = embedding.embedder()
    assert embedder is not None
    return embedder.vectors(texts)
