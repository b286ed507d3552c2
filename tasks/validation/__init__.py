"""What raw rows must be like: Great Expectations' rules, the quarantine and the gate."""
