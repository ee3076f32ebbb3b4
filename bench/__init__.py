"""bench: the harness around `wgan`: grids, dispatch, metrics, records, statistics, reports."""
