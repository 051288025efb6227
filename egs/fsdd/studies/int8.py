"""What int8 costs in each granularity: the models of granularity.sh in our device engine.

  python egs/fsdd/studies/int8.py WORK_DIR --seeds 0 1 2 [--rows 8x4 16x4 4x4 units] [--sparsities 0.7 0.8]

About 10 s a row, seed and sparsity on one core.  Needs a C++17 compiler.  Writes WORK_DIR/exp/int8.md and int8.json.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from dualmode.results.compare import Spread
from dualmode.results.output import write_json_file, write_lines
from dualmode.results.score import score_files

SETS = ("test", "test_unseen_speaker")


def run(module: str, *words) -> None:
    subprocess.run([sys.executable, "-m", f"dualmode.bin.{module}", *map(str, words)], check=True)


def decode(work: Path, model: Path, sparsity: float) -> dict[tuple[str, str], float]:
    """Return the WER in percent of (set, precision), with PyTorch's beside it."""
    at = model / f"int8_{sparsity:g}"
    for precision in ("fp32", "int8"):
        words = ("--sparsity", sparsity, "--precision", precision, "--out", at / f"{precision}.dmdl")
        run("pack_device", "--model", model, *words)
    wers = {}
    for name in SETS:
        reference = work / "dump" / name / "text"
        pytorch = model / f"decode_sparse_{sparsity:g}_{name}" / "text"
        wers[name, "PyTorch"] = score_files(reference, pytorch).as_json()["wer"]
        for precision in ("fp32", "int8"):
            file, out = at / f"{precision}.dmdl", at / f"{precision}_{name}"
            audio = ("--wav-scp", work / "data" / name / "wav.scp", "--reference", pytorch)
            run("device_inference", "--model", file, "--precision", precision, *audio, "--out", out)
            wers[name, precision] = score_files(reference, out / "text").as_json()["wer"]
    return wers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, metavar="WORK_DIR", help="of granularity.sh")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=["8x4", "16x4", "4x4", "units"])
    parser.add_argument("--sparsities", nargs="+", type=float, default=[0.7, 0.8])
    args = parser.parse_args()
    columns = [(name, precision) for name in SETS for precision in ("PyTorch", "fp32", "int8")]
    lines = ["| WER %, mean (lowest to highest) | runs | " + " | ".join(map(": ".join, columns)) + " |"]
    lines.append("| :-- | --: |" + " --: |" * len(columns))
    figures = []
    for row in args.rows:
        for sparsity in args.sparsities:
            found = [decode(args.work, args.work / "exp" / f"asr_{row}_{s}", sparsity) for s in args.seeds]
            spreads = [Spread(tuple(wers[column] for wers in found)) for column in columns]
            cells = " | ".join(map(str, spreads))
            lines.append(f"| {row}, {100 * sparsity:g} % pruned | {len(args.seeds)} | {cells} |")
            for (name, precision), values in zip(columns, zip(*[w.values() for w in found], strict=True), strict=True):
                figures.append({"row": row, "sparsity": sparsity, "set": name, "precision": precision, "wer": values})
    write_lines(args.work / "exp" / "int8.md", lines)
    write_json_file(args.work / "exp" / "int8.json", figures)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
