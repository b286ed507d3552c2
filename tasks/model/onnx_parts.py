"""The two parts of a graph.

The prefix, which encodes raw rows, and the core, which torch exported and quantization changes.
"""

from typing import Any

from tasks.intake.encoder import ENCODED, Encoder


def with_prefix(core: Any, encoder: Encoder) -> Any:
    """An onnx.ModelProto that takes raw rows, of one that takes encoded rows."""
    from onnx import helper

    opsets = {each.domain: each.version for each in core.opset_import}
    prefix = encoder.prefix(opsets)
    if prefix is None:
        return core
    rename(core.graph)
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return join_graphs(helper.make_model(prefix, opset_imports=imports, ir_version=core.ir_version), core)


def join_graphs(prefix: Any, core: Any) -> Any:
    """Both parts as one graph; what lies between keeps its type, so that they can be taken apart again."""
    import onnx
    from onnx import compose, helper

    # The core's version of ONNX counts: the prefix's operators are older than any that it may have.
    opsets = {each.domain: each.version for part in (prefix, core) for each in part.opset_import}
    between = onnx.ValueInfoProto()
    parts: list[Any] = []
    between.CopyFrom(prefix.graph.output[0])
    for part in (prefix, core):
        parts.append(onnx.ModelProto())
        parts[-1].CopyFrom(part)
        del parts[-1].opset_import[:]
        parts[-1].opset_import.extend(
            helper.make_opsetid(domain, version) for domain, version in opsets.items()
        )
        parts[-1].ir_version = core.ir_version
    whole = compose.merge_models(parts[0], parts[1], io_map=[(ENCODED, ENCODED)])
    del whole.graph.value_info[:], whole.opset_import[:]
    whole.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in opsets.items())
    whole.graph.value_info.extend(
        [between, *(each for each in core.graph.value_info if each.name != ENCODED)]
    )
    whole.producer_name, whole.graph.name = core.producer_name, core.graph.name
    return whole


def rename(graph: Any) -> None:
    """Calls the one input ENCODED, and gives everything inside a name that no column has."""
    outputs = {value.name for value in graph.output}
    names = {graph.input[0].name: ENCODED}
    for name in [
        *(each.name for each in graph.initializer),
        *(name for node in graph.node for name in node.output),
    ]:
        if name and name not in outputs:
            names[name] = f"net.{name}"
    for node in graph.node:
        node.name = f"net.{node.name}"
        for at, name in enumerate(node.input):
            node.input[at] = names.get(name, name)
        for at, name in enumerate(node.output):
            node.output[at] = names.get(name, name)
    for value in (*graph.initializer, *graph.value_info, *graph.input):
        value.name = names.get(value.name, value.name)


def split(whole: Any) -> tuple[Any | None, Any]:
    """Prefix and core of a graph as two models; no prefix where the graph takes encoded rows itself."""
    import onnx

    nodes = list(whole.graph.node)
    ends = [number for number, node in enumerate(nodes) if ENCODED in node.output]
    if not ends:
        return None, whole
    between = next(value for value in whole.graph.value_info if value.name == ENCODED)
    front, core = onnx.ModelProto(), onnx.ModelProto()
    for part, kept in ((front, nodes[: ends[0] + 1]), (core, nodes[ends[0] + 1 :])):
        part.CopyFrom(whole)
        del part.graph.node[:], part.graph.initializer[:], part.graph.value_info[:]
        made = {name for node in kept for name in node.output}
        part.graph.value_info.extend(each for each in whole.graph.value_info if each.name in made - {ENCODED})
        part.graph.node.extend(kept)
        used = {name for node in kept for name in node.input}
        part.graph.initializer.extend(each for each in whole.graph.initializer if each.name in used)
    del front.graph.output[:], core.graph.input[:]
    front.graph.output.append(between)
    core.graph.input.append(between)
    return front, core
