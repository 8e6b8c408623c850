"""Files that are written whole or not at all, and stay on the disk.

In: a path and its content. Out: the file, or, after a crash at any moment, what was there before.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes | memoryview) -> None:
    """Write `content`, text as UTF-8, so that `path` holds its former content or all of the new one, whatever happens.

    Folders that are missing are made. Raises OSError when the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A fixed name: what a crash leaves behind is overwritten by the next attempt.
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except Exception as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            # Whoever reads of it has named `path`, and knows of no other.
            error.filename = str(path)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names inside `folder` (new files, renames) are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until every file and folder below `folder`, and `folder` itself, is on the disk."""
    for parent, _, files in os.walk(folder):
        for name in files:
            with Path(parent, name).open("rb") as stream:
                os.fsync(stream.fileno())
        sync_folder(Path(parent))
