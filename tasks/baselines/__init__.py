"""What a network must beat: models that need none, learned from the same rows and scored on the same rows.

In: a data set version. Out: each baseline's score of every validation and test row, and, where they may
serve, its one ONNX graph. `constant` always gives the same answer and `previous` the label before it in time
(trivial ones); `linear` and `trees` are what a careful engineer tries first (simple ones). Start with
measure.py.
"""
