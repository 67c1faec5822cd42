"""Functions of torch that people write in ``forward`` between two convolutions, on a map of 8 channels, 24 x 24."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

_ROW = torch.linspace(-1, 1, 24)
_MASK = (torch.arange(24)[:, None] + torch.arange(24)) % 3 == 0
_CHANNEL = torch.linspace(0.1, 0.8, 8)[:, None, None]
_MAP = torch.linspace(-1, 1, 8 * 24 * 24).reshape(8, 24, 24).sin()
_THETA = torch.tensor([[[0.9, 0.1, 0.05], [-0.1, 0.8, 0.0]]])

VALUES: dict[str, Callable[[Tensor], Tensor]] = {
    "x.abs() - 0.1 * x.sign()": lambda x: x.abs() - 0.1 * x.sign(),
    "-x": lambda x: -x,
    "x.exp()": lambda x: x.exp(),
    "x.expm1()": lambda x: x.expm1(),
    "torch.log(x.abs() + 0.1)": lambda x: torch.log(x.abs() + 0.1),
    "torch.log1p(x.abs())": lambda x: torch.log1p(x.abs()),
    "torch.sqrt(x.relu() + 1e-3)": lambda x: torch.sqrt(x.relu() + 1e-3),
    "torch.rsqrt(x * x + 1)": lambda x: torch.rsqrt(x * x + 1),
    "1 / (1 + x.abs())": lambda x: 1 / (1 + x.abs()),
    "x ** 2": lambda x: x**2,
    "x ** 3": lambda x: x**3,
    "x.relu() ** 2": lambda x: x.relu() ** 2,
    "x.relu() ** 1.5": lambda x: x.relu() ** 1.5,
    "x.sin() + x.cos()": lambda x: x.sin() + x.cos(),
    "x.tan()": lambda x: x.clamp(-1, 1).tan(),
    "x.atan()": lambda x: x.atan(),
    "x.asin() + x.acos()": lambda x: (0.5 * x.tanh()).asin() + (0.3 * x.tanh()).acos(),
    "x.sinh() + x.cosh()": lambda x: x.sinh() + x.cosh(),
    "x.asinh()": lambda x: x.asinh(),
    "x.erf()": lambda x: x.erf(),
    "x.floor()": lambda x: (4 * x).floor(),
    "x.round()": lambda x: (4 * x).round(),
    "x.ceil()": lambda x: (4 * x).ceil(),
    "x.trunc()": lambda x: (4 * x).trunc(),
    "x.frac()": lambda x: (4 * x).frac(),
    "torch.fmod(x, 0.5)": lambda x: torch.fmod(x, 0.5),
    "torch.remainder(x, 0.5)": lambda x: torch.remainder(x, 0.5),
    "x.clamp(-0.2, 0.3)": lambda x: x.clamp(-0.2, 0.3),
    "x.clamp(min=0.1)": lambda x: x.clamp(min=0.1),
    "x.clamp(max=tensor)": lambda x: torch.clamp(x, max=torch.tensor(0.3)),
    "x.clamp(channel bounds)": lambda x: torch.clamp(x, -_CHANNEL, _CHANNEL),
    "torch.minimum(x, 1)": lambda x: torch.minimum(x, torch.ones(1)),
    "torch.maximum(x, map)": lambda x: torch.maximum(x, _MAP),
    "torch.where(x > 0, x, 0)": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    "torch.where(x > 0, x, 0.1 * x)": lambda x: torch.where(x > 0, x, 0.1 * x),
    "torch.where(x < 0.1, x.exp(), x)": lambda x: torch.where(x < 0.1, x.exp(), x),
    "torch.where(two conditions)": lambda x: torch.where((x > -0.2) & ~(x >= 0.2), x, x * 0.5),
    "torch.where(constant mask, x, 0)": lambda x: torch.where(_MASK, x, 0.0),
    "torch.where(x > x.roll, ...)": lambda x: torch.where(x > x.roll(1, 1), x, -x),
    "x.masked_fill(x < 0, -1)": lambda x: x.masked_fill(x < 0, -1.0),
    "x.masked_fill(mask, 0.3)": lambda x: x.masked_fill(_MASK, 0.3),
    "x * (x > 0)": lambda x: x * (x > 0),
    "x * (x > 0).float()": lambda x: x * (x > 0).float(),
    "(x > 0).float()": lambda x: (x > 0).float(),
    "torch.heaviside": lambda x: torch.heaviside(x, torch.tensor(0.5)),
    "torch.nan_to_num(x)": lambda x: torch.nan_to_num(x),
    "torch.where(x.isnan(), 0, x)": lambda x: torch.where(x.isnan(), 0.0, x),
    "torch.lerp(x, map, 0.3)": lambda x: torch.lerp(x, _MAP, 0.3),
    "torch.addcmul": lambda x: torch.addcmul(x, x, _MAP, value=0.5),
    "torch.sigmoid(x) * x.tanh()": lambda x: torch.sigmoid(x) * x.tanh(),
    "torch.logit(x.sigmoid())": lambda x: torch.logit(x.sigmoid(), 1e-3),
    "x.logaddexp(0)": lambda x: torch.logaddexp(x, torch.zeros(1)),
    "x / x.abs().add(1)": lambda x: x / x.abs().add(1),
    "x.half().float()": lambda x: x.half().float(),
    "x.double().float()": lambda x: x.double().sin().float(),
    "x.type(int).float()": lambda x: (10 * x).int().float(),
    "fake_quantize": lambda x: torch.fake_quantize_per_tensor_affine(x, 0.02, 0, -128, 127),
    "x * map + map": lambda x: x * _MAP + _MAP,
    "x * row": lambda x: x * _ROW,
    "x / channel": lambda x: x / _CHANNEL,
    "channel / (x.abs() + 1)": lambda x: _CHANNEL / (x.abs() + 1),
    "channel ** x": lambda x: _CHANNEL**x,
    "x.softmax(1) * x": lambda x: x.softmax(1) * x,
}
"""Of the values alone."""

CHANNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "x.mean(1)": lambda x: x * x.mean(1, keepdim=True),
    "x.amax(1) + x.amin(1)": lambda x: x + x.amax(1, keepdim=True) + x.amin(1, keepdim=True),
    "x.std(1)": lambda x: x / (x.std(1, keepdim=True) + 0.1),
    "x.var(1)": lambda x: x - x.var(1, keepdim=True),
    "x.norm(dim=1)": lambda x: x + x.norm(dim=1, keepdim=True),
    "x.sum(1), no keepdim": lambda x: x.sum(1).unsqueeze(1),
    "x.prod(1)": lambda x: x + x.prod(1, keepdim=True),
    "x.logsumexp(1)": lambda x: x - x.logsumexp(1, keepdim=True),
    "x.cumsum(1)": lambda x: x.cumsum(1),
    "x == x.amax(1)": lambda x: x * (x == x.amax(1, keepdim=True)),
    "one_hot(x.argmax(1))": lambda x: F.one_hot(x.argmax(1), 8).permute(0, 3, 1, 2).float(),
    "x.topk(3, 1)": lambda x: x.topk(3, 1)[0],
    "x.sort(1)": lambda x: x.sort(1)[0],
    "x.median(1)": lambda x: x + x.median(1, keepdim=True)[0],
    "F.normalize(x, dim=1)": lambda x: F.normalize(x, dim=1),
    "maxout": lambda x: x.unflatten(1, (4, 2)).amax(2),
    "maxout by chunk": lambda x: torch.maximum(*x.chunk(2, 1)),
    "torch.cat([x, -x], 1).relu()": lambda x: torch.cat([x, -x], 1).relu(),
    "torch.cat([x, map], 1)": lambda x: torch.cat([x, _MAP[None].expand(x.shape[0], -1, -1, -1)], 1),
    "coordinates": lambda x: torch.cat([x, _ROW.expand(x.shape[0], 1, 24, 24)], 1),
    "x.chunk(2, 1)": lambda x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1].sigmoid(),
    "x[:, ::2]": lambda x: x[:, ::2],
    "x[:, 0]": lambda x: x[:, 0].unsqueeze(1),
    "torch.stack([x[:, 1], x[:, 0]], 1)": lambda x: torch.stack([x[:, 1], x[:, 0]], 1),
    "x[:, [2, 1, 0]]": lambda x: x[:, [2, 1, 0]],
    "x.index_select(1)": lambda x: x.index_select(1, torch.tensor([3, 3, 0])),
    "x.repeat(1, 3, 1, 1)": lambda x: x.repeat(1, 3, 1, 1),
    "x.repeat_interleave(2, 1)": lambda x: x.repeat_interleave(2, 1),
    "x[:, :1].expand": lambda x: x[:, :1].expand(-1, 3, -1, -1),
    "x.roll(1, 1)": lambda x: x.roll(1, 1),
    "x.flip(1)": lambda x: x.flip(1),
    "shift channels": lambda x: torch.cat([x[:, 1:], x[:, :1]], 1),
    "F.pad of channels": lambda x: F.pad(x, (0, 0, 0, 0, 2, 2)),
    "einsum 1x1": lambda x: torch.einsum("bchw,dc->bdhw", x, torch.eye(8).roll(1, 0) * 0.5),
    "x.permute @ M": lambda x: (x.permute(0, 2, 3, 1) @ torch.eye(8)[:, [1, 0, 2]]).permute(0, 3, 1, 2),
    "M @ x.flatten(2)": lambda x: (torch.eye(8).roll(1, 0) @ x.flatten(2)).unflatten(2, (24, 24)),
    "x.flatten(2).transpose @ M": lambda x: (x.flatten(2).mT @ torch.eye(8)).mT.unflatten(2, (24, 24)),
    "groups by view": lambda x: (x.unflatten(1, (2, 4)) * torch.tensor([1.0, 2.0])[:, None, None, None]).flatten(1, 2),
}
"""Of each pixel's channels."""

