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
    """Return the share of mask entries that differ from the masks ``before``; None if there was no such mask."""
    changed = total = 0
    for name, layer in prunable(module):
        if name not in before or before[name].shape != layer.masks.shape:
            return None
        changed += int((before[name][level - 1] != layer.masks[level - 1]).sum())
        total += layer.masks[level - 1].numel()
    return changed / total


def importance_histogram(module: nn.Module, rule: PruningRule) -> dict:
    """Count groups by importance.

    Returns:
        ``edges``: of the bins, as multiples of the mean importance of the group's layer; the last bin is open.
        ``groups``: in each bin.
        ``kept``: for each sparsity, those that stay.
    """
    edges = torch.linspace(0, 4, BINS + 1)
    importance = importances(module)
    groups, kept = torch.zeros(BINS), torch.zeros(len(rule.sparsities), BINS)
    for ranking in rule.granularity.rankings(module):
        scores = ranking.scores(importance)
        bins = (scores / scores.mean().clamp(min=1e-30) * BINS / 4).long().clamp(max=BINS - 1).flatten()
        groups += torch.bincount(bins, minlength=BINS)
        for level in range(len(rule.sparsities)):
            kept[level] += torch.bincount(bins[ranking.kept(level + 1).flatten()], minlength=BINS)
    return {
        "edges": edges.tolist(),
        "groups": groups.long().tolist(),
        "kept": {f"{s:g}": row.long().tolist() for s, row in zip(rule.sparsities, kept, strict=True)},
    }
