"""The page in a real Chromium.

What is typed, filled in, drawn and uploaded is answered on the device as the model answers it.
"""

import base64
import functools
import io
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnx
import pytest
from PIL import Image

from configs.intake import ImageIntakeConfig
from infra.files import read_json
from tasks.export.trial import graph_answers
from tasks.export.trial_rows import known_words, trial_rows
from tasks.intake import build_intake
from tests.integration.chromium import PROGRAM, browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium on PATH; apt-get install chromium")
CLOSE = 1e-5
SECTION = ImageIntakeConfig(kind="image", height=8, width=8)


class Server(ThreadingHTTPServer):
    """Any server of static files: it knows nothing of the model, and counts what it is asked for."""

    def __init__(self, folder):
        self.asked = []
        server = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_):
                server.asked.append(self.path)

        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))


@pytest.fixture(scope="module")
def server(pages):
    folder = pages["texts"].folder.parent
    with Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


def opened(tab, server, kind):
    """The tab with an exported page that has started."""
    tab.open(f"http://127.0.0.1:{server.server_port}/{kind}/index.html")
    assert tab.run("import('./page.js').then((page) => page.started).then(() => 'started')") == "started"
    return tab


def fill(tab, facts, rows):
    """What the page shows for rows, each typed into the form field by field."""
    texts = [
        ["" if row[each["name"]] is None else str(row[each["name"]]) for each in facts["inputs"]]
        for row in rows
    ]
    return tab.run(
        f"""(async () => {{
            const page = await import('./page.js');
            const found = [];
            for (const texts of {json.dumps(texts)}) {{
                texts.forEach((text, number) => {{ document.getElementById(`field${{number}}`).value = text; }});
                found.push(await page.ask());
            }}
            return found;
        }})()"""
    )


def upload(tab, name, content, kind="image/png"):
    """What the page answers about a file that a person chooses."""
    written = base64.b64encode(content).decode()
    return tab.run(
        f"""(async () => {{
            const bytes = Uint8Array.from(atob("{written}"), (sign) => sign.charCodeAt(0));
            const page = await import('./page.js');
            const answered = await page.takeFile(new File([bytes], "{name}", {{ type: "{kind}" }}));
            return answered ?? {{ error: document.querySelector('#result .refused').textContent }};
        }})()"""
    )


def png(pixels):
    image = io.BytesIO()
    Image.fromarray(pixels).save(image, format="png")
    return image.getvalue()


def compare(found, expected, names):
    for name in names:
        given = np.array([each[name] for each in found], np.float64)
        assert np.abs(given - expected[name]).max() < CLOSE


def test_texts_are_answered_as_onnx_runtime_does_and_nothing_is_asked_of_the_server(
    tab, server, pages, texts
):
    facts = read_json(pages["texts"].folder / "model.json")
    rows = trial_rows(facts, known_words(onnx.load(texts / "model.onnx")))
    # A text box holds no \r and no half characters; the others are typed as they are.
    rows = [{"message": (row["message"] or "").replace("\r", " ")} for row in rows]
    tab = opened(tab, server, "texts")
    asked = len(server.asked)
    found = fill(tab, facts, rows)
    compare(found, graph_answers(texts / "model.onnx", rows, facts), facts["outputs"])
    assert server.asked[asked:] == []


def test_a_form_is_answered_as_onnx_runtime_does(tab, server, pages, table):
    facts = read_json(pages["table"].folder / "model.json")
    # Dates are written as dates, which has a test of its own, and a form cannot tell a blank from nothing.
    rows = [row | {"born": None, "work": (row["work"] or "").strip()} for row in trial_rows(facts, [])]
    found = fill(opened(tab, server, "table"), facts, rows)
    compare(found, graph_answers(table / "model.onnx", rows, facts), facts["outputs"])
    assert any("the row has no value in any input" in told for told in found[-1]["notices"])


def test_a_date_is_read_as_utc_and_a_wrong_value_is_refused_by_its_column(tab, server, pages, table):
    facts = read_json(pages["table"].folder / "model.json")
    row = {"age": "40", "hours per week": "38", "born": "2001-09-09T01:46:40", "work": "Private"}
    tab = opened(tab, server, "table")
    found = fill(
        tab,
        facts,
        [
            row,
            row | {"born": "09.09.2001"},
            row | {"age": "4O"},
            row | {"age": "1e39"},
            row | {"work": "Privat"},
        ],
    )
    typed = row | {"age": 40.0, "hours per week": 38.0, "born": 1e9}
    compare(found[:1], graph_answers(table / "model.onnx", [typed], facts), facts["outputs"])
    assert (
        found[1]["error"]
        == "born is '09.09.2001'; want a date in ISO 8601 such as 2026-01-31T12:00, or nothing"
    )
    assert found[2]["error"].startswith("age is '4O'; want a number such as ")
    assert found[3]["error"] == "input 'age': is 1e+39; want numbers or null (FP32, at most 3.4e+38)"
    assert "did you mean 'Private'?" in found[4]["notices"][0]
    assert tab.run("document.querySelector('#notices li').textContent") == found[4]["notices"][0]


SMALL = """Array.from(document.getElementById('small').getContext('2d').getImageData(0, 0, 8, 8).data)
    .filter((_, at) => at % 4 === 0)"""


