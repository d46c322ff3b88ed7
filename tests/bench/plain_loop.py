"""The training loop that the engine is compared with: what PyTorch's tutorials do, tuned, in float32.

A data set of Pillow images with torchvision's transforms, image by image, as `torchvision.datasets.CIFAR10`
has it; a data loader with workers that stay and prefetch, pinned memory on a GPU; SGD with a step schedule.
Tuned: nothing waits for the device inside an epoch, gradients are set to None, cuDNN looks for its fastest
kernels, evaluation takes 1,000 images at a time. The layout is PyTorch's own or channels-last.
"""

from __future__ import annotations

import time

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cefl.recipes import Recipe

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


class Photos(Dataset[tuple[Tensor, int]]):
    """Images ``(N, H, W, 3)`` in memory, each made a Pillow image and transformed when it is asked for."""

    def __init__(self, images: Images, labels: Labels, transform: transforms.Compose) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class PlainLoop:
    """A training in progress; every call of `epoch` is one more.

    Args:
        train: Images ``(N, H, W, 3)`` and labels ``(N,)``.
        test: As ``train``.
        seed: Of order and augmentation.
        workers: Processes that load; 0 loads in this one.
    """

    def __init__(
        self, model: nn.Module, train: tuple[Images, Labels], test: tuple[Images, Labels], recipe: Recipe,
        *, mean: Tensor, std: Tensor, seed: int, device: str, workers: int, channels_last: bool,
    ) -> None:  # fmt: skip
        self.device = torch.device(device)
        torch.backends.cudnn.benchmark = True
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model = model.to(self.device).to(memory_format=self.layout)
        final = [transforms.ToTensor(), transforms.Normalize(mean.tolist(), std.tolist())]
        drawn = [
            transforms.RandomCrop(train[0].shape[1], recipe.crop_padding),
            transforms.RandomHorizontalFlip(),
        ]
        self.generator = torch.Generator().manual_seed(seed)
        more = {"num_workers": workers, "pin_memory": self.device.type == "cuda"}
        more |= {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
        self.train = DataLoader(
            Photos(*train, transforms.Compose(drawn + final)), recipe.batch_size, shuffle=True,
            generator=self.generator, **more,
        )  # fmt: skip
        self.test = DataLoader(Photos(*test, transforms.Compose(final)), 1000, **more)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.MultiStepLR(
            self.optimizer, list(recipe.milestones), recipe.decay
        )

    def epoch(self) -> float:
        """Train on every image once; seconds, the device's work included."""
        begin = time.perf_counter()
        self.model.train()
        total = torch.zeros((), device=self.device)
        for images, labels in self.train:
            labels = labels.to(self.device, non_blocking=True)
            loss = F.cross_entropy(self.model(self._moved(images)), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(labels)
        self.schedule.step()
        float(total)  # Waits for the device.
        return time.perf_counter() - begin

    @torch.inference_mode()
    def accuracy(self) -> float:
        """Share of the test images that are classified right."""
        self.model.eval()
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        for images, labels in self.test:
            guesses = self.model(self._moved(images)).argmax(dim=1)
            right += (guesses == labels.to(self.device, non_blocking=True)).sum()
        return int(right) / len(self.test.dataset)

    def _moved(self, images: Tensor) -> Tensor:
        return images.to(self.device, non_blocking=True, memory_format=self.layout)
