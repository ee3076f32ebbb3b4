"""Why a figure misses what is required, in a sentence each, by the name of its row.

Shown beneath the table for rows that are missed, and only for those. Edit here, then `make bench
ONLY=table` writes the report anew without measuring.
"""

REASONS: dict[str, str] = {}
