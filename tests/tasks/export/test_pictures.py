"""Pictures in JavaScript beside Pillow's, for each rule about another size."""

import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from configs.intake import ImageIntakeConfig
from tasks.rows.images import resized

SIZES = ((28, 28), (5, 31), (40, 23), (23, 41), (100, 60), (8, 8), (1, 1))
SCRIPT = """const { pixelsOf } = await import(process.argv[1]);
const given = JSON.parse((await import("node:fs")).readFileSync(0));
console.log(JSON.stringify(given.map(([picture, facts]) => pixelsOf(picture, facts).pixels)));"""


@pytest.mark.parametrize("rule", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_resized_picture_is_at_most_one_level_beside_pillows(pages, rule, channels):
    draw = np.random.default_rng(6)
    given, wanted = [], []
    for size in SIZES:
        pixels = draw.integers(0, 256, (*size, 3), np.uint8)
        section = ImageIntakeConfig(
            kind="image", height=12, width=16, channels=channels, resize=rule, background=7
        )
        wanted.append(
            np.asarray(resized(Image.fromarray(pixels), section).convert("L" if channels == 1 else "RGB"))
        )
        rgba = np.dstack([pixels, np.full(size, 255, np.uint8)])
        facts = {"inputs": [{"shape": [12, 16, channels]}], "image": {"resize": rule, "background": 7}}
        given.append(({"width": size[1], "height": size[0], "data": rgba.ravel().tolist()}, facts))
    command = ["node", "--input-type=module", "-e", SCRIPT, str(pages["images"].folder / "pictures.js")]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True)
    for found, pixels in zip(json.loads(done.stdout), wanted, strict=True):
        assert np.abs(np.array(found) - pixels.astype(int).ravel()).max() <= 1
