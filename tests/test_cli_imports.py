"""What each verb loads: searching needs neither torch nor anything else that only building and evaluating need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shelfwalk.channels.names import CHANNELS
from small_shop import SmallShop

HEAVY = ("torch", "transformers", "sentence_transformers", "matplotlib", "pandas", "ir_measures", "jinja2", "onnx")
FORBID = """
import importlib.abc, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {heavy!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Refuse())
from shelfwalk.cli import main
sys.exit(main())
"""


def loaded_by(*arguments: object) -> tuple[str, set[str]]:
    """What a command prints, and the top-level modules that it imported."""
    code = "import json, sys; from shelfwalk.cli import main; status = main(); "
    code += "json.dump(sorted(sys.modules), sys.stderr); sys.exit(status)"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return ran.stdout, {name.split(".")[0] for name in json.loads(ran.stderr)}


@pytest.mark.parametrize("channel", CHANNELS)
def test_searching_loads_what_it_needs_and_no_more(small_shop: SmallShop, channel: str) -> None:
    printed, modules = loaded_by("search", small_shop.shelf, "usb hub", "--channel", channel, "--explain", "--json")
    assert len(json.loads(printed)["results"]) == 10
    assert not modules & set(HEAVY)
    needed = {"bm25": {"bm25s"}, "dense": {"faiss", "onnxruntime"}, "generative": {"onnxruntime"}}.get(channel, set())
    assert needed <= modules


def test_a_shelf_is_searched_where_nothing_more_is_installed(small_shop: SmallShop) -> None:
    code = FORBID.format(heavy=HEAVY)
    command = [sys.executable, "-c", code, "search", str(small_shop.shelf), "usb hub", "--explain"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "usb hub" in ran.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["recipes"], ["recipes", "show", "tiger"]])
def test_help_and_recipes_load_next_to_nothing(arguments: list[str]) -> None:
    printed, modules = loaded_by(*arguments)
    assert printed
    assert not modules & {*HEAVY, "onnxruntime", "faiss", "pyarrow" if "recipes" not in arguments else "torch"}


def test_inspecting_loads_no_model(small_shop: SmallShop) -> None:
    printed, modules = loaded_by("inspect", small_shop.shelf)
    assert "codebook use" in printed
    assert not modules & {*HEAVY, "onnxruntime", "faiss"}


def test_a_refused_call_loads_no_torch(tmp_path: Path) -> None:
    """A misspelt path is told at once, not after the seconds that torch takes to load."""
    code = "import sys; from shelfwalk.cli import main; status = main(); sys.exit('torch' in sys.modules or status)"
    command = [sys.executable, "-c", code, "build", "--items", str(tmp_path / "nowhere.csv"), "--out", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "There is no file" in ran.stderr
