"""Imported first by processes that load much ahead: memory is not searched for garbage meanwhile.

All that they load stays, and to look through it again and again takes a sixth of the loading.
`bench.backends.preloading`, imported last, lets the search begin.
"""

import gc

gc.disable()
