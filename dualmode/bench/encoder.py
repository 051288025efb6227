"""The encoder: training against ESPnet's Conformer, streaming against the parallel pass, and growth with length."""

import argparse
import itertools
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from dualmode.asr.build import build_asr_model
from dualmode.bench.products import best_rate, operations
from dualmode.bench.timing import interleaved, timed, use_device
from dualmode.cli import at_least
from dualmode.device.pack import pack_model
from dualmode.encoder.config import EncoderConfig
from dualmode.encoder.conformer import DualModeEncoder, give_weights
from dualmode.encoder.slicing import without_pruned_units
from dualmode.encoder.streaming import StreamingEncoder
from dualmode.frames import EXTRA, FACTOR
from dualmode.supernet.pruning import estimate_masks
from dualmode.supernet.storage import materialise
from dualmode.supernet.subnet import DENSE, Context, Subnet
from dualmode_runtime.engine import Device, EngineMissing

COLUMNS = (
    *("part", "size", "device", "what", "precision", "compiled", "utterance_s", "audio_s"),
    *("channels", "espnet_m", "ours_m", "espnet_ms", "dense_ms", "sparse_ms", "both_ms", "both_over_espnet"),
    *("espnet_gflop", "both_gflop", "of_best"),
    *("ms", "ratio", "peak_mb"),
)

# WIDTHxBLOCKS: width, blocks, feed-forward units, taps, heads.  The last three are the plans of egs/librispeech.
SIZES = {
    "144x6": (144, 6, 576, 15, 4),
    "256x12": (256, 12, 1024, 31, 4),
    "256x17": (256, 17, 1024, 15, 4),
    "512x12": (512, 12, 2048, 15, 8),
    "640x18": (640, 18, 2560, 15, 10),
}
CHUNK_MS, LEFT_MS, SPARSITY = 640, 1280, 0.7
SUBNET = Subnet(SPARSITY, Context.from_ms(CHUNK_MS, LEFT_MS))
STREAMED = Subnet(context=SUBNET.context)  # once the masks are multiplied in
CHANNELS = 64  # of our subsampling, as in the small recipes


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=at_least(1), default=9, metavar="N", help="timed rounds; the median counts")
    parser.add_argument(
        "--sizes",
        nargs="+",
        choices=SIZES,
        default=["144x6", "256x12"],
        metavar="SIZE",
        help=f"width x blocks: of {', '.join(SIZES)}",
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="PART",
        help="training, streaming, or growth with length",
    )
    parser.add_argument(
        "--utterance-s",
        nargs="+",
        type=at_least(0.5),
        default=[4, 15],
        metavar="S",
        help="training: length of the utterances, s",
    )
    parser.add_argument(
        "--streams", nargs="+", type=at_least(1), default=[1, 16], metavar="N", help="streaming: streams in one batch"
    )
    parser.add_argument(
        "--channels",
        nargs="+",
        type=at_least(0),
        default=[CHANNELS],
        metavar="N",
        help="training: channels of our subsampling; 0 is as many as ESPnet's has, the width of the encoder",
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="of the training part: cpu, cuda or cuda:N")
    parser.add_argument(
        "--minutes",
        nargs="+",
        type=at_least(0.001),
        default=[1, 10, 60],
        metavar="MIN",
        help="lengths of the growth part, minutes",
    )


def measure(args: argparse.Namespace) -> list[dict]:
    """Return a row for each measurement: ``ms``, and ``ratio`` to the row that it is compared with."""
    use_device(args.device)
    torch.manual_seed(0)
    return [row for part in args.parts for row in PARTS[part](args)]


def build(size: str, compile_blocks: bool = False, channels: int = CHANNELS) -> DualModeEncoder:
    """Return our encoder with random weights and masks of 70 % of whole units; 0 ``channels`` are its width."""
    width, blocks, units, taps, heads = SIZES[size]
    sizes: dict[str, Any] = {"output_size": width, "num_blocks": blocks, "linear_units": units, "kernel_size": taps}
    sizes["subsampling_channels"] = channels or width
    encoder = DualModeEncoder(EncoderConfig(**sizes, attention_heads=heads, compile_blocks=compile_blocks))
    give_weights(encoder)
    estimate_masks(encoder, encoder.config.pruning)
    return encoder


def build_espnet(size: str) -> torch.nn.Module:
    """Return ESPnet's Conformer of the same depth, width, feed-forward size and kernel, as its recipes use it.

    Its subsampling has as many channels as the encoder is wide; ours in :func:`build` may have another number.
    """
    return espnet_conformer(*SIZES[size])


