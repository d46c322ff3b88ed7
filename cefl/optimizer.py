"""PyTorch's SGD, started without `torch.compile`."""

from __future__ import annotations

import inspect

import torch


class SGD(torch.optim.SGD):
    """`torch.optim.SGD`, whose calls do not import the compiler to tell it that it must leave them alone.

    That import takes a processor 1.3 s and more of every process that trains, and nothing here is compiled.
    The methods are PyTorch's own, as they stand below their decorators. The numbers are the same.
    """

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
    zero_grad = inspect.unwrap(torch.optim.SGD.zero_grad)
    add_param_group = inspect.unwrap(torch.optim.SGD.add_param_group)
    state_dict = inspect.unwrap(torch.optim.SGD.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.SGD.load_state_dict)
