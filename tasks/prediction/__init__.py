"""A person's rows as raw rows, for `gyre predict`: read as ingestion reads the source's, and told what is odd about them.

row_files.py reads a file or standard input; row_values.py makes raw rows of JSON values and cells, decoded_rows.py of
images and of rows of a user's own kind.
"""
