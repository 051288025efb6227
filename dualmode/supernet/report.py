"""What a pruning did, for people: shares by layer and kind, what changed, importances, bytes."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dualmode.supernet.masked_linear import prunable
from dualmode.supernet.pruning import PruningRule, importances

BINS = 40


def layer_report(module: nn.Module, level: int) -> list[dict]:
    """Return, for every prunable layer below ``module``, its name, shape, kind and the share of weights kept."""
    return [
        {
            "name": name,
            "kind": name.split(".")[-2],
            "shape": list(layer.weight.shape),
            "kept_share": layer.masks[level - 1].float().mean().item(),
        }
        for name, layer in prunable(module)
    ]


def shares_by_kind(layers: list[dict]) -> dict[str, float]:
    """Return the share of weights kept of each kind of layer; ``layers`` as :func:`layer_report` gives them."""
    kept: dict[str, float] = {}
    total: dict[str, int] = {}
    for layer in layers:
        size = layer["shape"][0] * layer["shape"][1]
        kept[layer["kind"]] = kept.get(layer["kind"], 0.0) + size * layer["kept_share"]
        total[layer["kind"]] = total.get(layer["kind"], 0) + size
    return {kind: kept[kind] / total[kind] for kind in kept}


def changed_share(before: Mapping[str, Tensor], module: nn.Module, level: int) -> float | None:
    """Return the share of entries of ``level``'s mask that differ from one of before; None if there was no such mask.

    Args:
        before: that mask of each layer, (out_features, in_features): of the same sparsity, whatever its level was.
    """
    changed = total = 0
    for name, layer in prunable(module):
        mask = layer.masks[level - 1]
        if name not in before or before[name].shape != mask.shape:
            return None
        changed += int((before[name] != mask).sum())
        total += mask.numel()
    return changed / total


def importance_histogram(module: nn.Module, rule: PruningRule) -> dict:
    """Count groups by importance, for each kind of layer.

    Returns:
        ``edges``: of the bins, from the least to the largest importance but one in a thousand, as multiples of the mean
        of the group's layer; the last bin is open.  ``kinds``: by kind, ``groups`` in each bin, and ``kept`` for each
        sparsity.
    """
    importance, rankings = importances(module), list(rule.granularity.rankings(module))
    scores = [ranking.scores(importance).flatten() for ranking in rankings]
    scores = [values / values.mean().clamp(min=1e-30) for values in scores]
    everything = torch.cat(scores).sort().values
    low, high = everything[0].item(), everything[int(0.999 * (len(everything) - 1))].item()
    width = max(high - low, 1e-6) / BINS
    kinds: dict[str, dict] = {}
    for ranking, values in zip(rankings, scores, strict=True):
        of_kind = kinds.setdefault(next(iter(ranking.layers)).split(".")[-2], {"groups": 0, "kept": {}})
        bins = ((values - low) / width).long().clamp(0, BINS - 1)
        of_kind["groups"] += torch.bincount(bins, minlength=BINS)
        for level, sparsity in enumerate(rule.sparsities, 1):
            kept = torch.bincount(bins[ranking.kept(level).flatten()], minlength=BINS)
            of_kind["kept"][f"{sparsity:g}"] = of_kind["kept"].get(f"{sparsity:g}", 0) + kept
    return {
        "edges": [low + width * edge for edge in range(BINS + 1)],
        "kinds": {
            kind: {
                "groups": counts["groups"].tolist(),
                "kept": {s: kept.tolist() for s, kept in counts["kept"].items()},
            }
            for kind, counts in kinds.items()
        },
    }
