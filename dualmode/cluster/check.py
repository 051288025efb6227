"""Will a job wrapper take the jobs of a recipe?  Looked at before any work, not behind the trainings::

python -m dualmode.cluster.check "tools/cluster/slurm.pl --mem 4G"
"""

import shutil
import sys
from pathlib import Path

from dualmode.cluster.command import parse, split_wrapper
from dualmode.cluster.slurm import NO_SBATCH, ROOT, flags_of
from dualmode.errors import UserError
from dualmode_runtime.cli import run


def check_wrapper(text: str) -> None:
    """Raise UserError if the program is not there; slurm.pl must take the options and have sbatch."""
    name, *options = split_wrapper(text, "it")
    program = shutil.which(name)
    if program is None:
        raise UserError(f"there is no program {name}")
    if Path(program).resolve() == ROOT / "tools" / "cluster" / "slurm.pl":
        flags_of(parse([*options, "log", "true"]).options)
        if shutil.which("sbatch") is None:
            raise UserError(NO_SBATCH)


if __name__ == "__main__":
    run(lambda _: check_wrapper(sys.argv[1]))