PIXELS: dict[str, Callable[[Tensor], Tensor]] = {
    "x.view(-1, C, H, W)": lambda x: x.view(-1, 8, 24, 24),
    "x.flatten(2).view": lambda x: x.flatten(2).relu().view(x.shape),
    "x.flatten(2) - mean": lambda x: ((x.flatten(2) - 0.3) / 0.2).view(x.shape),
    "x.flatten(1), affine, view": lambda x: (x.flatten(1) * _MAP.flatten() + 0.1).view(x.shape),
    "x.unsqueeze(2).squeeze(2)": lambda x: x.unsqueeze(2).relu().squeeze(2),
    "x.permute.permute": lambda x: x.permute(0, 2, 3, 1).sigmoid().permute(0, 3, 1, 2),
    "x.transpose(2, 3)": lambda x: x.transpose(2, 3),
    "x.flip(2, 3)": lambda x: x.flip(2, 3),
    "torch.rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "x.roll((2, 3), (2, 3))": lambda x: x.roll((2, 3), (2, 3)),
    "x[:, :, ::2, 1::2]": lambda x: x[:, :, ::2, 1::2],
    "crop and pad": lambda x: F.pad(x[:, :, 2:-2, 2:-2], (2, 2, 2, 2)),
    "differences": lambda x: x[:, :, 1:] - x[:, :, :-1],
    "F.pad reflect": lambda x: F.pad(x, (1, 2, 0, 1), mode="reflect"),
    "temporal shift": lambda x: torch.cat([F.pad(x[:, :4], (1, 0))[..., :-1], x[:, 4:]], 1),
    "focus slices": lambda x: torch.cat([x[..., a::2, b::2] for a in (0, 1) for b in (0, 1)], 1),
    "F.unfold, amax": lambda x: F.unfold(x, 3, padding=1).view(-1, 8, 9, 24, 24).amax(2),
    "x.unfold(2, 4, 4)": lambda x: x.unfold(2, 4, 4).mean(-1),
    "blocks by view, mean": lambda x: x.view(-1, 8, 12, 2, 12, 2).mean((3, 5)),
    "blocks by view, amax": lambda x: x.view(-1, 8, 12, 2, 12, 2).amax((3, 5)),
    "x.repeat_interleave(2, 2)": lambda x: x.repeat_interleave(2, 2),
    "x.repeat(1, 1, 2, 2)": lambda x: x.repeat(1, 1, 2, 2),
    "window partition and back": lambda x: (
        x.view(-1, 8, 4, 6, 4, 6).permute(0, 2, 4, 3, 5, 1).relu().permute(0, 5, 1, 3, 2, 4).reshape(-1, 8, 24, 24)
    ),
    "x @ M, of rows": lambda x: x @ torch.full((24, 24), 0.05),
    "M @ x, of columns": lambda x: torch.eye(24).roll(1, 0) @ x,
    "x.mean(3)": lambda x: x + x.mean(3, keepdim=True),
    "x.amax(2)": lambda x: x + x.amax(2, keepdim=True),
    "grid_sample": lambda x: F.grid_sample(
        x, F.affine_grid(_THETA.expand(x.shape[0], -1, -1), [1, 8, 24, 24], align_corners=False), align_corners=False
    ),
    "x.cumsum(2)": lambda x: x.cumsum(2),
    "x.tril()": lambda x: x.tril(),
    "dilation by max_pool2d": lambda x: F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(-x, 3, 1, 1),
    "x - F.avg_pool2d(x)": lambda x: x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "local response by conv": lambda x: x / (1 + F.conv2d(x * x, torch.full((8, 8, 1, 1), 0.1))).sqrt(),
}
"""That move or mix pixels."""

