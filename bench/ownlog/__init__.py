"""The analysis of loss against quality for a log that somebody else's training wrote.

`question` says what is asked, `reading` (with `text` and `json_text`) takes columns out of a file,
`own_tables` knows the tables of `collect`, `tidy` makes runs and evaluations of them, `analysis`
applies `bench.stats`, `words` says what came out, and `page` writes it down. Nothing in a log is
ever executed.
"""

from bench.ownlog.analysis import Analysis, analyse
from bench.ownlog.question import LogError, Question
from bench.ownlog.reading import Log, read

__all__ = ["Analysis", "Log", "LogError", "Question", "analyse", "read"]
