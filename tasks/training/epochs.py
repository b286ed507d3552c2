"""How many epochs a training plans, and after how many without a better one it ends."""

from configs.training import TrainingConfig

ROWS_SEEN = 400_000
"""By a training whose epochs are not given."""
FEWEST, MOST = 5, 60
"""Epochs of such a training."""
LEAST_PATIENCE = 8
"""Epochs: a learning rate that still rises may bring nothing for a few of them."""


def planned_epochs(training: TrainingConfig, rows: int) -> int:
    """Epochs on so many training rows, unless the training ends early or has a budget of minutes."""
    usual = training.epochs or min(MOST, max(FEWEST, round(ROWS_SEEN / rows)))
    return max(1, round(usual * training.epochs_factor))


def patience(training: TrainingConfig, epochs: int) -> int:
    """Epochs without a better score on the validation split after which a training of so many ends."""
    return training.patience or max(LEAST_PATIENCE, epochs // 3)
