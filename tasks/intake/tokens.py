"""Texts as token ids.

Words, runs of digits and single signs, in Python and in ONNX Runtime's own operators, exactly alike.
"""

import re
from collections import Counter
from itertools import islice
from typing import Any

import numpy as np

from configs.intake import TextIntakeConfig
from tasks.intake import Encoded, Rows, TensorSpec
from tasks.intake.encoder import ENCODED, State

NOTHING, UNKNOWN = 0, 1
"""Ids of what lies behind a text's end, and of a token that is not in the vocabulary."""
FEWEST = 2
"""Times that a token must occur in training: what a network learns of a single one is that text's answer."""
WORD = "a-zA-Z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u1fff"
"""Letters of scripts that put spaces between words; other signs, such as Chinese ones and emoji, are a token
each.

Spelled out, since what `\\w` means differs between Python's regular expressions and RE2's."""
TOKEN = f"[{WORD}]+|[0-9]+|[^{WORD}0-9 \t\n\r\x0b\x0c]"
SMALL = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})
"""As ONNX Runtime lowers in the C locale, which alone every machine has: A to Z."""


class TokenEncoder:
    """Texts to ids [rows, length] int64; tokens behind `length` are cut off."""

    def __init__(self, section: TextIntakeConfig) -> None:
        self.section = section
        self.encoded = TensorSpec("encoded", "int64", (section.length,))
        self._token = re.compile(TOKEN)
        self._ids: dict[str, int] = {}

    @property
    def size(self) -> int:
        """Ids there are."""
        return len(self._ids) + 2

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text, at most `length`."""
        return [
            found.group()
            for found in islice(self._token.finditer(text.translate(SMALL)), self.section.length)
        ]

    def fit(self, rows: Rows) -> None:
        """The vocabulary: the most frequent tokens, ties in alphabetical order."""
        counts = Counter(token for text in rows[self.section.column] for token in self.tokens(text))
        kept = sorted(
            (token for token, count in counts.items() if count >= FEWEST),
            key=lambda token: (-counts[token], token),
        )
        self.restore({"tokens": kept[: self.section.vocabulary - 2]})

    def encode(self, rows: Rows) -> Encoded:
        """See the class."""
        ids = np.full((len(rows), self.section.length), NOTHING, dtype=np.int64)
        for row, text in enumerate(rows[self.section.column]):
            found = [self._ids.get(token, UNKNOWN) for token in self.tokens(text)]
            ids[row, : len(found)] = found
        return ids

    def state(self) -> State:
        """The vocabulary in the order of its ids."""
        return {"tokens": list(self._ids)}

    def restore(self, state: State) -> None:
        """See Encoder."""
        self._ids = {token: number for number, token in enumerate(state["tokens"], start=UNKNOWN + 1)}

    def prefix(self, opsets: dict[str, int]) -> Any:
        """The same in ONNX: StringNormalizer, ONNX Runtime's Tokenizer, LabelEncoder.

        Shorter texts are padded behind.
        """
        from onnx import TensorProto, helper

        name, length = self.section.column, self.section.length
        keys, values = ["", *self._ids], [NOTHING, *self._ids.values()]
        nodes = [
            helper.make_node(
                "StringNormalizer",
                [name],
                ["gyre.small"],
                case_change_action="LOWER",
                is_case_sensitive=1,
                locale="C",
            ),
            helper.make_node(
                "Tokenizer",
                ["gyre.small"],
                ["gyre.tokens"],
                domain="com.microsoft",
                mark=0,
                mincharnum=1,
                pad_value="",
                tokenexp=TOKEN,
            ),
            helper.make_node(
                "LabelEncoder",
                ["gyre.tokens"],
                ["gyre.ids"],
                domain="ai.onnx.ml",
                keys_strings=keys,
                values_int64s=values,
                default_int64=UNKNOWN,
            ),
            # Padded by the whole length, then cut to it: the longest text of a call may be shorter or longer.
            helper.make_node("Pad", ["gyre.ids", "gyre.behind", "gyre.nothing"], ["gyre.padded"]),
            helper.make_node("Slice", ["gyre.padded", "gyre.start", "gyre.length", "gyre.axis"], [ENCODED]),
        ]
        constants = {"behind": [0, 0, 0, length], "start": [0], "length": [length], "axis": [1]}
        made = [
            helper.make_tensor(f"gyre.{key}", TensorProto.INT64, [len(each)], each)
            for key, each in constants.items()
        ]
        made.append(helper.make_tensor("gyre.nothing", TensorProto.INT64, [], [NOTHING]))
        opsets.setdefault("ai.onnx.ml", 3)
        opsets.setdefault("com.microsoft", 1)
        taken = [helper.make_tensor_value_info(name, TensorProto.STRING, ["batch"])]
        given = [helper.make_tensor_value_info(ENCODED, TensorProto.INT64, ["batch", length])]
        return helper.make_graph(nodes, "tokens", taken, given, made)
