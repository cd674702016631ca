"""Terms of a text and of a question: words for alphabets, pairs of characters for Chinese. Pure.

    "Bearing P-101 轴承磨损"  →  bearing  p-101  p  101  p101  轴承  承磨  磨损  损

A question asks for every word by its beginning; a word that nobody wrote is replaced by the known ones nearest to it;
of a Chinese run one wrong character is forgiven.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af\U00020000-\U0003ffff"
PIECE = re.compile(rf"[{HAN}]+|[^\W_{HAN}]+(?:[-_./][^\W_{HAN}]+)*")
IS_HAN = re.compile(rf"[{HAN}]")
JOINTS = re.compile(r"[-_./]")
LONGEST_TERM = 64
MOST_TERMS = 4000  # of a document
MOST_WORDS = 12  # of a question
FUZZY_FROM = 4  # letters: shorter words have too many neighbours


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a question, and the known words that may have been meant (itself not among them)."""

    text: str
    meant: tuple[str, ...] = ()


def pieces(text: str) -> list[str]:
    """Words and Chinese runs, folded so that case, width and accents of form make no difference."""
    return PIECE.findall(unicodedata.normalize("NFKC", text).casefold())


def is_han(piece: str) -> bool:
    return bool(IS_HAN.match(piece))


def terms(text: str) -> list[str]:
    """The terms under which a text is found; each once, in order."""
    found: dict[str, None] = {}
    for piece in pieces(text):
        found.update(dict.fromkeys(_han(piece) if is_han(piece) else _word(piece)))
        if len(found) >= MOST_TERMS:
            break
    return [term[:LONGEST_TERM] for term in found][:MOST_TERMS]


def _han(run: str) -> list[str]:
    return [*(run[at : at + 2] for at in range(len(run) - 1)), run[-1]]


def _word(word: str) -> list[str]:
    parts = JOINTS.split(word)
    if len(parts) == 1:
        return [word, *_bare(word)]
    return [word, "".join(parts), *parts, *(bare for part in parts for bare in _bare(part))]


def _bare(part: str) -> list[str]:
    """A number is also found without its leading zeros."""
    return [part.lstrip("0")] if part.startswith("0") and part.strip("0") else []


def vector(heading: Iterable[str], rest: Iterable[str]) -> str:
    """The terms as PostgreSQL reads a tsvector; those of the heading weigh more (A)."""
    first = dict.fromkeys(term for text in heading for term in terms(text))
    others = dict.fromkeys(term for text in rest for term in terms(text) if term not in first)
    return " ".join([*(f"{quoted(term)}:1A" for term in first), *(f"{quoted(term)}:1" for term in others)])


def quoted(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def vocabulary(texts: Iterable[str]) -> list[str]:
    """The words of these texts that a misspelt word may be compared with: letters alone, neither short nor endless."""
    words = {part for text in texts for piece in pieces(text) for part in JOINTS.split(piece)}
    return sorted(word for word in words if spellable(word))


def spellable(word: str) -> bool:
    return FUZZY_FROM <= len(word) <= 32 and word.isalpha() and not is_han(word)


def grams(word: str) -> list[str]:
    """The word's groups of three letters, its ends included."""
    padded = f"  {word} "
    return sorted({padded[at : at + 3].replace(" ", "_") for at in range(len(padded) - 2)})


def nearest(word: str, known: Sequence[str], *, most: int = 6) -> tuple[str, ...]:
    """The known words within one or two slips of the pen (four to six letters: one), the nearest first."""
    allowed = 1 if len(word) <= 6 else 2
    near = [(slips(word, other, allowed), other) for other in known if other != word]
    return tuple(other for distance, other in sorted(near) if distance <= allowed)[:most]


def slips(one: str, other: str, most: int) -> int:
    """Letters wrong, missing, too many or swapped; ``most`` + 1 when there are more (optimal string alignment)."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        last, before, row = before, row, [i]
        for j, against in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != against))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == against:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


# -- questions --------------------------------------------------------------------------------------------------------


def asked(text: str) -> list[str]:
    """The words and runs that a question is made of."""
    return list(dict.fromkeys(piece[:LONGEST_TERM] for piece in pieces(text)))[:MOST_WORDS]


def strict(words: Sequence[str]) -> str:
    """Every word, by its beginning; every pair of a Chinese run. As PostgreSQL reads a tsquery; "" asks nothing."""
    return " & ".join(_all_of(word) for word in words)


def tolerant(words: Sequence[Word]) -> str:
    """As :func:`strict`, but what was meant counts as well, and one character of a Chinese run may be wrong."""
    return " & ".join(_some_of(word) for word in words)


def lenient(words: Sequence[Word]) -> str:
    """One of several words may be missing."""
    if len(words) < 2:
        return ""
    return " | ".join(f"({tolerant([*words[:at], *words[at + 1 :]])})" for at in range(len(words)))


def heading(query: str) -> str:
    """The same question to headings alone."""
    return query.replace(":*", ":*A")


def _all_of(word: str) -> str:
    return _pairs(word, leave_out=()) if is_han(word) else f"{quoted(word)}:*"


def _some_of(word: Word) -> str:
    if is_han(word.text):
        choices = [_pairs(word.text, leave_out=()), *_forgiving(word.text)]
    else:
        choices = [f"{quoted(each)}:*" for each in (word.text, *word.meant)]
    return f"({' | '.join(dict.fromkeys(choices))})"


def _pairs(run: str, *, leave_out: tuple[int, ...]) -> str:
    if len(run) == 1:
        return f"{quoted(run)}:*"
    kept = [run[at : at + 2] for at in range(len(run) - 1) if at not in leave_out]
    return "(" + " & ".join(f"{quoted(pair)}:*" for pair in kept) + ")" if kept else ""


def _forgiving(run: str) -> list[str]:
    """A wrong character spoils the pairs on both its sides; at least one of them has to be left."""
    found = [_pairs(run, leave_out=(at - 1, at)) for at in range(len(run))] if len(run) > 2 else []
    return [each for each in found if each]


LONGEST_LINE = 1000
MARKS = (
    (re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)"), r"\1"),  # links and pictures: what they say
    (re.compile(r"^\s{0,3}(?:#{1,6}\s+|>\s?|[-*+]\s+|```.*$|(?:[-*_]\s*){3,}$)"), ""),  # what begins a line
    (re.compile(r"(\*\*|__|~~|`)(?=\S)(.+?)(?<=\S)\1"), r"\2"),  # what is set off
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])"), r"\1"),
)


def plain(markdown: str) -> str:
    """A Markdown text as it is read, without its marks; a line that is longer than any prose stays as it is."""
    lines = markdown.split("\n")
    return "\n".join(_bare_line(line) if len(line) <= LONGEST_LINE else line for line in lines)


def _bare_line(line: str) -> str:
    for pattern, kept in MARKS:
        line = pattern.sub(kept, line)
    return line


def excerpt(text: str, words: Sequence[str], *, width: int = 160) -> str:
    """The part of a text around the first word that was asked for; its beginning where none is found."""
    flat = " ".join(text.split())
    folded = flat.casefold()
    at = min((found for word in words if (found := folded.find(word[:2] if is_han(word) else word)) >= 0), default=0)
    start = max(0, at - width // 3)
    return ("…" if start else "") + flat[start : start + width] + ("…" if start + width < len(flat) else "")


def texts_of(fields: Mapping[str, object]) -> list[str]:
    """What custom fields say, as texts."""
    return [str(value) for value in fields.values() if isinstance(value, str | int | float) and value is not True]
