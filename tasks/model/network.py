"""The network that a project's YAML names.

The intake's default, the user's own, or one of timm or transformers, where they are installed.

All are called with preprocessed rows [batch, *shape] and give [batch, outputs] float32. Nothing is
downloaded: weights are drawn anew.
"""

import inspect
from typing import Any

from torch import Tensor, nn

from configs.training import TrainingConfig
from infra.imports import resolve
from tasks.intake import Encoder, Intake


def build(
    training: TrainingConfig, intake: Intake, encoder: Encoder, shape: tuple[int, ...], outputs: int
) -> nn.Module:
    """An untrained network for preprocessed rows of that shape.

    Raises ValueError for a network that takes other rows or options.
    """
    if training.network is None:
        try:
            return intake.network(encoder, shape, outputs, **training.network_options)
        except TypeError as error:
            raise ValueError(
                f"training.network_options {training.network_options}: the intake's default network takes a width at most: {error}"
            ) from error
    made_by = {"timm": of_timm, "transformers": of_transformers}.get(
        training.network.partition(":")[0], by_import_path
    )
    try:
        return made_by(training.network, encoder, shape, outputs, training.network_options)
    except (TypeError, RuntimeError) as error:
        raise ValueError(
            f"training.network {training.network} with training.network_options {training.network_options}: {error}"
        ) from error


def by_import_path(
    path: str, encoder: Encoder, shape: tuple[int, ...], outputs: int, options: dict[str, Any]
) -> nn.Module:
    """The user's own; one that has a parameter `vocabulary` is told how many ids there are of texts."""
    made = resolve(path)
    if "vocabulary" in inspect.signature(made).parameters:
        options = {"vocabulary": ids(encoder, path)} | options
    network: nn.Module = made(shape, outputs, **options)
    return network


def of_timm(
    path: str, _: Encoder, shape: tuple[int, ...], outputs: int, options: dict[str, Any]
) -> nn.Module:
    """An image network of timm, such as timm:resnet18; timm.list_models() has the names."""
    if len(shape) != 3:
        raise ValueError(f"training.network {path}: takes images; the intake gives rows of shape {shape}")
    name = path.partition(":")[2]
    network: nn.Module = resolve("timm:create_model")(
        name, pretrained=False, in_chans=shape[0], num_classes=outputs, **options
    )
    return network


def of_transformers(
    path: str, encoder: Encoder, shape: tuple[int, ...], outputs: int, options: dict[str, Any]
) -> nn.Module:
    """A text classifier of transformers, named by its configuration's class, such as transformers:DistilBertConfig."""
    known = {
        "vocab_size": ids(encoder, path),
        "num_labels": outputs,
        "pad_token_id": 0,
        "max_position_embeddings": shape[0] + 2,
    }
    config = resolve(path)(**known | options)
    # Of its ways to attend, the one that every exporter knows.
    return Words(
        resolve("transformers:AutoModelForSequenceClassification").from_config(
            config, attn_implementation="eager"
        )
    )


class Words(nn.Module):
    """Token ids [batch, length] int64, 0 where there is none -> [batch, outputs]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, tokens: Tensor) -> Tensor:
        """An empty text attends to its first place, so that it has an answer."""
        there = (tokens > 0).long()
        there[:, 0] = 1
        outputs: Tensor = self.inner(input_ids=tokens, attention_mask=there).logits
        return outputs


def ids(encoder: Encoder, path: str) -> int:
    """How many ids of tokens there are. Raises ValueError where rows are no texts."""
    size = getattr(encoder, "size", None)
    if size is None:
        raise ValueError(f"training.network {path}: takes token ids; the intake gives no texts")
    return int(size)
