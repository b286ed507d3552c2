"""What a program around the graph has to know.

The bundle's signature, and what else in the bundle tells how rows are read.
"""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from infra.files import digest, read_json
from tasks.production.drift_reference import INPUTS
from tasks.production.protocol_dtypes import DATATYPES
from tasks.rows.raw import MAX_TEXT, TEXT

UNKNOWN_DTYPES = ("float16",)
"""That neither JavaScript nor C has."""
BRIGHT = 127
"""Mean grey level from which training images are taken for dark ink on white."""

Facts = dict[str, Any]
"""As model.json holds them; see `model_facts`."""


def model_facts(bundle: Path, title: str, version: int | None = None) -> Facts:
    """The facts of a bundle's graph, as JSON.

    title; project; version in the registry (0 for a bundle that was never released); graph_digest, the
    bundle's; inputs, each with name, dtype, shape of one row, kind (number, category, text, date, image or
    json: how a person gives it), categories and usual (or None), and lowered, whether the program lowers its
    A to Z (see portable_graph.py); outputs; classes (or None); image (resize, background and whether ink is
    dark, or None); longest_text.

    Raises ValueError naming the bundle and what is wrong with it.
    """
    for name in ("model.onnx", "signature.json", "lineage.json"):
        if not (bundle / name).is_file():
            raise ValueError(
                f"{bundle}: has no {name}; want a bundle, a folder with model.onnx, signature.json and lineage.json"
            )
    signature = read_json(bundle / "signature.json")
    if (found := digest(bundle / "model.onnx")) != signature["graph_digest"]:
        raise ValueError(
            f"{bundle}: model.onnx has the digest {found[:12]}, signature.json says {signature['graph_digest'][:12]}; "
            "restore the bundle, or have it made again"
        )
    section = read_json(bundle / "lineage.json").get("config", {}).get("intake", {})
    trained = signature.get("training_values", {})
    inputs = [
        input_facts(each, trained.get(each["name"], {}), section, bundle) for each in signature["inputs"]
    ]
    is_image = [each["kind"] for each in inputs] == ["image"]
    return {
        "title": title,
        "project": signature.get("project", title),
        "version": version or 0,
        "graph_digest": signature["graph_digest"],
        "inputs": inputs,
        "outputs": signature["outputs"],
        "classes": signature["classes"],
        "image": image_facts(bundle, section) if is_image else None,
        "longest_text": MAX_TEXT,
    }


def input_facts(taken: Facts, trained: Facts, section: Facts, bundle: Path) -> Facts:
    """One input. Raises ValueError for a dtype or shape that the programs cannot give."""
    name, dtype, shape = taken["name"], taken["dtype"], taken["shape"]
    if dtype not in DATATYPES or dtype in UNKNOWN_DTYPES:
        allowed = ", ".join(each for each in DATATYPES if each not in UNKNOWN_DTYPES)
        raise ValueError(f"{bundle}: input {name!r} is {dtype}; an exported program takes {allowed}")
    if any(size < 1 for size in shape):
        raise ValueError(
            f"{bundle}: input {name!r} has the shape {shape}; an exported program wants fixed sizes"
        )
    categories = trained.get("categories")
    return {
        "name": name,
        "dtype": dtype,
        "shape": shape,
        "kind": kind_of(taken, categories, section.get("dates", ())),
        "categories": categories,
        "usual": trained.get("usual"),
        "lowered": False,
    }


def kind_of(taken: Facts, categories: list[str] | None, dates: tuple[str, ...]) -> str:
    """How a person gives an input."""
    dtype, shape = taken["dtype"], taken["shape"]
    if not shape:
        if dtype == TEXT:
            return "text" if categories is None else "category"
        return "date" if taken["name"] in dates else "json" if dtype == "bool" else "number"
    return "image" if dtype == "uint8" and len(shape) == 3 and shape[2] in (1, 3) else "json"


def image_facts(bundle: Path, section: Facts) -> Facts:
    """How a person's picture becomes one of the model's.

    The intake's rules, and what a drawing looks like.
    """
    dark_ink = False
    if (bundle / INPUTS).is_file():
        described = pq.read_table(bundle / INPUTS)
        if "brightness" in described.column_names:
            dark_ink = float(described["brightness"].to_numpy().mean()) > BRIGHT
    return {
        "resize": section.get("resize", "stretch"),
        "background": section.get("background", 255),
        "dark_ink": dark_ink,
    }
