"""Replays a project's history, to see what its retraining policy would have brought, and what another.

Comes in: rows in the order of their time, cut into blocks (history.py). Every model that a policy might have
trained is trained once and kept by key (fits.py), on the rows whose labels were there by then. The replay
(replay.py) then looks at block after block with the code that production runs: verdicts, errors on late
labels, episodes, policy, non-inferiority. oracle.py knows the future; compare.py puts policies side by side.
Start with replay.py.
"""
