"""The figures of reports/speed: what is measured, against what, and the table of it."""
