"""What a training starts from: the folder of another training, a packed model, or one sub-network alone."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from dualmode.encoder.config import EncoderConfig
from dualmode.errors import UserError
from dualmode.models.folder import ModelFolder
from dualmode.models.one_subnet import load_one_subnet
from dualmode.supernet.granularity import WholeUnits


def starting_config(opened: ModelFolder) -> EncoderConfig:
    """Return sizes, masks and contexts of the encoder that is handed over.

    A sub-network alone is all there is of its supernet: both branches have all of its weights (sparsities: [0]).

    Raises:
        UserError: it is a sub-network with pruned weights between kept ones, which a training would bring back.
    """
    about = opened.one_subnet
    if about is None:
        return opened.encoder_config
    if about["sparsity"] and about["granularity"] != str(WholeUnits()):
        raise UserError(
            f"{opened.path} is a sub-network alone, pruned in {about['granularity']}, which a training would fill "
            "again: start from its supernet, and take the sub-network out of what comes of it (dualmode subnet)"
        )
    return replace(opened.encoder_config, sparsities=(0.0,))


def starting_weights(opened: ModelFolder) -> dict[str, Tensor]:
    """Return the weights that are handed over, by the names of a model with :func:`starting_config`."""
    about = opened.one_subnet
    if about is None:
        return opened.weights()
    conf = {**about["config"], "encoder_conf": starting_config(opened).to_dict()}
    return load_one_subnet(opened.path, {**about, "config": conf}, opened.tokenizer).state_dict()


OF_CTC = ("distill_weight", "label_smoothing", "flat_start")


def inherited_model_conf(conf: Mapping, theirs: Mapping) -> dict:
    """Return ``conf``, a model_conf, completed by the kind of the recogniser that it starts from.

    What is for a CTC head that this recogniser does not have is left out, which is said.

    >>> inherited_model_conf({"distill_weight": 0.1}, {"kind": "rnnt", "transducer": {"context": 1}})
    {'kind': 'rnnt', 'transducer': {'context': 1}, 'distill_weight': 0.1}
    """
    if "kind" in conf:
        return dict(conf)
    kind = {key: theirs[key] for key in ("kind", "transducer") if theirs.get(key) is not None}
    found = {**kind, **conf}
    if isinstance(found.get("transducer"), Mapping) and found["transducer"].get("ctc_weight") == 0:
        if for_ctc := [key for key in OF_CTC if found.pop(key, None)]:
            print(f"model_conf: {', '.join(for_ctc)} left out: the recogniser has no CTC head", flush=True)
    return found
