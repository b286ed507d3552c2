"""From values as a source has them to the platform's one layout, by the contract of the YAML.

contract.py applies the contract to a table; values.py, dates.py and their like each read one kind of value;
layout.py arranges the columns; conversions.py counts what could not be read or was changed.
"""
