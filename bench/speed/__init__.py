"""How fast this machine is, how near to it the runs of a sweep come, and how long they will take.

`peaks` and `measure` measure, `predict` reckons, `advice` says what would be faster. What was
measured is kept by `kept` for the estimate that `plan` shows. Importing this package loads nothing.
"""
