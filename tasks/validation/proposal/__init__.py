"""Rules proposed from the rows themselves: `gyre data propose`.

propose.py is the whole of it: values that look like errors are kept out (suspicious_values.py), rules are
learned (rules.py for a column, dependencies.py and date_rules.py between columns) and must hold on rows that
were held out (holdout.py). image_rules.py proposes those about how images look, for `gyre init`.
"""