def as_decoded(encoder: DualModeEncoder) -> DualModeEncoder:
    """Return the sparse sub-network as decoding runs it: pruned units taken out, other masks multiplied in."""
    encoder, view = without_pruned_units(encoder, encoder.config.view(SPARSITY))
    materialise(encoder, view)
    return encoder


def espnet_conformer(width: int, blocks: int, units: int, taps: int, heads: int) -> torch.nn.Module:
    """Return ESPnet's Conformer with the settings of its recipes; ``units`` are those of its feed-forward layers."""
    from espnet2.asr.encoder.conformer_encoder import ConformerEncoder

    return ConformerEncoder(
        80,
        output_size=width,
        attention_heads=heads,
        linear_units=units,
        num_blocks=blocks,
        cnn_module_kernel=taps,
        macaron_style=True,
        rel_pos_type="latest",
        pos_enc_layer_type="rel_pos",
        selfattention_layer_type="rel_selfattn",
        activation_type="swish",
    )


def training(args: argparse.Namespace) -> list[dict]:
    """Forward and backward passes over a batch: one of ESPnet's encoder, and the branches of ours, alone and together.

    On a CPU four utterances a batch; on a GPU twelve minutes of audio, and the blocks compiled as well.
    """
    return [
        row
        for size, seconds_each, channels in itertools.product(args.sizes, args.utterance_s, args.channels)
        for row in training_rows(size, seconds_each, channels, args.device, args.rounds)
    ]


