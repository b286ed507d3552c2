"""What a person is told of each row that was answered."""

from collections.abc import Iterator, Sequence
from typing import Any


def answered_rows(
    response: dict[str, Any], count: int, classes: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Each row's answer, its probability where the model gives one, and the id that late labels name.

    response: outputs by the protocol, with flat `data`
    classes: where they are known, each one's probability is told too
    """
    outputs = {output["name"]: output for output in response["outputs"]}
    first, probability = response["outputs"][0], outputs.get("probability")
    for row in range(count):
        found = {"row": row, "answer": outputs["answer"]["data"][row]}
        if probability and len(probability["shape"]) == 2 and first["datatype"].startswith("INT"):
            width = probability["shape"][1]
            values = probability["data"][row * width : (row + 1) * width]
            found["probability"] = values[first["data"][row]]
            if classes and len(classes) == width:
                found["probabilities"] = dict(zip(classes, values, strict=True))
        yield found | {"id": response["id"] if count == 1 else f"{response['id']}#{row}"}
