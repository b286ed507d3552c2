"""What people send, answered in words: an image, a text, CSV and JSON, alone and in forms."""

import io

import httpx
import numpy as np
import pytest
from PIL import Image

from tasks.production.prediction_log import PredictionLog
from tests.tasks.conftest import DEADLINE_S


def picture(form="PNG", size=(2, 2)):
    """An image file whose first pixel is the brightest."""
    pixels = np.full((size[1], size[0]), 10, np.uint8)
    pixels[0, 0] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def predict(shared, project, content=None, kind=None, query="", **more):
    headers = shared.settings.credential.headers | ({"content-type": kind} if kind else {})
    url = f"{shared.url}/predict/{project}{query}"
    return httpx.post(url, content=content, headers=headers, timeout=DEADLINE_S, **more)


def answers(response):
    assert response.status_code == 200, response.text
    return [row["answer"] for row in response.json()["rows"]]


def refusal(response):
    return response.status_code, response.json()["error"]


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", None])
def test_an_image_is_answered_in_words_with_probabilities(shared, kind):
    response = predict(shared, "spots", picture(), kind)
    assert answers(response) == ["left"]
    row = response.json()["rows"][0]
    assert sorted(row["probabilities"]) == ["left", "middle", "right"]
    assert row["probability"] == row["probabilities"]["left"]
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert (response.json()["model"], response.json()["version"]) == ("spots", "1")


def test_an_image_in_a_form_is_answered_and_what_was_changed_of_it_is_said(shared):
    response = predict(shared, "spots", files={"file": ("a.bmp", picture("BMP", (4, 4)), "image/bmp")})
    assert answers(response) == ["left"]
    assert response.json()["notices"] == [
        "the image is 4 x 4 pixels, made 2 x 2 (intake.resize: stretch)",
    ]


def test_pixels_in_json_are_answered(shared):
    assert answers(predict(shared, "spots", b"[[200, 0, 0, 0], [0, 0, 200, 0]]", "application/json")) == [
        "left",
        "right",
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"spam", "text/plain"),
        (b"spam", None),
        (b'"spam"', "application/json"),
        (b'{"text": "spam"}', "application/json; charset=utf-8"),
        (b"text=spam", "application/x-www-form-urlencoded"),
        (b'{"text": "spam"}', "application/x-www-form-urlencoded"),
        (b"text\nspam\n", "text/csv"),
    ],
)
def test_a_text_is_answered_however_it_is_sent(shared, content, kind):
    assert answers(predict(shared, "notes", content, kind)) == ["spam"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"text;size\nspam;1\nham;2,\n".replace(b",", b""), "text/csv"),
        (b"size,text\n1,spam\n2,ham\n", None),
        (b'[{"text": "spam", "size": 1}, {"text": "ham", "size": "2"}]', "application/json"),
        (b'{"text": "spam", "size": 1}\n{"text": "ham", "size": 2}\n', "application/x-ndjson"),
        (b'[["spam", 1], ["ham", 2]]', "application/json"),
    ],
)
def test_rows_of_columns_are_answered_however_they_are_sent(shared, content, kind):
    response = predict(shared, "words", content, kind)
    assert answers(response) == ["spam", "ham"]
    assert response.json()["notices"] == []


def test_a_form_with_a_field_a_column_is_one_row(shared):
    assert answers(predict(shared, "words", data={"text": "spam", "size": "3"})) == ["spam"]
    assert answers(predict(shared, "words", files={"text": (None, "spam"), "size": (None, "3")})) == ["spam"]


def test_a_file_of_a_form_is_read_by_its_name(shared):
    rows = ("rows.jsonl", b'{"text": "spam", "size": 1}\n', "application/octet-stream")
    assert answers(predict(shared, "words", files={"file": rows})) == ["spam"]


def test_a_missing_column_is_refused_unless_the_client_says_that_it_may_be_missing(shared):
    status, text = refusal(predict(shared, "words", b'{"text": "spam"}', "application/json"))
    assert status == 400
    assert text.startswith("the body: no column 'size'; want text, size, such as")
    assert "over HTTP ?allow-missing=true" in text
    response = predict(shared, "words", b'{"text": "spam"}', "application/json", "?allow-missing=true")
    assert answers(response) == ["spam"]
    assert "input 'size': row 0 has no value" in response.json()["notices"]


