"""A training does not print its command line.

ESPnet prints all words of the command to standard error.  The recipe has written them to its log already, a line of 500
characters.  Ours says where ESPnet's own log is instead.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from espnet2.tasks import abs_task


@contextlib.contextmanager
def short_command(log: Path) -> Iterator[None]:
    """Have ESPnet print the path of its log in the place of the command line."""
    with mock.patch.object(abs_task, "get_commandline_args", lambda: f"details: {log}"):
        yield
