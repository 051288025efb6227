"""A GPU that is not there: tensors that say they are on it, and hold their values in main memory.

What a machine with a GPU refuses is refused, and what makes it wait is counted, without one::

    tensors of both devices in one operation       refused, but for single numbers (), which torch takes along
    a generator of another device                  refused
    a collective of tensors that are elsewhere     refused, as NCCL does
    a value read (item, tolist, .cpu()), a copy
    from memory that is not pinned, a result whose
    shape depends on values (nonzero, unique)      counted in ``waits``, by the function that asks for it

Values are those of the CPU, so a training that draws nothing gives the same numbers on both.  torch lets one device be
made in Python and calls it PrivateUse1; it stays for the life of a process, so that tests run in one of their own.
Mixed precision casts what it casts on CUDA, as far as these lists go.
"""

import sys
from collections import Counter

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _DummyDeviceGuard,
    _DummyPrivateUse1Hook,
    _setup_privateuseone_for_python_backend,
)

NAME = "gpu"
CAST_LOWER = (
    *("linear", "matmul", "mm", "bmm", "addmm", "addbmm", "baddbmm", "einsum", "conv1d", "conv2d"),
    *("scaled_dot_product_attention", "lstm.input"),
)
CAST_FLOAT32 = (
    *("layer_norm", "softmax.int", "log_softmax.int", "logsumexp", "exp", "log", "rsqrt", "pow.Tensor_Scalar", "sum"),
    *("sum.dim_IntList", "cumsum", "nll_loss", "nll_loss_nd", "cross_entropy_loss", "kl_div", "norm.ScalarOpt_dim"),
)
PROMOTED = ("cat", "stack", "addcmul", "index_put", "scatter_add", "dot")
# Of operations whose results' shapes are read from the device.
SHAPED_BY_VALUES = {"nonzero", "unique_dim", "_unique2", "masked_select", "repeat_interleave.Tensor", "equal"}
WITH_LENGTHS_ON_THE_CPU = {"_ctc_loss.Tensor", "rnnt_loss_forward"}  # their kernels read the lengths of a batch

waits: Counter[str] = Counter()  # by the function of dualmode that asks for what takes waiting


class Module(_DummyBackendModule):
    """What torch.gpu would be."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


class OnGpu(Tensor):
    """A tensor of the GPU that is not there; ``values`` has what it holds."""

    values: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: Tensor):
        with torch.inference_mode(False):  # of a view of such a tensor torch could not make one
            made = torch.Tensor._make_wrapper_subclass(
                cls, values.size(), strides=values.stride(), dtype=values.dtype, device=torch.device(NAME, 0)
            )
        made.values = values
        return made

    def __repr__(self) -> str:  # type: ignore[override]  # knows nothing of tensor_contents
        return f"on {NAME}: {self.values!r}"

    def tolist(self):
        return self.cpu().tolist()  # torch's own reads memory, which is not here

    def __reduce_ex__(self, protocol):
        return self.values.clone().__reduce_ex__(protocol)  # as a checkpoint is read: onto the CPU

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})


class PretendedGpu(TorchDispatchMode):
    """While it lasts, tensors may be made on ``torch.device("gpu", 0)`` or moved there."""

    def __init__(self):
        super().__init__()
        register()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})


def changed(value, change):
    """Return ``value`` with its tensors, in lists, tuples and dictionaries too, as ``change`` returns them."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)([changed(part, change) for part in value])
    if isinstance(value, dict):
        return {name: changed(part, change) for name, part in value.items()}
    return value


