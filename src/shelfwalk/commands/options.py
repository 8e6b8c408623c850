"""Options that several verbs share.

In: the texts of options. Out: what they mean, or one sentence on what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from shelfwalk.errors import UserError

ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="OURS=THEIRS", help="Read our column OURS from the file's column THEIRS. Repeatable."
    ),
]


def column_mapping(columns: Sequence[str] | None) -> dict[str, str]:
    """The `--column OURS=THEIRS` options as a dictionary."""
    mapping = {}
    for column in columns or ():
        ours, equals, theirs = column.partition("=")
        if not (ours and equals and theirs):
            raise UserError(f'--column "{column}" is not of the form OURS=THEIRS, as in --column item_id=product_id.')
        if ours in mapping:
            raise UserError(f"--column names {ours} twice: give each of our columns once.")
        mapping[ours] = theirs
    return mapping
