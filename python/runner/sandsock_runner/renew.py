"""Makes anew what the snapshot has frozen and must differ from run to run: seeds, names of temporary files, times and caches.

CPython's secret of string hashes can't be made anew, because the dictionaries of the snapshot are built with it. So each build of
the runner has a secret of its own, and only the owner may read the runner.
"""

import linecache
import logging
import random
import sys
import tempfile
import time
import uuid

import _sandsock


def all() -> None:
    """Makes all of it anew. This runs before anything of the script."""
    _sandsock.start_threads()
    # CPython: the module's functions are methods of one instance, which was seeded at the import.
    random.seed()
    # The sequence of names has a generator of its own, which it keeps for one process ID. Here all processes have the same one.
    tempfile._name_sequence = None
    tempfile.tempdir = None
    # The node of uuid1() may be a random number, and the time of the last call decides the next one.
    uuid._node = None
    uuid._last_timestamp = None
    # LogRecord.relativeCreated counts from here.
    logging._startTime = time.time_ns()
    # The folders that the build saw are not those of this run.
    linecache.clearcache()
    sys.path_importer_cache.clear()
