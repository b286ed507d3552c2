"""The graph as every build of ONNX Runtime runs it alike, and what the program around it does in its place.

StringNormalizer lowers A to Z alone where the C library is glibc, and letters of every script in a browser,
whose C library is musl; "Ü" would be another token there than in training. So the operator is taken out, and
the program lowers A to Z before it asks the graph.
"""

from typing import Any


def portable(graph: Any) -> set[str]:
    """Changes an onnx.ModelProto; the names of its inputs whose A to Z the program has to lower.

    Raises ValueError where letter case is changed in a way that a program cannot take over.
    """
    taken = {value.name for value in graph.graph.input}
    lowered = set()
    for node in graph.graph.node:
        if node.op_type != "StringNormalizer":
            continue
        settings = {each.name: each for each in node.attribute}
        change = settings["case_change_action"].s.decode() if "case_change_action" in settings else "NONE"
        plain = "stopwords" not in settings or not settings["stopwords"].strings
        if change == "NONE" and plain:
            continue
        readers = sum(node.input[0] in other.input for other in graph.graph.node)
        if change != "LOWER" or not plain or node.input[0] not in taken or readers > 1:
            raise ValueError(
                f"the graph's StringNormalizer {node.name or node.output[0]!r} (case_change_action {change}) cannot be exported: "
                "it changes other letters in a browser than here; only lowering an input, without stop words, can be done outside"
            )
        lowered.add(node.input[0])
        node.op_type = "Identity"
        del node.attribute[:]
    return lowered
