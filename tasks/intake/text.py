"""One text a row, read as words by a vocabulary of the project's own."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from configs.intake import TextIntakeConfig
from tasks.intake import Encoded, Encoder, Preprocessing, Rows, TensorSpec
from tasks.intake.tokens import NOTHING, UNKNOWN, TokenEncoder
from tasks.rows.raw import MAX_TEXT, rows_from

HIDDEN = 0.1
"""Share of words that training hides, so that the network learns what to do with one it never saw, and not to
lean on single words."""
WIDTH = 64
SHOWN = 12
COMPONENTS = 128
"""Of label QC's view of texts."""
LAST_LATIN = 0x24F


class Words(Preprocessing):
    """Token ids [batch, length] int64 as they are: nothing about them is learned before the network."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.shape = (length,)

    def fit(self, encoded: Encoded) -> None:
        """Nothing to learn."""

    def forward(self, encoded: Tensor) -> Tensor:
        """The ids."""
        return encoded


class WordNetwork(nn.Module):
    """Token ids [batch, length] int64, 0 where there is none -> [batch, outputs].

    Single words by their sum over the root of their number, groups of three by the strongest answer of a
    convolution (Kim, Convolutional Neural Networks for Sentence Classification, 2014). No dropout and no
    batch statistics, so N ranks compute what one process would. `width`: share of the usual numbers a word.
    """

    def __init__(self, vocabulary: int, outputs: int, width: float = 1.0) -> None:
        super().__init__()
        numbers = max(1, round(WIDTH * width))
        self.embedding = nn.Embedding(vocabulary, numbers)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.convolution = nn.Conv1d(numbers, 2 * numbers, 3, padding=1)
        self.head = nn.Linear(3 * numbers, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        there = (tokens > 0).unsqueeze(1).to(torch.float32)
        words = self.embedding(tokens).transpose(1, 2) * there
        summed = words.sum(dim=2) / there.sum(dim=2).clamp(min=1).sqrt()
        strongest = (torch.relu(self.convolution(words)) * there).amax(dim=2)
        outputs: Tensor = self.head(torch.cat([summed, strongest], dim=1))
        return outputs


class TextRows:
    """See tasks/intake/__init__.py: Intake."""

    def __init__(self, section: TextIntakeConfig) -> None:
        self.section = section
        self.columns: tuple[str, ...] = (section.column,)
        self.inputs: tuple[TensorSpec, ...] = (TensorSpec(section.column, "str", ()),)
        self.draws = section.length

    def rows(self, frame: pd.DataFrame) -> Rows:
        """The column's texts, "" where one is missing; what lies behind MAX_TEXT characters is cut off."""
        column = frame[self.section.column]
        texts = np.empty(len(column), dtype=object)
        texts[:] = [
            "" if gone else str(text)[:MAX_TEXT] for text, gone in zip(column, column.isna(), strict=True)
        ]
        return rows_from(self.inputs, {self.section.column: texts})

    def frame(self, rows: Rows) -> pd.DataFrame:
        """One text column, empty where missing."""
        return pd.DataFrame(
            {
                self.section.column: pd.Series(
                    [text or None for text in rows[self.section.column]], dtype="str"
                )
            }
        )

    def decode(self, value: Any) -> Rows:
        """From a text, a list of one, or a mapping with the column."""
        if isinstance(value, dict):
            value = value.get(self.section.column)
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{str(value)[:80]}: want a text, or a mapping with {self.section.column!r}")
        return self.rows(pd.DataFrame({self.section.column: pd.Series([value], dtype=object)}))

    def describe(self, rows: Rows) -> pd.DataFrame:
        """Length in characters, words and their length, and shares of the characters that are of a kind.

        Vowels are counted among the letters A to Z; other scripts than the Latin one have letters of their
        own.
        """
        texts = rows[self.section.column]
        length = np.array([len(text) for text in texts], dtype=np.float64)
        words = np.array([len(text.split()) for text in texts], dtype=np.float64)
        spaces = count_signs(texts, str.isspace)
        counted = {
            "digits": count_signs(texts, str.isdigit),
            "capitals": count_signs(texts, str.isupper),
            "punctuation": count_signs(texts, is_punctuation),
            "other scripts": count_signs(texts, is_of_another_script),
        }
        latin, vowels = count_signs(texts, is_latin), count_signs(texts, is_vowel)
        found = {"length": length, "words": words, "word length": (length - spaces) / np.maximum(words, 1)}
        found |= {name: counts / np.maximum(length, 1) for name, counts in counted.items()}
        return pd.DataFrame(found | {"vowels": vowels / np.maximum(latin, 1)})

    def describe_encoded(self, encoded: Encoded) -> pd.DataFrame:
        """The share of a text's words that the vocabulary lacks."""
        there = (encoded != NOTHING).sum(axis=1)
        unknown = (encoded == UNKNOWN).sum(axis=1)
        return pd.DataFrame({"unknown words": unknown / np.maximum(there, 1)})

    def features(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Directions in which these texts differ most: TF-IDF of words and pairs, by truncated SVD."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        try:
            counted = TfidfVectorizer(
                sublinear_tf=True, ngram_range=(1, 2), max_features=20_000
            ).fit_transform(rows[self.section.column])
        except ValueError:  # no text has a word
            return np.zeros((len(rows), 1), np.float32)
        width = min(COMPONENTS, counted.shape[1] - 1)
        made = TruncatedSVD(width, random_state=0).fit_transform(counted) if width > 0 else counted.toarray()
        return np.asarray(made, np.float32)

    def picture(self, rows: Rows, titles: list[str]) -> bytes:
        """The beginnings of up to twelve texts, spread over the rows, each behind its title."""
        from matplotlib.figure import Figure

        shown = np.unique(np.linspace(0, len(rows) - 1, SHOWN).astype(int))
        figure = Figure(figsize=(9, 0.3 * len(shown) + 0.2))
        for line, number in enumerate(shown):
            height = 1 - (line + 0.7) / len(shown)
            # Text that looks like a formula is not one.
            figure.text(
                0.01, height, drawable(str(titles[number]))[:24], fontsize=8, weight="bold", parse_math=False
            )
            figure.text(
                0.22, height, drawable(rows[self.section.column][number])[:90], fontsize=8, parse_math=False
            )
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=100)
        return image.getvalue()

    def encoder(self) -> Encoder:
        """Words as numbers."""
        return TokenEncoder(self.section)

    def preprocessing(self, encoder: Encoder) -> Preprocessing:
        """None: ids go to the network as they are."""
        return Words(self.section.length)

    def network(
        self, encoder: Encoder, shape: tuple[int, ...], outputs: int, width: float = 1.0
    ) -> nn.Module:
        """An embedding, its sum, and a convolution."""
        assert isinstance(encoder, TokenEncoder)  # noqa: S101 - the one that it made itself
        return WordNetwork(encoder.size, outputs, width)

    def augment(self, encoded: Tensor, draws: Tensor) -> Tensor:
        """Hides some words."""
        return torch.where((draws < HIDDEN) & (encoded > 0), UNKNOWN, encoded)


