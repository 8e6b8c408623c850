"""The one exception for mistakes that a user can make.

Every part raises it with one clear sentence (what is wrong, where, what to do); the command line prints that sentence
and exits with status 2. Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the input, the settings or the call; the message is one sentence fit to print."""
