"""Late labels as a client sends them: one, or a list of them."""

from typing import Any

from tasks.serving.models.model import Signature
from tasks.serving.protocol.refusal import Refusal, shorten

MOST_LABELS = 10_000
"""Of one request: more of them hold up others while they are looked at."""
LABELS_LIMIT = 2 * 2**20
"""Bytes of one request: 10,000 labels with the longest usual ids."""


def labels_of(value: dict[str, Any], signature: Signature) -> list[tuple[str, str]]:
    """Request ids and labels, as text, of a request's JSON object.

    Refuses what is no label of the model, and two labels for one row.
    """
    given = value.get("labels", [value])
    if not isinstance(given, list) or not given:
        raise Refusal(
            400,
            f'labels is {shorten(given)}; want a list such as [{{"request_id": "...", "label": "..."}}]',
        )
    if len(given) > MOST_LABELS:
        raise Refusal(413, f"labels has {len(given)} entries; want at most {MOST_LABELS} a request")
    numeric = signature.classes is None
    pairs = [label_of(each, f"labels[{number}]", numeric) for number, each in enumerate(given)]
    truth: dict[str, str] = {}
    for number, (request_id, label) in enumerate(pairs):
        if wanted := signature.refuses(label):
            raise Refusal(400, f"labels[{number}].label is {shorten(label)}; want {wanted}")
        if truth.setdefault(request_id, label) != label:
            raise Refusal(
                400,
                f"labels[{number}]: request {shorten(request_id)} has label {shorten(truth[request_id])} in the same list",
            )
    return pairs


def label_of(value: Any, where: str, numeric: bool) -> tuple[str, str]:
    """Request id and label, as text, of one late label.

    Where answers are numbers (`numeric`), a label may be a JSON number too.
    """
    fields = value if isinstance(value, dict) else {}
    if numeric and type(fields.get("label")) in (int, float):
        fields = fields | {"label": repr(fields["label"])}
    for name in ("request_id", "label"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise Refusal(
                400,
                f'{where}.{name} is {shorten(fields.get(name))}; want a text, such as {{"request_id": "...", "label": "..."}}',
            )
    return fields["request_id"], fields["label"]
