"""A piece of a recording in the device engine, a second at a time, so that streams have their turns."""

from functools import partial

from dualmode.frames import SAMPLE_RATE
from dualmode.server.models import Served
from dualmode.server.pool import EnginePool
from dualmode_runtime.audio.pauses import Piece
from dualmode_runtime.recognizer import heard_by
from dualmode_runtime.transcript import Result


async def recognise_sparse(served: Served, pool: EnginePool, piece: Piece) -> Result:
    """Return the result of a piece, heard as one utterance."""
    device = served.device.stream()
    for start in range(0, len(piece.samples), SAMPLE_RATE):
        await pool.call(partial(device.accept_samples, piece.samples[start : start + SAMPLE_RATE]))
    await pool.call(device.finish)
    return Result(piece.start_ms, piece.end_ms, heard_by(device, served.subnet, piece.start_ms))
