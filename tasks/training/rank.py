"""What every rank of a training calls: the driver refers to it, so torch is imported when it is called."""

from tasks.training.messages import RankResult, Send
from tasks.training.plan import Plan


def train_rank(plan: Plan, send: Send) -> RankResult:
    """Trains on one rank that has joined the others."""
    from tasks.training.loop import be_deterministic, fit
    from tasks.training.strategy import build_strategy

    be_deterministic()
    return fit(plan, build_strategy(plan.training), send)
