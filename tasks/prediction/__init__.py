"""A person's rows as raw rows, for `gyre predict` and the model server's /predict.

They are read as ingestion reads the source's, and what is odd about them is told. row_files.py reads a file
or standard input; row_values.py makes raw rows of JSON values and cells, contract_values.py types cells by
the YAML's contract, decoded_rows.py makes rows of images and of a user's own kind; answered_rows.py is what a
person is told.
"""
