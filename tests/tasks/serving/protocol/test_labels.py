"""Late labels are taken as they were sent, or refused with their place."""

import pytest

from tasks.serving.models.model import Signature
from tasks.serving.protocol.labels import labels_of
from tasks.serving.protocol.refusal import Refusal

KINDS = Signature((), (), ("cat", "dog"))
NUMBERS = Signature((), (), None)


def test_one_label_and_a_list_of_them_are_taken():
    one = {"request_id": "a", "label": "cat"}
    assert labels_of(one, KINDS) == [("a", "cat")]
    assert labels_of({"labels": [one, {"request_id": "b", "label": "dog"}, one]}, KINDS) == [
        ("a", "cat"),
        ("b", "dog"),
        ("a", "cat"),
    ]


def test_where_answers_are_numbers_a_label_may_be_one():
    assert labels_of({"request_id": "a", "label": 12.5}, NUMBERS) == [("a", "12.5")]
    with pytest.raises(Refusal, match=r"^labels\[0\]\.label is 1; want a text, such as"):
        labels_of({"request_id": "a", "label": 1}, KINDS)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"labels": []}, r"^labels is \[\]; want a list such as"),
        ({"labels": "cat"}, r"^labels is 'cat'; want a list such as"),
        ({"label": "cat"}, r"^labels\[0\]\.request_id is missing; want a text"),
        ({"request_id": "a", "label": "bird"}, r"^labels\[0\]\.label is 'bird'; want one of cat, dog"),
    ],
)
def test_what_is_no_label_is_refused_with_its_place(value, told):
    with pytest.raises(Refusal, match=told):
        labels_of(value, KINDS)


def test_two_labels_for_one_row_are_refused():
    rows = [{"request_id": "a", "label": kind} for kind in ("cat", "dog")]
    with pytest.raises(Refusal, match=r"^labels\[1\]: request 'a' has label 'cat' in the same list"):
        labels_of({"labels": rows}, KINDS)