@pytest.mark.parametrize(
    ("project", "content", "kind", "status", "text"),
    [
        ("dots", b"", None, 404, "no model 'dots'"),
        ("spots", b"no image", "image/png", 400, "the body: is no image that can be read; want PNG, JPEG"),
        ("spots", b"%!PS-Adobe-3.0 EPSF-3.0\n", None, 400, "the body: is no image that can be read"),
        ("spots", b"", None, 400, "the body: is no image that can be read"),
        (
            "spots",
            b"[[1, 2]]",
            "application/json",
            400,
            "the body, row 0: [1, 2]: want (2, 2, 1) whole numbers",
        ),
        ("words", b"", None, 400, "the body: holds no rows"),
        ("words", b"{", "application/json", 400, "the body: not JSON"),
        ("words", b"[" * 100_000, "application/json", 400, "the body: lists or objects are too deep"),
        ("words", b"\xff", "text/csv", 400, "the body: byte 0 is not utf-8; save it as utf-8"),
        (
            "words",
            b'{"text": "a", "size": "big"}',
            "application/json",
            400,
            "row 0: size is 'big'; want a number",
        ),
        ("words", b'{"text": "a", "size": NaN}', "application/json", 400, "NaN is no JSON value"),
        ("words", picture(), "image/png", 415, "Content-Type is 'image/png'; this model takes text/csv"),
        ("words", b"text=a&text=b", "application/x-www-form-urlencoded", 400, "the form has 'text' twice"),
        ("words", b"x", "multipart/form-data", 400, "want multipart/form-data with its boundary"),
        ("words", b"x", "multipart/form-data; boundary=y", 400, "the body is not multipart/form-data"),
        ("notes", b"\xff\xfe", "text/plain", 400, "the body: byte 0 is not UTF-8; send the text in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_could(shared, project, content, kind, status, text):
    found, told = refusal(predict(shared, project, content, kind))
    assert (found, text in told) == (status, True), told


@pytest.mark.parametrize(("side", "told"), [(8_000, "8000 x 8000 pixels"), (20_000, "far too large")])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_in_memory(shared, side, told):
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    status, text = refusal(predict(shared, "spots", file.getvalue(), "image/png"))
    assert status == 413
    assert text == f"the body: is {told}; want at most 40000000 pixels, so make it smaller"


def test_more_rows_than_one_request_may_have_are_refused_with_what_takes_them(shared):
    content = b"text,size\n" + b"ham,1\n" * 1025
    status, text = refusal(predict(shared, "words", content, "text/csv"))
    assert (status, text) == (
        413,
        "1025 rows; want at most 1024 at once: `gyre score words` takes any number",
    )


@pytest.mark.parametrize("kind", ["text/csv", "application/json", "application/x-www-form-urlencoded"])
def test_more_text_than_is_read_at_once_is_refused(shared, kind):
    status, text = refusal(predict(shared, "words", b"text=" + b"a" * 3_000_000, kind))
    assert status == 413
    assert text.startswith("the body: has 3000005 bytes; want at most 2097152 at once")


def test_a_query_that_is_not_understood_is_refused(shared):
    assert refusal(predict(shared, "notes", b"spam", query="?loud=1")) == (
        400,
        "the query: 'loud' is not understood; known: allow-missing, log",
    )
    assert refusal(predict(shared, "notes", b"spam", query="?log=perhaps")) == (
        400,
        "the query's log is 'perhaps'; want true or false",
    )


def test_predictions_of_people_are_logged_with_the_ids_that_they_are_told(server, served):
    server.release(served(1, turn=0))
    first = predict(server, "spots", picture()).json()["rows"][0]["id"]
    predict(server, "spots", picture(), query="?log=false")
    anybody = httpx.post(f"{server.url}/predict/spots", content=picture(), timeout=DEADLINE_S)
    assert "answered but not logged" in anybody.json()["notices"][0]
    with server.client() as client:
        client.label({first: "left"})
    server.stop()
    log = PredictionLog(server.settings.home / "predictions" / "spots")
    assert log.latest(10)["request_id"].tolist() == [first]