WHOLE: dict[str, Callable[[Tensor], Tensor]] = {
    "squeeze and excitation": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "x - x.mean((2, 3))": lambda x: x - x.mean((2, 3), keepdim=True),
    "x * softmax(x.mean((2, 3)))": lambda x: x * x.mean((2, 3)).softmax(1)[:, :, None, None],
    "(x - x.min()) / (x.max() - x.min())": lambda x: (x - x.min()) / (x.max() - x.min() + 1e-8),
    "spatial gate": lambda x: x * F.conv2d(x, torch.full((1, 8, 3, 3), 0.1), padding=1).sigmoid(),
    "GRN": lambda x: (
        x * (x.norm(dim=(2, 3), keepdim=True) / (x.norm(dim=(2, 3), keepdim=True).mean(1, keepdim=True) + 1e-6))
    ),
    "Gram matrix": lambda x: (x.flatten(2) @ x.flatten(2).mT / 576).unsqueeze(1),
    "linear attention": lambda x: (x.flatten(2) @ x.flatten(2).mT / 576 @ x.flatten(2)).unflatten(2, (24, 24)),
    "x + global vector": lambda x: x + x.amax((2, 3), keepdim=True),
}
"""Of the whole map."""

IDIOMS = VALUES | CHANNELS | PIXELS | WHOLE
