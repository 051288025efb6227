"""How the entries of the codebooks are used: the first thing to look at when a pre-training goes wrong."""

import torch
from torch import Tensor, nn

DEAD_AFTER = 100  # training batches without being chosen


def perplexity(shares: Tensor) -> Tensor:
    """Return exp(entropy) of distributions (..., entries).

    >>> perplexity(torch.tensor([0.5, 0.5, 0.0, 0.0]))
    tensor(2.0000)
    """
    return torch.exp(-(shares * (shares + 1e-7).log()).sum(dim=-1))


def code_counts(codes: Tensor, entries: int) -> Tensor:
    """Return how often each entry is chosen, (groups, entries), of codes (frames, groups).

    >>> code_counts(torch.tensor([[0], [2], [0], [0]]), 3)
    tensor([[3., 0., 1.]])
    """
    ones = torch.ones(codes.T.shape, device=codes.device)
    return ones.new_zeros(codes.shape[1], entries).scatter_add_(1, codes.T, ones)


def of_all_processes(counts: Tensor) -> Tensor:
    """Return the sum of ``counts`` over the processes of a training; all of them must come here."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        counts = counts.clone()
        torch.distributed.all_reduce(counts)
    return counts


def mean_of_all_processes(x: Tensor) -> Tensor:
    """Return the mean over the frames x (frames, ...) of all processes of a training, all of which must come here.

    The gradient is that of the own frames' mean: processes are weighted by their frames when gradients meet, which
    makes it that of the mean over all frames.  So nothing is exchanged in the backward pass, where a process without
    frames would not take part.
    """
    own = x.sum(dim=0) / max(len(x), 1)
    total = of_all_processes(torch.cat([x.detach().sum(dim=0).flatten(), x.new_full((1,), len(x))]))
    everyone = total[:-1].view_as(own) / total[-1].clamp(min=1)
    return own + (everyone - own).detach()


class CodeUsage(nn.Module):
    """Counts for each entry how often training chose it, and for how many batches not; part of the checkpoint."""

    chosen: Tensor  # (groups, entries), frames
    idle: Tensor  # (groups, entries), batches

    def __init__(self, groups: int, entries: int):
        super().__init__()
        self.register_buffer("chosen", torch.zeros(groups, entries, dtype=torch.long))
        self.register_buffer("idle", torch.zeros(groups, entries, dtype=torch.long))
        self.names = [f"{what}{group}" for what in ("perplexity", "dead") for group in range(groups)]

    def forward(self, codes: Tensor) -> dict[str, Tensor]:
        """Return, for each codebook, ``perplexityN`` of a batch's codes (frames, groups), and ``deadN``.

        The perplexity is near 1 when all frames have one code, and at most the smaller of entries and frames.  ``dead``
        is the share of entries that the last 100 training batches did not choose.  Where several processes train, what
        training chose is counted over all of them: each calls this once a batch, or :meth:`absent`.
        """
        counts = code_counts(codes, self.idle.shape[1])
        shares = counts / max(len(codes), 1)
        if self.training:
            counts = of_all_processes(counts)
            self.chosen += counts.long()
            self.idle.add_(1).masked_fill_(counts > 0, 0)
        dead = (self.idle >= DEAD_AFTER).float().mean(dim=1)
        return dict(zip(self.names, [*perplexity(shares), *dead], strict=True))

    def absent(self) -> None:
        """Count a batch without codes, as other processes may have some."""
        self(self.chosen.new_zeros(0, len(self.chosen)))

    def constant_answer(self, codes: Tensor) -> Tensor:
        """Return the accuracy () of always naming the entry that training chose most often, on codes (frames, groups).

        >>> usage = CodeUsage(groups=1, entries=4)
        >>> _ = usage(torch.tensor([[2], [2], [3]]))
        >>> usage.constant_answer(torch.tensor([[2], [3], [3], [0]]))
        tensor(0.2500)
        """
        return (codes == self.chosen.argmax(dim=1)).float().mean()
