"""conf/slurm.conf: which sbatch flags an option of the recipe becomes.

    default gpu=0
    option mem=* --mem=$0                any value; $0 is the value
    option gpu=0                         this value: no flag
    option gpu=* --gres=gpu:$0
    flags --export=ALL                   of every job

The first line that fits an option counts.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dualmode.errors import UserError


@dataclass(frozen=True)
class SlurmConf:
    """The lines of the file.

    Attributes:
        path: of the file.
        always: flags of every job.
        defaults: options that a job has unless it says otherwise.
        rules: (name, value or "*", flags), in order.
    """

    path: Path
    always: tuple[str, ...]
    defaults: Mapping[str, str]
    rules: tuple[tuple[str, str, tuple[str, ...]], ...]

    @classmethod
    def read(cls, path: Path) -> "SlurmConf":
        """Raises UserError: the file is missing, or a line has another form; names it."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        always, defaults, rules = [], {}, []
        for number, line in enumerate(lines, start=1):
            try:
                kind, *words = shlex.split(line, comments=True) or [""]
            except ValueError as error:  # a quote or a backslash without its other half
                raise UserError(f"{path}:{number}: {str(error).lower()}: {line.strip()}") from None
            name, equals, value = words[0].partition("=") if words else ("", "", "")
            if kind == "flags":
                always += words
            elif kind in ("option", "default") and name and equals:
                if kind == "default":
                    defaults[name.replace("-", "_")] = value
                else:
                    rules.append((name.replace("-", "_"), value, tuple(words[1:])))
            elif kind:
                forms = "'option NAME=VALUE FLAGS', 'default NAME=VALUE' or 'flags FLAGS'"
                raise UserError(f"{path}:{number}: expected {forms}")
        return cls(path, tuple(always), defaults, tuple(rules))

    def flags(self, options: Mapping[str, str]) -> list[str]:
        """Return sbatch's flags for ``options``.

        Raises:
            UserError: no line fits an option; names it.
        """
        flags = list(self.always)
        for name, value in {**self.defaults, **options}.items():
            fitting = (words for known, wanted, words in self.rules if known == name and wanted in (value, "*"))
            words = next(fitting, None)
            if words is None:
                raise UserError(f"{self.path} has no line for the option {name}={value}")
            flags += [word.replace("$0", value) for word in words]
        return flags
