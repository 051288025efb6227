"""A piece of a recording in the device engine, a second at a time, so that streams have their turns."""

from functools import partial

from dualmode.frames import SAMPLE_RATE
from dualmode.server.pool import EnginePool
from dualmode.supernet.subnet import Context, Subnet
from dualmode_runtime.audio.pauses import Piece
from dualmode_runtime.engine import Device, DeviceModel
from dualmode_runtime.transcript import Alternative, Result, Transcript
from dualmode_runtime.words import Word


async def recognise_sparse(model: DeviceModel, pool: EnginePool, piece: Piece) -> Result:
    """Return the result of a piece, heard as one utterance."""
    device = model.stream()
    for start in range(0, len(piece.samples), SAMPLE_RATE):
        await pool.call(partial(device.accept_samples, piece.samples[start : start + SAMPLE_RATE]))
    await pool.call(device.finish)
    return heard(device, piece)


def heard(device: Device, piece: Piece) -> Result:
    """Return what a device understood of a piece."""
    info, start = device.info, piece.start_ms
    words = tuple(
        Word(word.text, start + word.start_ms, start + word.stable_ms, start + word.end_ms) for word in device.words
    )
    subnet = Subnet(round(info.sparsity, 6), Context(info.chunk, info.left, info.right))
    return Result(start, piece.end_ms, Transcript(words, subnet, nbest=(Alternative(words, None),)))
