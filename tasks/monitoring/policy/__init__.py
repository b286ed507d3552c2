"""Whether a retraining is worth it now, and on which rows.

Facts in, a decision with its cause and reason out.

forecast.py learns from a project's own releases what newer rows bring; budget.py bounds how often; decide.py
puts the causes together, and is what to open first. No I/O and no clock: production
(tasks/monitoring/task.py) and the backtest (tasks/backtest/replay.py) call the same functions.
"""
