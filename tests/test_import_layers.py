"""Imports go one way: a room imports from the rooms above it, and what a search loads is light at its top.

The sources are read, not run, so that an import inside a function counts for the order as well.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import shelfwalk

SOURCES = Path(shelfwalk.__file__).parent
GROUND = ("version", "errors", "files", "processes", "settings")
"""Modules beside the rooms, which every room may import."""
ROOMS = (
    "data",
    "encoders",
    "tokenizers",
    "constraints",
    "generators",
    "ranking",
    "channels",
    "recipes",
    "shelf",
    "market",
    "evaluation",
)
TOP = ("tables_from_files", "terminal", "commands", "cli", "demo", "__init__")
"""Modules beside the rooms that put them together; a later one may import an earlier one."""
LAYERS = (*GROUND, *ROOMS, *TOP)
HEAVY = {"torch", "transformers", "sentence_transformers", "matplotlib", "pandas", "ir_measures", "jinja2", "sklearn"}
SEARCH_PATH = ("shelfwalk.cli", "shelfwalk.terminal", "shelfwalk.shelf.shelf", "shelfwalk.channels.bm25")
SEARCH_PATH += ("shelfwalk.channels.dense", "shelfwalk.channels.generative", "shelfwalk.generators.onnx_generator")
SEARCH_PATH += ("shelfwalk.generators.open_generator", "shelfwalk.generators.seq2seq_generator")
SEARCH_PATH += ("shelfwalk.encoders.onnx", "shelfwalk.constraints.trie", "shelfwalk.recipes.recipe")


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    at_top: bool
    """Runs when the importing module is imported, not later and not for type checkers only."""


def name_of(path: Path) -> str:
    parts = ("shelfwalk", *path.relative_to(SOURCES).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(SOURCES.rglob("*.py"))}


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def imports_in(tree: ast.Module) -> Iterator[Import]:
    def walk(node: ast.AST, at_top: bool) -> Iterator[Import]:
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, at_top and not later and not typing_only)
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room"
            # A submodule may be imported from its package.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (Import(name if name in MODULES else str(node.module), node.lineno, at_top) for name in names)

    yield from walk(tree, True)


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    return tuple(imports_in(ast.parse(MODULES[module].read_text(encoding="utf-8"))))


def test_every_module_is_in_a_known_layer() -> None:
    assert {layer_of(module) for module in MODULES} <= set(LAYERS)
    assert [room for room in ROOMS if not (SOURCES / room / "__init__.py").is_file()] == []


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_from_above_only(layer: str) -> None:
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    wrong = [
        f"{module}, line {imported.line}: imports {imported.module}"
        for module in MODULES
        if layer_of(module) == layer
        for imported in imports_of(module)
        if imported.module.split(".")[0] == "shelfwalk"
        and layer_of(imported.module) not in allowed
        # The package names its one class late, for `from shelfwalk import Shelf`.
        and not (layer == "__init__" and imported.module == "shelfwalk.shelf.shelf")
    ]
    assert wrong == []


def test_the_ground_knows_no_room_and_no_two_modules_need_each_other() -> None:
    for module in MODULES:
        if layer_of(module) in GROUND:
            assert not [imported for imported in imports_of(module) if imported.module.startswith("shelfwalk")], module
    graph = {module: {entry.module for entry in imports_of(module) if entry.at_top} & {*MODULES} for module in MODULES}
    while graph:
        free = [module for module, needed in graph.items() if not needed & (graph.keys() - {module, "shelfwalk"})]
        assert free, f"these modules import one another: {sorted(graph)}"
        for module in free:
            del graph[module]


def reached_at_top(modules: tuple[str, ...]) -> dict[str, str]:
    """All modules of ours that importing these loads, each with one that imports it."""
    reached = dict.fromkeys(modules, "the search path")
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        for imported in imports_of(module):
            if imported.at_top and imported.module in MODULES and imported.module not in reached:
                reached[imported.module] = module
                waiting.append(imported.module)
    return reached


def test_searching_reaches_no_heavy_import() -> None:
    reached = reached_at_top(SEARCH_PATH)
    heavy = [
        f"{module} (imported by {importer}), line {imported.line}: {imported.module}"
        for module, importer in reached.items()
        for imported in imports_of(module)
        if imported.at_top and imported.module.split(".")[0] in HEAVY
    ]
    assert heavy == []
    # The walk found its way: these are reached, and by themselves heavy modules are seen.
    assert {"shelfwalk.shelf.manifest", "shelfwalk.ranking.in_cluster", "shelfwalk.errors"} <= reached.keys()
    assert "torch" in {imported.module for imported in imports_of("shelfwalk.generators.training") if imported.at_top}


def test_reading_imports_tells_late_and_typing_ones_from_others() -> None:
    text = """
import json
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import torch
try:
    import faiss
except ImportError:
    pass
class A:
    import numpy
    def f(self):
        import pandas
"""
    found = {entry.module: entry.at_top for entry in imports_in(ast.parse(text))}
    assert found == {
        "json": True, "typing": True, "torch": False, "faiss": True, "numpy": True, "pandas": False
    }  # fmt: skip


def test_names_of_modules_are_importable() -> None:
    assert all(importlib.util.find_spec(module) is not None for module in MODULES)
