"""Why an answer: the words, columns and patches that it falls with."""

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from flows.predict import explain_rows
from tasks.production.inference_client import InferenceClient
from tasks.rows.raw import TensorSpec, rows_from
from tasks.serving.explain.occlusion import MOST_PARTS, MOST_ROWS, Occlusion
from tasks.serving.models.model import Signature
from tests.tasks.conftest import DEADLINE_S
from tests.tasks.serving.rest.test_predict import picture


def explain(shared, project, content, kind):
    headers = shared.settings.credential.headers | {"content-type": kind}
    found = httpx.post(
        f"{shared.url}/explain/{project}", content=content, headers=headers, timeout=DEADLINE_S
    )
    assert found.status_code == 200, found.text
    assert found.json()["notices"] == []
    return found.json()["rows"]


def test_the_patch_that_decides_an_image_is_the_heaviest_and_is_drawn_red(shared):
    (row,) = explain(shared, "spots", picture(), "image/png")
    assert (row["answer"], row["weights"][0]["box"]) == ("left", [0, 0, 1, 1])
    assert row["weights"][0]["weight"] > 0
    drawn = Image.open(io.BytesIO(base64.b64decode(row["picture"].partition(",")[2])))
    red, _, blue = drawn.getpixel((0, 0))
    assert red > blue


def test_columns_weigh_as_much_as_the_answer_falls_without_them(shared):
    (row,) = explain(shared, "words", b'{"text": "spam", "size": 3}', "application/json")
    told = {each["part"]: (each["value"], each["weight"]) for each in row["weights"]}
    assert told == {"text": ("spam", 1.0), "size": (3.0, 0.0)}


def test_a_word_is_told_with_its_place_in_the_text(shared):
    (row,) = explain(shared, "notes", b" spam ", "text/plain")
    assert [(each["part"], each["span"]) for each in row["weights"]] == [("spam", [1, 5])]


def test_a_file_of_rows_is_explained_for_the_command_line(shared, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("text,size\nspam,1\nham,2\n")
    with InferenceClient(shared.url, "words") as client:
        told = explain_rows(client, file)
    assert [row["answer"] for row in told["rows"]] == ["spam", "ham"]
    with pytest.raises(ValueError, match="no such file; want CSV"):
        explain_rows(client, tmp_path / "none.csv")


def test_more_rows_than_fit_one_request_are_refused(shared):
    found = httpx.post(
        f"{shared.url}/explain/notes",
        content="text\n" + "spam\n" * (MOST_ROWS + 1),
        headers=shared.settings.credential.headers | {"content-type": "text/csv"},
        timeout=DEADLINE_S,
    )
    wanted = f"{MOST_ROWS + 1} rows; want at most {MOST_ROWS} to be explained at once"
    assert (found.status_code, found.json()["error"]) == (413, wanted)


@pytest.mark.parametrize("words", [0, 1, MOST_PARTS, MOST_PARTS + 1, 5 * MOST_PARTS + 3])
def test_every_word_of_a_text_however_long_is_hidden_once(words):
    inputs = (TensorSpec("text", "str", ()),)
    text = " ".join(f"w{number}" for number in range(words))
    occlusion = Occlusion()
    asked = occlusion.hide(
        rows_from(inputs, {"text": np.array([text], object)}), Signature(inputs, (), None), []
    )
    (parts,) = occlusion.parts
    assert len(parts) <= MOST_PARTS
    assert " ".join(part.name for part in parts) == text
    assert asked["text"][0] == text
    assert all(len(hidden) < len(text) for hidden in asked["text"][1:])
