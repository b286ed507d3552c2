"""The retrainings of one who knows the future.

Dynamic programming over what each model scores on each block.
"""

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


def best_schedule(scores: Scores, cost: float, delay: int = 1) -> tuple[float, tuple[int, ...]]:
    """Mean score a block of the best schedule, costs not taken off, and the looks at which it retrains.

    scores: [models, blocks], of the model that knows the labels of so many blocks; the first serves at the
    beginning
    cost: of a retraining, in score x blocks, which the schedule is chosen by
    delay: blocks after the last one it knows before a model serves
    """
    models, blocks = scores.shape
    # value[m]: the most that blocks from `block` on can bring where model m serves the block.
    value, moves = np.zeros(models), []
    for block in reversed(range(blocks)):
        newest = block - delay
        move = np.zeros(models, dtype=bool)
        change = scores[newest, block] + value[newest] - cost if 0 < newest < models else -np.inf
        stay = scores[:, block] + value
        stay = np.where(np.isnan(stay), -np.inf, stay)
        move = change > stay
        moves.append(move)
        value = np.where(move, change, stay)
    serving, looks, total = 0, [], 0.0
    for block, move in enumerate(reversed(moves)):
        if move[serving]:
            serving = block - delay
            looks.append(serving)
        total += float(scores[serving, block])
    return total / blocks, tuple(looks)
