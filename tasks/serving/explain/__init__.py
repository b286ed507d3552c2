"""Why this answer: what it would be without a word, a column or a patch of an image.

`occlusion.py` makes the rows that are asked; `answers.py` weighs what was answered, and draws it for images.
"""
