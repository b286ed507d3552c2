"""The `source` section of data that nobody has described, from its first rows.

`gyre data infer` and `gyre init`.

file_formats.py tells what kind of file it is, header_line.py whether it names its columns, column_types.py
what a column holds, key_columns.py what names a row; tables.py and images.py put the section together.
"""
