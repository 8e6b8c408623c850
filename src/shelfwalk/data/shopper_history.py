"""A shopper's history as a user hands it in: item ids, most recent first.

In: the ids, and those of the catalogue. Out: rows of the catalogue; or the sentence that says which id is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.errors import UserError

Rows = npt.NDArray[np.int32]


def no_history() -> Rows:
    """The history of a shopper of whom nothing is known, int32 [0]."""
    return np.empty(0, np.int32)


def history_rows(item_ids: pa.ChunkedArray, history: Sequence[str]) -> Rows:
    """The catalogue rows of a shopper's items, int32 [different items], in their order; one named twice counts once.

    Raises UserError that names the first id which is not in the catalogue.
    """
    if not len(history):
        return no_history()
    named = pa.array(dict.fromkeys(history), pa.string())
    # The catalogue is looked through for the few, as an index of all of it would be made for one search.
    rows = pc.indices_nonzero(pc.is_in(item_ids, value_set=named))
    places = pc.index_in(named, value_set=item_ids.take(rows).combine_chunks())
    if places.null_count:
        unknown = named.filter(pc.is_null(places))[0].as_py()
        raise UserError(
            f'The shopper\'s history names an item that is not in the catalogue, "{unknown}": leave it out, or check '
            "that the ids are those of the items file."
        )
    return np.asarray(rows.take(places).to_numpy(), np.int32)
