"""The recordings of a Kaldi folder that may be used: those of its wav.scp, less what validation has rejected."""

from pathlib import Path

from dualmode.data.rejection import rejected_ids
from dualmode_runtime.tables import iterate_wav_scp


def usable_recordings(wav_scp: Path) -> dict[str, str]:
    """Return the path of each utterance of a wav.scp, without those that the rejected.tsv beside it lists; says so.

    Raises:
        UserError: one of the two lists is malformed.
    """
    rejected = rejected_ids(wav_scp.with_name("rejected.tsv"))
    paths = dict(iterate_wav_scp(wav_scp))
    usable = {utt: path for utt, path in paths.items() if utt not in rejected}
    if left_out := len(paths) - len(usable):
        print(f"{wav_scp.parent}: {left_out} utterances that validation rejected are left out (rejected.tsv)")
    return usable
