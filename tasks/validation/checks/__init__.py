"""The rules that rows must keep, run by Great Expectations on DuckDB.

suite.py builds and runs the rules of the YAML, engine.py is the SQL engine below, expectations.py holds our
own rules, version_comparison.py those that compare with the version before, and data_docs.py makes the page.
"""
