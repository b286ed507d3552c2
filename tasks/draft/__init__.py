"""A project drafted from data alone, for `gyre init`: a YAML that runs, with a comment for each choice that a person may know better.

In: a file, URL or folder of images. Out: the text of a project's YAML. Start with draft.py; roles.py decides what each column of a table
is for, pictures.py looks at images.
"""
