"""What one server takes at most; each limit is an option of the command line."""

import argparse
from dataclasses import dataclass, field, fields

from dualmode.errors import UserError


def _limit(default: int, about: str, lowest: int = 1):
    return field(default=default, metadata={"help": about, "lowest": lowest})


@dataclass(frozen=True)
class Limits:
    """Whole numbers, see ``dualmode serve --help``.

    Raises:
        UserError: one is impossible.
    """

    max_connections: int = _limit(1000, "open connections; one more is closed at once")
    max_clients: int = _limit(100, "streams at once; one more is told to come back later")
    max_requests: int = _limit(8, "transcriptions at once; one more gets status 503")
    max_second_pass: int = _limit(32, "utterances waiting for the dense sub-network; streams go without it beyond that")
    max_message_kb: int = _limit(256, "kB of one message of a stream")
    max_backlog_ms: int = _limit(5000, "ms of audio that a stream may be ahead; then nothing is read from it", 1000)
    max_stream_s: int = _limit(14400, "seconds of audio of one stream; then it ends with its text")
    max_upload_mb: int = _limit(100, "MB of an uploaded recording")
    max_recording_s: int = _limit(14400, "seconds of audio of an uploaded recording")
    handshake_s: int = _limit(10, "seconds until a connection's request, and a stream's first message, must be there")
    idle_s: int = _limit(30, "seconds without a message after which a stream ends with its text")
    send_s: int = _limit(10, "seconds that a client may leave what it is sent unread")
    upload_s: int = _limit(600, "seconds that an upload may take")
    stop_s: int = _limit(10, "seconds that second passes have when the server is stopped; streams end in twice as long")

    def __post_init__(self):
        for one in fields(self):
            value, lowest = getattr(self, one.name), one.metadata["lowest"]
            if value < lowest:
                raise UserError(f"--{one.name.replace('_', '-')} is {value}: it must be at least {lowest}")


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add an option for each limit; :func:`chosen_limits` reads them."""
    group = parser.add_argument_group("limits")
    for one in fields(Limits):
        option, unit = f"--{one.name.replace('_', '-')}", one.name.rpartition("_")[2].upper()
        unit = unit if unit in ("MS", "S", "KB", "MB") else "N"
        group.add_argument(option, type=int, default=one.default, metavar=unit, help=one.metadata["help"])


def chosen_limits(args: argparse.Namespace) -> Limits:
    """Return the limits that the options mean; an impossible one is a UserError."""
    return Limits(**{one.name: getattr(args, one.name) for one in fields(Limits)})