def count_signs(texts: npt.NDArray[Any], test: Callable[[str], bool]) -> npt.NDArray[np.float64]:
    """How many signs of each text pass a test; a sign is asked once, however often it comes."""
    asked: dict[str, bool] = {}
    for sign in set().union(*texts):
        asked[sign] = test(sign)
    return np.array([sum(map(asked.__getitem__, text)) for text in texts], dtype=np.float64)


def is_punctuation(sign: str) -> bool:
    """Whether a sign is neither letter nor digit nor space."""
    return not sign.isalnum() and not sign.isspace()


def is_of_another_script(sign: str) -> bool:
    """Whether a sign is a letter that no Latin alphabet has."""
    return sign.isalpha() and ord(sign) > LAST_LATIN


def is_latin(sign: str) -> bool:
    """Whether a sign is one of A to Z, small or not."""
    return sign.isascii() and sign.isalpha()


def is_vowel(sign: str) -> bool:
    """Whether a sign is a vowel of A to Z: how many there are tells languages, and keys that were hit at random, apart."""
    return sign in "aeiouyAEIOUY"


def drawable(text: str) -> str:
    """The text in one line; a sign that the font may lack is drawn as a box."""
    return "".join(
        sign if sign.isprintable() and ord(sign) <= LAST_LATIN else "□" for sign in " ".join(text.split())
    )
