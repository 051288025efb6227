"""Which sub-network a user means, and whether the supernet was trained to be it."""

from dualmode.encoder.config import EncoderConfig
from dualmode.errors import UserError
from dualmode.supernet.subnet import Context, Subnet


def check_trained(config: EncoderConfig, subnet: Subnet) -> None:
    """Raise UserError if the supernet was not trained to run as ``subnet``."""
    config.level(subnet.sparsity)
    trained = config.trained_subnets()
    if subnet not in trained:
        names = [str(one) for one in trained]
        raise UserError(
            f"this model was not trained to run as: {subnet}; it was trained as: {'; '.join(names)} "
            "(--force, or force=True, runs it all the same)"
        )


def choose_sparsity(config: EncoderConfig, name: str) -> float:
    """Return the sparsity that a user names: "dense", "sparse" (the supernet's first) or one, "sparse_0.7".

    Raises:
        UserError: there is no such name or sparsity.
    """
    kind, _, number = name.partition("_")
    try:
        sparsity = {"dense": 0.0, "sparse": config.usual_sparsity}[kind]
        if number:
            sparsity = float(number)
    except (KeyError, ValueError):
        sparsity = -1.0
    if sparsity < 0 or (kind == "dense") != (sparsity == 0) or sparsity != sparsity:
        there_are = "dense, sparse, or one sparsity such as sparse_0.7"
        if not config.masked:
            there_are = "dense, with a chunk too (--chunk-ms, chunk_ms): the supernet prunes nothing"
        raise UserError(f"there is no sub-network {name!r}: it is {there_are}")
    config.level(sparsity)
    return sparsity


def choose_subnet(
    config: EncoderConfig,
    name: str,
    chunk_ms: float | None = None,
    left_ms: float | None = None,
    lookahead_ms: float | None = None,
) -> Subnet:
    """Return the sub-network that a user names.

    Args:
        config: of the supernet.
        name: see :func:`choose_sparsity`.
        chunk_ms, left_ms, lookahead_ms: context; by default the full one for "dense", and what validation used for
            others.

    Raises:
        UserError: there is no such name or sparsity, or the context is impossible.
    """
    sparsity = choose_sparsity(config, name)
    if sparsity == 0 and chunk_ms is None and left_ms is None and lookahead_ms is None:
        return Subnet()
    usual = config.contexts[0]
    return Subnet(
        sparsity,
        Context.from_ms(
            usual.chunk_ms if chunk_ms is None else chunk_ms,
            usual.left_ms if left_ms is None else left_ms,
            usual.lookahead_ms if lookahead_ms is None else lookahead_ms,
        ),
    )
