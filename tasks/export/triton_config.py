"""config.pbtxt, as Triton's ONNX Runtime backend reads it: inputs, outputs, batching, warm-up.

A row's single value has no dimension in the graph, and Triton wants one: [1] for clients, reshaped to none
before the graph. Classes go beside the probabilities, so that clients may ask for the strongest by name.
"""

import json
import re

from tasks.export.model_facts import Facts

LABELS = "labels.txt"
MAX_ROWS = 64
DELAY_US = 500
"""How long a row waits for others."""
WARM_UPS = (1, MAX_ROWS)
TYPES = {
    "bool": "TYPE_BOOL",
    "str": "TYPE_STRING",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
}
TYPES |= {
    f"{sign}int{bits}": f"TYPE_{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
Output = tuple[str, str, list[int]]
"""Name, numpy dtype, shape of one row."""


def server_name(project: str) -> str:
    """A project's name as a folder's and a URL's."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", project)


def labels_text(classes: list[str]) -> str:
    """A line a class; a line break in one becomes a blank, as a line is a class."""
    return "".join(f"{' '.join(each.split())}\n" for each in classes)


def config_text(facts: Facts, outputs: list[Output]) -> str:
    """The text of config.pbtxt."""
    inputs = [tensor(each["name"], each["dtype"], each["shape"]) for each in facts["inputs"]]
    classes = facts["classes"]
    given = [
        tensor(name, dtype, shape, LABELS if classes and shape == [len(classes)] else None)
        for name, dtype, shape in outputs
    ]
    parts = [
        f"name: {quoted(server_name(facts['project']))}",
        'backend: "onnxruntime"',
        f"max_batch_size: {MAX_ROWS}",
        f"input [\n{','.join(inputs)}\n]",
        f"output [\n{','.join(given)}\n]",
        f"dynamic_batching {{\n  max_queue_delay_microseconds: {DELAY_US}\n}}",
        "instance_group [\n  {\n    kind: KIND_AUTO\n  }\n]",
        *(warm_up(rows, facts) for rows in WARM_UPS),
        *(parameter(name, facts[name]) for name in ("title", "graph_digest")),
    ]
    return "\n".join(parts) + "\n"


def tensor(name: str, dtype: str, shape: list[int], labels: str | None = None) -> str:
    """One input or output."""
    lines = [f"name: {quoted(name)}", f"data_type: {TYPES[dtype]}", f"dims: {shape or [1]}"]
    lines += [] if shape else ["reshape: { shape: [ ] }"]
    lines += [f"label_filename: {quoted(labels)}"] if labels else []
    body = "\n    ".join(lines)
    return f"  {{\n    {body}\n  }}"


def warm_up(rows: int, facts: Facts) -> str:
    """A call of zeros and empty texts before the first client's: the first call of a size is the slowest."""
    inputs = "\n".join(
        f"  inputs {{\n    key: {quoted(each['name'])}\n    value: {{\n      data_type: {TYPES[each['dtype']]}\n"
        f"      dims: {each['shape'] or [1]}\n      zero_data: true\n    }}\n  }}"
        for each in facts["inputs"]
    )
    return f"model_warmup {{\n  name: {quoted(f'{rows} rows')}\n  batch_size: {rows}\n{inputs}\n}}"


def parameter(name: str, value: str) -> str:
    """A fact that Triton keeps and gives back."""
    return f"parameters {{\n  key: {quoted(name)}\n  value: {{ string_value: {quoted(value)} }}\n}}"


def quoted(text: str) -> str:
    """A string as protobuf's text format writes it."""
    return json.dumps(text, ensure_ascii=False)