def run(operation, args, kwargs):
    """Run an operation on the values, if all it is given is in one place."""
    if torch._C._dispatch_has_kernel_for_dispatch_key(operation.name(), "CompositeImplicitAutograd"):
        with PretendedGpu():  # inference mode asks for these as a whole; of what they are made of
            return operation.decompose(*args, **kwargs)
    name = str(operation).split(".", 1)[1].removesuffix(".default")
    given: list[Tensor] = []
    changed((args, kwargs), given.append)
    there, here = ([one for one in given if isinstance(one, OnGpu) == wanted] for wanted in (True, False))
    asked = kwargs.get("device")
    place = torch.device(asked).type if asked is not None else NAME if there else "cpu"
    moves = name in ("_to_copy", "copy_")
    if there and not moves and any(one.dim() for one in here):
        raise RuntimeError(f"{name}: some tensors are on the GPU, others are not")
    if str(operation).startswith("c10d") and here:
        raise RuntimeError(f"{name}: NCCL exchanges nothing that is not on the GPU")
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != place:
        raise RuntimeError(f"{name}: a generator of the {generator.device.type} cannot draw on the {place}")
    if has_to_wait(name, args, kwargs, bool(there), place):
        waits[asks()] += 1
    known = {id(one.values): one for one in there}
    inner, options = changed((args, kwargs), lambda one: one.values if isinstance(one, OnGpu) else one)
    if asked is not None:
        options["device"] = torch.device("cpu")
    found = operation(*inner, **options)
    if place == "cpu":
        return found
    return changed(found, lambda one: known[id(one)] if id(one) in known else OnGpu(one))


def has_to_wait(name: str, args, kwargs, there: bool, place: str) -> bool:
    """Return whether a CUDA device would have to finish its work before this one could begin or end."""
    if name == "_to_copy":  # a copy from pinned memory is asked for with non_blocking
        return there != (place == NAME) and not kwargs.get("non_blocking")
    if name == "copy_":
        return isinstance(args[0], OnGpu) != isinstance(args[1], OnGpu) and not (len(args) > 2 and args[2])
    if not there:
        return False
    if name in ("index.Tensor", "index_put_", "index_put"):
        return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    return name == "_local_scalar_dense" or name in SHAPED_BY_VALUES or name in WITH_LENGTHS_ON_THE_CPU


def asks() -> str:
    """Return the function of dualmode that has been called last, as module.function."""
    frame = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__", "")  # a compiled file may name a place that it was copied from
        if module.startswith("dualmode."):
            return f"{module.rpartition('.')[2]}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"


_held: list = []  # torch keeps no reference to these


def register() -> None:
    """Make the device known to torch, once in a process."""
    if _held:
        return
    # The engine has threads for devices, which such a one would not survive.
    torch.autograd.set_multithreading_enabled(False)
    hook, guard = _DummyPrivateUse1Hook(), _DummyDeviceGuard()
    _setup_privateuseone_for_python_backend(NAME, Module(), hook, guard)
    everything, aten = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    everything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    torch._C._set_only_lift_cpu_tensors(True)  # data becomes a tensor of the CPU, and is moved where it can be seen
    _held.extend((hook, guard, everything, aten))
    for names, choose in ((CAST_LOWER, lower), (CAST_FLOAT32, single), (PROMOTED, widest)):
        for name in names:
            packet, _, overload = name.partition(".")
            operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
            aten.impl(name, casting(operation, choose), "AutocastPrivateUse1")


def lower(_) -> torch.dtype:
    return torch.get_autocast_dtype(NAME)


def single(_) -> torch.dtype:
    return torch.float32


def widest(tensors: list[Tensor]) -> torch.dtype:
    return torch.float32 if any(one.dtype == torch.float32 for one in tensors) else lower(tensors)


def casting(operation, choose):
    """Return the operation with floating-point tensors of the GPU cast to what ``choose`` says, as autocast does."""
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def fits(one: Tensor) -> bool:
        return one.device.type == NAME and one.is_floating_point() and one.dtype != torch.float64

    def kernel(*args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(key):
            given: list[Tensor] = []
            changed((args, kwargs), given.append)
            tensors = [one for one in given if fits(one)]
            dtype = choose(tensors) if tensors else None
            cast = changed((args, kwargs), lambda one: one.to(dtype) if fits(one) else one)
            return operation(*cast[0], **cast[1])

    return kernel