def test_uploaded_pictures_are_read_as_the_intake_reads_them_and_answered_alike(tab, server, pages, images):
    facts = read_json(pages["images"].folder / "model.json")
    draw = np.random.default_rng(4)
    pictures = {
        "black": np.zeros((8, 8), np.uint8),
        "white": np.full((8, 8), 255, np.uint8),
        "noise": draw.integers(0, 256, (8, 8), np.uint8),
        "larger": draw.integers(0, 256, (28, 28), np.uint8),
        "flat": draw.integers(0, 256, (5, 31), np.uint8),
        "coloured": draw.integers(0, 256, (40, 23, 3), np.uint8),
    }
    tab = opened(tab, server, "images")
    intake = build_intake(SECTION)
    found = {}
    for name, pixels in pictures.items():
        found[name] = upload(tab, f"{name}.png", png(pixels))
        seen = np.array(tab.run(SMALL))
        wanted = intake.decode(io.BytesIO(png(pixels)))["image"].astype(int).ravel()
        # Pillow may take columns before rows, which rounds otherwise.
        assert np.abs(seen - wanted).max() <= (0 if pixels.shape == (8, 8) else 1)
        expected = graph_answers(images / "model.onnx", [{"image": seen.tolist()}], facts)
        compare([found[name]], expected, facts["outputs"])
        assert found[name]["answer"] == facts["classes"][expected["class"][0]]
    assert [found[name]["notices"] for name in ("black", "white", "noise")] == [[], [], []]
    resized = "the image is 28 x 28 pixels, made 8 x 8 (intake.resize: stretch)"
    assert found["larger"]["notices"] == [resized]
    assert found["coloured"]["notices"][1] == "the image has colours, made grey (intake.channels: 1)"


def test_a_coloured_picture_keeps_its_colours_where_the_model_has_them(tab, server, pages, photos):
    facts = read_json(pages["photos"].folder / "model.json")
    tab = opened(tab, server, "photos")
    assert tab.run("document.getElementById('board')") is None
    content = png(np.random.default_rng(9).integers(0, 256, (8, 8, 3), np.uint8))
    found = upload(tab, "photo.png", content)
    section = SECTION.model_copy(update={"channels": 3, "resize": "crop"})
    row = {"image": build_intake(section).decode(io.BytesIO(content))["image"][0].ravel().tolist()}
    compare([found], graph_answers(photos / "model.onnx", [row], facts), facts["outputs"])
    assert found["notices"] == []


def test_a_picture_of_another_size_is_refused_where_the_intake_says_so(tab, server, pages):
    facts = pages["images"].folder / "model.json"
    kept = facts.read_text()
    facts.write_text(kept.replace('"resize": "stretch"', '"resize": "error"'))
    try:
        found = upload(opened(tab, server, "images"), "large.png", png(np.zeros((9, 8), np.uint8)))
    finally:
        facts.write_text(kept)
    assert found["error"] == "large.png is 8 x 9; want 8 x 8 (intake.resize: error)"


def test_what_is_no_picture_is_refused_by_its_name(tab, server):
    found = upload(opened(tab, server, "images"), "notes.txt", b"no picture", "text/plain")
    assert found["error"].startswith("notes.txt cannot be read as an image")


def test_a_drawing_is_answered_with_its_classes_and_probabilities(tab, server, pages, images):
    facts = read_json(pages["images"].folder / "model.json")
    tab = opened(tab, server, "images")
    tab.run(
        """(async () => {
            const board = document.getElementById('board');
            const frame = board.getBoundingClientRect();
            const send = (kind, x, y) => board.dispatchEvent(new PointerEvent(kind, {
                clientX: frame.left + x * frame.width, clientY: frame.top + y * frame.height, buttons: 1, bubbles: true }));
            send('pointerdown', 0.5, 0.1);
            for (let step = 1; step <= 8; step++) send('pointermove', 0.5, 0.1 + step / 10);
            send('pointerup', 0.5, 0.9);
        })()"""
    )
    pixels = tab.run(SMALL)
    found = tab.run("import('./page.js').then((page) => page.ask())")
    assert np.array(pixels).reshape(8, 8)[4].argmax() in (3, 4)
    assert max(pixels) > 127
    compare([found], graph_answers(images / "model.onnx", [{"image": pixels}], facts), facts["outputs"])
    shown = tab.run(
        "Array.from(document.querySelectorAll('#result td:first-child'), (cell) => cell.textContent)"
    )
    order = np.argsort(-np.array(found["probability"]), kind="stable")
    assert shown == [facts["classes"][index] for index in order]
    assert tab.run("document.querySelector('#result h2').textContent") == found["answer"] == shown[0]


def test_a_damaged_graph_is_told_on_the_page(tab, server, pages):
    graph = pages["texts"].folder / "model.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1])
    try:
        tab.open(f"http://127.0.0.1:{server.server_port}/texts/index.html")
        tab.run("import('./page.js').then((page) => page.started).catch(() => null)")
        told = tab.run("document.getElementById('state').textContent")
    finally:
        graph.write_bytes(whole)
    assert told.startswith("The model could not be started: model.onnx: digest ")


def test_a_page_that_is_opened_as_a_file_says_what_to_do(tab, pages):
    tab.open((pages["texts"].folder / "index.html").as_uri())
    assert tab.run("getComputedStyle(document.getElementById('form')).display") == "none"
    told = tab.run("document.getElementById('state').textContent")
    assert "the page was opened as a file" in told
    assert "python3 -m http.server" in told
