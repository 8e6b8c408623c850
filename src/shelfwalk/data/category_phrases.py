"""Product-type phrases: finding them in a title and recognising them again in free text.

In: titles with, where known, the maker's model name and the brand. Out: the type phrase of a title ("projector lamp" in
"Sony LMPH400 projector lamp 400 W"), and a `PhraseLexicon` of the phrases of a catalogue that finds the type a text
names ("ink cartridge" in "80 175-ml Cyan DesignJet Ink Cartridge").

Own method, no paper. Titles of open product-content catalogues follow "<brand> <line> <model name> <type phrase>
<specifications>", where the type phrase is the only part in lower case. The rules look at letters' case, at digits and
at three English words ("for", "with", "w/") that end the naming part of a text; everything else is learnt.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shelfwalk.data.plurals import singular

FEWEST_ITEMS = 5
FEWEST_BRANDS = 2
_LONGEST_PHRASE = 5
_PLACEHOLDERS = frozenset({"not categorized", "other"})

_WORD = re.compile(r"[^\W\d_][\w\-/&'’.]*")
_ABBREVIATION = re.compile(r"\(([^()\s\d]+)\)")
_PURPOSE = re.compile(r"\s(?:for\b|with\b|w/)", re.IGNORECASE)
_PART_END = re.compile(r"[,;:()\[\]|*]|\s[-–—+]\s|\S+\(s\)|\S*\d\S*")
_FIRST_CLAUSE = re.compile(r"[^,;|]*")


def title_tail(title: str, name: str, brand: str) -> tuple[str, str]:
    """Split a title into (what stands between brand and tail, what follows the model name).

    The tail is "" where the name is unknown or not in the title.
    """
    rest = title[len(brand) :].strip() if title.lower().startswith(brand.lower()) else title
    start = rest.lower().find(name.lower()) if name else -1
    end = start + len(name) if start >= 0 else len(rest)
    return rest[:end], rest[end:].strip()


def type_phrase(tail: str) -> str:
    """Leading lower-case words of a title's tail, an acronym before them included; "" where there are none.

    An abbreviation in brackets is passed over: "power distribution unit (PDU) Black" gives "power distribution unit".
    """
    words: list[str] = []
    for word in tail.split():
        if word == "&" or (_WORD.fullmatch(word) and (word.islower() or (not words and _is_acronym(word)))):
            words.append(word)
        elif not (words and _ABBREVIATION.fullmatch(word)):
            break
    phrase = " ".join(words)
    return phrase.lower() if any(word.islower() for word in words) and phrase not in _PLACEHOLDERS else ""


def _is_acronym(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def abbreviation(tail: str) -> str:
    """The abbreviation in capitals that follows the type phrase in brackets, in lower case, or ""."""
    words = len(type_phrase(tail).split())
    following = tail.split()[words : words + 1] if words else []
    found = _ABBREVIATION.fullmatch(following[0]) if following else None
    return found.group(1).lower() if found and found.group(1).isupper() else ""


def phrase_key(phrase: str) -> tuple[str, ...]:
    """What the spellings of one phrase share: its words in lower case and in the singular."""
    return tuple(singular(word) for word in phrase.lower().split())


def head_noun(phrase: str) -> str:
    """Last word of a phrase, the first of its alternatives: "power adapter/inverter" gives "adapter"."""
    return phrase.split()[-1].split("/")[0]


@dataclass(frozen=True)
class PhraseLexicon:
    """The type phrases of a catalogue and their head nouns.

    `phrases` maps a key to the commonest spelling; `whole` holds the spellings that stand as type phrases by
    themselves, so that a head noun is not among them unless some title says no more than it ("keyboard", not "cable").
    """

    phrases: dict[tuple[str, ...], str]
    whole: frozenset[str]

    @classmethod
    def of(
        cls, phrases_with_brands: Sequence[tuple[str, str]], abbreviations: Iterable[tuple[str, str]]
    ) -> PhraseLexicon:
        """Build from the (phrase, brand) of every item that has one, and from pairs (abbreviation, phrase).

        A phrase enters with at least `FEWEST_ITEMS` items or `FEWEST_BRANDS` brands, a head noun with `FEWEST_BRANDS`
        brands over all its phrases, so one brand's odd title makes no category.
        """
        whole = _admitted(phrases_with_brands, FEWEST_ITEMS)
        heads = _admitted(
            [(head_noun(phrase), brand) for phrase, brand in phrases_with_brands], len(phrases_with_brands) + 1
        )
        known = heads | whole
        for short, phrase in sorted(abbreviations):
            if phrase_key(phrase) in known:
                known.setdefault(phrase_key(short), known[phrase_key(phrase)])
        joined = {(singular(spelling.replace(" ", "")),): spelling for key, spelling in whole.items() if len(key) == 2}
        return cls(joined | known, frozenset(whole.values()))

    def spelling(self, phrase: str) -> str:
        """The catalogue's commonest spelling of a phrase; the phrase in lower case where it is not known."""
        return self.phrases.get(phrase_key(phrase), phrase.lower())

    def find(self, text: str) -> str:
        """The phrase that ends last in the first part of a text that holds one ("" if none), the longest such.

        Only the text before "for" or "with" counts, since what follows says what the product is for, not what it is;
        parts end at punctuation, at words with a digit and at units such as "sheet(s)".
        """
        for part in _PART_END.split(_PURPOSE.split(text, maxsplit=1)[0]):
            words = tuple(singular(word.rstrip(".")) for word in _WORD.findall(part.lower()))
            for end in range(len(words), 0, -1):
                for start in range(max(0, end - _LONGEST_PHRASE), end):
                    if words[start:end] in self.phrases:
                        return self.phrases[words[start:end]]
        return ""

    def find_in_first_clause(self, text: str) -> str:
        """`find` in the text before the first comma or semicolon: behind it stand specifications."""
        return self.find(_FIRST_CLAUSE.match(text).group())  # type: ignore[union-attr]

    def longest_ending(self, phrase: str) -> str:
        """The longest ending of a phrase that is known, or "": "Jigsaw puzzle" gives "puzzle"."""
        key = phrase_key(phrase)
        return next((self.phrases[key[start:]] for start in range(len(key)) if key[start:] in self.phrases), "")


def _admitted(phrases_with_brands: Iterable[tuple[str, str]], enough_items: int) -> dict[tuple[str, ...], str]:
    """Key to commonest spelling of the phrases with `enough_items` items or `FEWEST_BRANDS` brands."""
    spellings: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    brands: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for phrase, brand in phrases_with_brands:
        key = phrase_key(phrase)
        spellings[key][phrase] += 1
        brands[key].add(brand)
    return {
        key: min(counts.items(), key=lambda entry: (-entry[1], entry[0]))[0]
        for key, counts in spellings.items()
        if counts.total() >= enough_items or len(brands[key]) >= FEWEST_BRANDS
    }
