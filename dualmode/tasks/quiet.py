"""Importing ESPnet without what it prints about packages that nobody asked for."""

import contextlib
import io
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Swallow standard output while modules are imported: ESPnet prints there that it has no Flash Attention."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
