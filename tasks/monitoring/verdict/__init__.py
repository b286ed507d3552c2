"""Whether a descriptor's two distributions surely differ by more than is tolerated.

Plain arrays in, DescriptorDrift out.

Open `judgement.py` first. `measuring.py` compares one descriptor: values (`values.py`, `counting.py`,
`tally.py`), their distance (`distances.py`), the test (`two_sample.py`), since when (`change_point.py`).
`classifier.py` looks at all descriptors together, `estimate.py` at how often the answers are wrong, without
labels.
"""
