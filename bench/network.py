"""CornerNet on HourglassNet-104 in plain PyTorch, its modules named as in mmdetection's checkpoints, for the peers of the benchmark."""
import numpy as np
import torch
from torch import nn

CHANNELS = [256, 256, 384, 384, 384, 512]
BLOCKS = [2, 2, 2, 2, 2, 4]
STACKS = 2
CLASSES = 80


class ConvModule(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, norm=True, relu=True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not norm)
        self.bn = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.act = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


def layer(inputs, outputs, blocks, stride=1, change_last=False):
    if change_last:
        return nn.Sequential(*[BasicBlock(inputs, inputs) for _ in range(blocks - 1)], BasicBlock(inputs, outputs))
    return nn.Sequential(BasicBlock(inputs, outputs, stride), *[BasicBlock(outputs, outputs) for _ in range(blocks - 1)])


class Hourglass(nn.Module):
    def __init__(self, stage=0):
        super().__init__()
        here, below, blocks = CHANNELS[stage], CHANNELS[stage + 1], BLOCKS[stage]
        self.up1 = layer(here, here, blocks)
        self.low1 = layer(here, below, blocks, 2)
        self.low2 = Hourglass(stage + 1) if stage + 2 < len(CHANNELS) else layer(below, below, BLOCKS[stage + 1])
        self.low3 = layer(below, here, blocks, change_last=True)

    def forward(self, x):
        up = self.up1(x)
        return up + nn.functional.interpolate(self.low3(self.low2(self.low1(x))), size=up.shape[2:])


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        width = CHANNELS[0]
        self.stem = nn.Sequential(ConvModule(3, 128, 7, 2), layer(128, width, 1, 2))
        self.hourglass_modules = nn.ModuleList(Hourglass() for _ in range(STACKS))
        self.inters = layer(width, width, STACKS - 1)
        self.conv1x1s = nn.ModuleList(ConvModule(width, width, 1, relu=False) for _ in range(STACKS - 1))
        self.out_convs = nn.ModuleList(ConvModule(width, 256, 3) for _ in range(STACKS))
        self.remap_convs = nn.ModuleList(ConvModule(256, width, 1, relu=False) for _ in range(STACKS - 1))

    def forward(self, x):
        x = self.stem(x)
        levels = []
        for i in range(STACKS):
            levels.append(self.out_convs[i](self.hourglass_modules[i](x)))
            if i + 1 < STACKS:
                x = self.inters[i](torch.relu(self.conv1x1s[i](x) + self.remap_convs[i](levels[-1])))
        return levels


def running_max_of_torch(x, dim, backwards):
    """As mmdetection computes it with its operator's fallback: cummax, mirrored where it runs backwards."""
    return x.flip(dim).cummax(dim)[0].flip(dim) if backwards else x.cummax(dim)[0]


def running_max_by_doubling(x, dim, backwards):
    """The same from slices and maxima, which every exporter knows: ONNX has no running maximum."""
    step, length = 1, x.shape[dim]
    while step < length:
        kept, moved = (x.narrow(dim, 0, length - step), x.narrow(dim, step, length - step))
        if backwards:
            x = torch.cat([torch.maximum(kept, moved), x.narrow(dim, length - step, step)], dim)
        else:
            x = torch.cat([x.narrow(dim, 0, step), torch.maximum(moved, kept)], dim)
        step *= 2
    return x


class CornerPool(nn.Module):
    running_max = staticmethod(running_max_of_torch)

    def __init__(self, backwards):
        super().__init__()
        self.backwards = backwards
        self.direction1_conv = ConvModule(256, 128, 3)
        self.direction2_conv = ConvModule(256, 128, 3)
        self.aftpool_conv = ConvModule(128, 256, 3, relu=False)
        self.conv1 = ConvModule(256, 256, 1, relu=False)
        self.conv2 = ConvModule(256, 256, 3)

    def forward(self, x):
        pool = CornerPool.running_max
        pooled = pool(self.direction1_conv(x), 2, self.backwards) + pool(self.direction2_conv(x), 3, self.backwards)
        return self.conv2(torch.relu(self.aftpool_conv(pooled) + self.conv1(x)))


def branch(outputs):
    return nn.Sequential(ConvModule(256, 256, 3, norm=False), ConvModule(256, outputs, 1, norm=False, relu=False))


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        for corner in ('tl', 'br'):
            self.add_module(f'{corner}_pool', nn.ModuleList(CornerPool(corner == 'tl') for _ in range(STACKS)))
            for name, outputs in (('heat', CLASSES), ('off', 2), ('emb', 1)):
                self.add_module(f'{corner}_{name}', nn.ModuleList(branch(outputs) for _ in range(STACKS)))

    def forward(self, x, level):
        maps = []
        for corner in ('tl', 'br'):
            pooled = getattr(self, f'{corner}_pool')[level](x)
            maps += [getattr(self, f'{corner}_{name}')[level](pooled) for name in ('heat', 'emb', 'off')]
        return tuple(maps)


class CornerNet(nn.Module):
    """Six maps of the last level; with `all_heads` the other level's are computed too, and dropped, as mmdetection's test does."""

    def __init__(self, all_heads):
        super().__init__()
        self.all_heads = all_heads
        self.backbone = Backbone()
        self.bbox_head = Head()

    def forward(self, x):
        levels = self.backbone(x)
        if self.all_heads:
            for level in range(STACKS - 1):
                self.bbox_head(levels[level], level)
        return self.bbox_head(levels[-1], STACKS - 1)


def load(file, all_heads=False, exportable=False):
    CornerPool.running_max = staticmethod(running_max_by_doubling if exportable else running_max_of_torch)
    with torch.device('meta'):
        model = CornerNet(all_heads)
    model.load_state_dict(torch.load(file, mmap=True, weights_only=True)['state_dict'], assign=True)
    return model.eval().requires_grad_(False)


def network_input(file, width, height, views):
    """Raw RGB bytes to the padded, normalised views, as csrc/ops/image.h defines them."""
    pixels = np.fromfile(file, np.uint8).reshape(height, width, 3).astype(np.float32)
    tall, wide = height | 127, width | 127
    top, left = tall // 2 - height // 2, wide // 2 - width // 2
    mean, std = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
    canvas = np.zeros((3, tall, wide), np.float32)
    shown = ((pixels - mean) / std).transpose(2, 0, 1)[:, : tall - 1 - top, : wide - 1 - left]  # a side of its padded size loses its last pixel
    canvas[:, top : top + shown.shape[1], left : left + shown.shape[2]] = shown
    view = torch.from_numpy(canvas)
    return torch.stack([view, view.flip(2)][:views])
