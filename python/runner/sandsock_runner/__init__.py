"""The runner: CPython as a component that runs any script, as the command `python3` does.

componentize-py imports this package, and keeps the interpreter's memory as a snapshot. So everything that is imported here is there
at the start of each run. No function of the host can be called meanwhile.
"""

import gc

from . import extension, preload  # noqa: F401, I001  (in this order, and first)
from . import launch, options, places, renew

from wit_world import exports


class Run(exports.Run):
    """The export wasi:cli/run."""

    def run(self) -> None:
        """Runs the program that the arguments name. An end with another status than 0 does not return here."""
        renew.all()
        launch.main(options.parse())


places.rename()
# The collector of each run leaves the objects of the snapshot alone, which live to its end. Looking at them would take milliseconds, and
# give each instance pages of its own.
gc.collect()
gc.freeze()
