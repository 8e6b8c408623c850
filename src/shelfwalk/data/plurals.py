"""Folding a plural noun into its singular, word by word.

In: one lower-case word. Out: its singular form, or the word itself.

Method: the S-stemmer (Harman, "How effective is suffixing?", 1991), which touches plural endings and nothing else, so
"extended" and "extender" stay apart. Departures: "-xes", "-zes", "-ches", "-shes" and "-sses" lose "es" ("boxes"), and
words of up to three letters stay as they are ("ups", "dvs").
"""

from __future__ import annotations

_SHORTEST = 4


def singular(word: str) -> str:
    """Singular of a lower-case English noun by its ending; words without a plural ending come back unchanged."""
    if len(word) < _SHORTEST or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else word[:-3] + "y"
    if word.endswith(("xes", "zes", "ches", "shes", "sses")):
        return word[:-2]
    if word.endswith(("us", "ss")):
        return word
    return word[:-1]