def training_rows(size: str, seconds_each: float, channels: int, device: str, rounds: int) -> Iterator[dict]:
    """Yield a row for each precision, and on a GPU for plain and compiled blocks.

    ``espnet_ms``, ``dense_ms``, ``sparse_ms`` and ``both_ms`` are medians of interleaved runs; ``both_over_espnet`` is
    the price of a two-branch step in passes of ESPnet's encoder, ``seconds`` that step itself.  ``espnet_m`` and
    ``ours_m`` are millions of parameters, which differ by the channels of the subsampling.  ``espnet_gflop`` and
    ``both_gflop`` are the products that these need, those of kept units alone, and ``of_best`` is how near the step
    comes to doing nothing but these at the machine's best rate.
    """
    count, frames = 4 if device == "cpu" else round(720 / seconds_each), round(100 * seconds_each)
    features = torch.randn(count, frames, 80, device=device)
    lengths = frames - 10 * (torch.arange(count, device=device) % 4)
    machine = "cpu" if device == "cpu" else torch.cuda.get_device_name()
    needed = products(size, channels, features, lengths)
    for precision, compiled in itertools.product(("fp32", "bf16"), (False,) if device == "cpu" else (False, True)):
        ours, espnet = build(size, compiled, channels).to(device), build_espnet(size).to(device)
        branches = {"dense": (DENSE,), "sparse": (SUBNET,), "both": (DENSE, SUBNET)}
        losses: dict[str, Callable] = {"espnet": partial(one_pass, espnet)}
        losses |= {name: partial(passes, ours, subnets=subnets) for name, subnets in branches.items()}
        runs = {name: partial(step, loss, features, lengths, precision == "bf16") for name, loss in losses.items()}
        seconds = interleaved(runs, rounds)
        row = {"part": "training", "size": size, "device": machine, "precision": precision, "compiled": compiled}
        row |= {"audio_s": count * seconds_each, "utterance_s": seconds_each, "seconds": seconds["both"]}
        row |= {"channels": ours.config.subsampling_channels, "espnet_m": millions(espnet), "ours_m": millions(ours)}
        row |= {f"{name}_ms": 1000 * value for name, value in seconds.items()}
        row["both_over_espnet"] = seconds["both"] / seconds["espnet"]
        row |= {f"{name}_gflop": value / 1e9 for name, value in needed.items()}
        row["of_best"] = needed["both"] / seconds["both"] / best_rate(device, precision)
        if device != "cpu":
            torch.cuda.reset_peak_memory_stats()
            runs["both"]()
            row["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
        yield row


def millions(model: torch.nn.Module) -> float:
    """Return how many parameters a model has, in millions."""
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def products(size: str, channels: int, features: torch.Tensor, lengths: torch.Tensor) -> dict[str, float]:
    """Return the operations of a training pass of ESPnet's encoder and of both branches of ours.

    Of encoders that are gone afterwards, so that the peak of memory is that of what is timed.
    """
    espnet, ours = build_espnet(size).to(features.device), build(size, channels=channels).to(features.device)
    losses: dict[str, Callable] = {"espnet": partial(one_pass, espnet), "both": partial(two_branches, ours)}
    return {name: operations(partial(step, loss, features, lengths, False)) for name, loss in losses.items()}


def one_pass(encoder: torch.nn.Module, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return something to differentiate of ESPnet's encoder."""
    return encoder(features, lengths)[0].float().square().mean()


def passes(
    encoder: DualModeEncoder, features: torch.Tensor, lengths: torch.Tensor, subnets: Sequence[Subnet]
) -> torch.Tensor:
    """Return something to differentiate of our encoder, run as each of the sub-networks."""
    x, frames = encoder.embed(features, lengths)
    return torch.stack([encoder.encode(x, frames, subnet).float().square().mean() for subnet in subnets]).sum()


def two_branches(encoder: DualModeEncoder, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return something to differentiate of both branches of ours."""
    return passes(encoder, features, lengths, (DENSE, SUBNET))


def step(loss: Callable[..., torch.Tensor], features: torch.Tensor, lengths: torch.Tensor, bf16: bool) -> None:
    """Run one forward and backward pass."""
    with torch.autocast(features.device.type, torch.bfloat16, enabled=bf16):
        value = loss(features, lengths)
    value.backward()


def streaming(args: argparse.Namespace) -> list[dict]:
    """Chunk by chunk against all chunks at once, on one thread, several streams in one batch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = []
    for size, streams in itertools.product(args.sizes, args.streams):
        encoder, features = as_decoded(build(size).eval()), torch.randn(streams, 1500, 80)
        runs = {"all chunks at once": partial(parallel, encoder, features)}
        runs["chunk by chunk"] = partial(stream, encoder, features)
        if streams == 1:  # of which the engine has one at a time
            try:
                runs["chunk by chunk in the device engine"] = partial(on_device, open_device(encoder), features[0])
            except EngineMissing as error:
                print(f"no row for the device engine: {error}", file=sys.stderr)
        seconds = interleaved(runs, args.rounds)
        for name, value in seconds.items():
            what = f"{name}, chunk {CHUNK_MS} ms, {streams} at a time, 1 thread"
            row = {"part": "streaming", "size": size, "device": "cpu", "what": what, "precision": "fp32"}
            ratio = value / seconds["all chunks at once"]
            rows.append(row | {"audio_s": 15.0 * streams, "ms": 1000 * value, "ratio": ratio})
    torch.set_num_threads(threads)
    return rows


@torch.inference_mode()
def parallel(encoder: DualModeEncoder, features: torch.Tensor) -> None:
    encoder(features, torch.full((len(features),), features.shape[1]), STREAMED)


@torch.inference_mode()
def stream(encoder: DualModeEncoder, features: torch.Tensor) -> None:
    streams, step = StreamingEncoder(encoder, STREAMED, len(features)), FACTOR * STREAMED.context.chunk
    for start in range(0, features.shape[1], step):
        last = start + step >= features.shape[1]
        streams.accept(list(features[:, start : start + step]), [last] * len(features))


def open_device(encoder: DualModeEncoder) -> Device:
    """Return the same sub-network in the device engine, in fp32."""
    conf = {"encoder_conf": encoder.config.to_dict()}
    model = build_asr_model(conf, ["<blank>", "<unk>", "token"], encoder).eval()
    return Device.open(pack_model(model, "word", SUBNET, "fp32"))


def on_device(device: Device, features: torch.Tensor) -> None:
    device.reset()
    step = FACTOR * STREAMED.context.chunk
    for start in range(0, len(features), step):
        piece = features[start : start + step + EXTRA]
        if len(piece) >= FACTOR + EXTRA:
            device.encode(piece.numpy())


def growth(args: argparse.Namespace) -> list[dict]:
    """Time and peak memory for long audio, each length in a process of its own; ratios are per second of audio."""
    rows = []
    for what in ("all chunks at once", "chunk by chunk"):
        first = None
        for minutes in args.minutes:
            command = [sys.executable, "-m", "dualmode.bench.encoder", what, str(minutes), str(torch.get_num_threads())]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            rate = found["ms"] / minutes
            first = first or rate
            row = {
                "part": "growth",
                "size": "144x6",
                "device": "cpu",
                "what": f"{what}, chunk {CHUNK_MS} ms",
                "precision": "fp32",
            }
            rows.append(row | {"audio_s": 60 * minutes, **found, "ratio": rate / first})
    return rows


def grown(what: str, minutes: float, threads: int) -> dict:
    """Return ms of one pass over noise of that length, and the peak memory of this process, torch included."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    encoder, features = as_decoded(build("144x6").eval()), torch.randn(1, round(6000 * minutes), 80)
    run = parallel if what == "all chunks at once" else stream
    run(encoder, features[:, :600])
    seconds = timed(lambda: run(encoder, features))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"ms": 1000 * seconds, "peak_mb": peak * 1024 / 1e6}


PARTS = {"training": training, "streaming": streaming, "growth": growth}

if __name__ == "__main__":
    print(json.dumps(grown(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))
