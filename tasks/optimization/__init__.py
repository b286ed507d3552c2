"""Smaller and faster forms of a trained model's graph, each a candidate that the gate measures before one is chosen.

A format (`formats.py`) takes the network's part of a graph and writes it with other arithmetic or smaller
weights; `variants.py` puts the result behind the reader of texts and dates again. What a format does to the
answers is measured on rows that did not calibrate it. `students.py` says which smaller networks are trained
beside the main one.
"""
