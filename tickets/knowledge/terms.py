"""What a text is about: stems of words for alphabets, neighbouring characters for Chinese. Pure.

"Bearings overheating 轴承过热"  →  stems  bear overheat 轴承 承过 过热     grams  _be bea ear … 轴 承 过 热
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tickets.search_text import HAN, is_han

PIECE = re.compile(rf"[{HAN}]+|[^\W_{HAN}]+")
LONGEST = 40_000  # characters of a text that are read
LONGEST_WORD = 64
GRAM = 3
FILLING = """a an and any are as at be been but by can could did do does for from get got had has have how i if in into
    is it its me my no not of on or our so that the their them then there these they this to was we were what when where
    which who why will with would you your am about just also than too very some s t re ve ll d m"""
STOP = frozenset(FILLING.split())
STOP_HAN = frozenset("的了是在和就也很着吗呢吧啊么")
ENDINGS = ("ization", "ational", "fulness", "iveness", "ations", "ation", "ingly", "ments", "ment", "ings", "ness",
           "edly", "ing", "ied", "ies", "est", "ers", "ed", "es", "er", "ly", "or", "s", "e", "y")  # fmt: skip
SHORTEST_STEM = 3


@dataclass(frozen=True, slots=True)
class Term:
    """One piece of a text as it is compared, and as it was written."""

    stem: str
    written: str


def terms(text: str) -> Iterator[Term]:
    """Stems and pairs of Chinese characters in the order of the text, repetitions included; filling words left out."""
    for piece in _pieces(text):
        if is_han(piece):
            yield from (Term(pair, pair) for pair in _pairs(piece))
        elif piece not in STOP:
            yield Term(stem(piece), piece)


def characters(text: str) -> Iterator[str]:
    """Single Chinese characters, filling ones left out."""
    return (char for piece in _pieces(text) if is_han(piece) for char in piece if char not in STOP_HAN)


def grams(text: str) -> Iterator[str]:
    """Groups of letters within each word, and Chinese characters: they forgive what is misspelt or composed."""
    yield from characters(text)
    for piece in _pieces(text):
        if not is_han(piece) and piece not in STOP:
            padded = f" {piece} "
            yield from (padded[at : at + GRAM] for at in range(max(1, len(padded) - GRAM + 1)))


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The word without its English ending: crude, but the same for all forms of most words."""
    if not word.isascii() or not word.isalpha():
        return word
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= SHORTEST_STEM and not word.endswith("ss"):
            return stem(_single(word[: -len(ending)]))
    return word


def _single(word: str) -> str:
    """stopp → stop"""
    return word[:-1] if len(word) > SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "aeiou" else word


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


def _pieces(text: str) -> Iterator[str]:
    folded = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    return (found[0] if is_han(found[0]) else found[0][:LONGEST_WORD] for found in PIECE.finditer(folded))
