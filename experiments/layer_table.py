"""FCN-8s on VGG-16 from the layer table of its paper's release, for the lab to be compared with."""

from functools import partial

from torch import Tensor, nn

from fcn_lab.encoders.full_precision import build_score


class TableFCN8s(nn.Module):
    """The net as it is usually written: padded by 100, its maps cropped by fixed offsets.

    Its deconvolutions mix the classes and learn; the release's have one frozen kernel. Its scores
    of 4,096 channels are the lab's layer, since torch's ends the process in bf16 on some CPUs.
    """

    WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in self.WIDTHS:
            if width:
                padding = 100 if channels == 3 else 1
                layers += [nn.Conv2d(channels, width, 3, padding=padding), nn.ReLU(inplace=True)]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
        pools = [index + 1 for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        self.to_pool3 = nn.Sequential(*layers[: pools[2]])
        self.to_pool4 = nn.Sequential(*layers[pools[2] : pools[3]])
        self.to_score = nn.Sequential(
            *layers[pools[3] :],
            *(nn.Conv2d(512, 4096, 7), nn.ReLU(inplace=True), nn.Dropout2d()),
            *(nn.Conv2d(4096, 4096, 1), nn.ReLU(inplace=True), nn.Dropout2d()),
            build_score(4096, num_classes),
        )
        self.score_pool3 = nn.Conv2d(256, num_classes, 1)
        self.score_pool4 = nn.Conv2d(512, num_classes, 1)
        climb = partial(nn.ConvTranspose2d, num_classes, num_classes, bias=False)
        self.upscore2, self.upscore_pool4 = climb(4, 2), climb(4, 2)
        self.upscore8 = climb(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N,3,H,W) to scores (N,K,H,W)."""
        pool3 = self.to_pool3(x)
        pool4 = self.to_pool4(pool3)
        score = self.upscore2(self.to_score(pool4))
        score = self.upscore_pool4(score + crop(self.score_pool4(pool4), score, 5))
        score = self.upscore8(score + crop(self.score_pool3(pool3), score, 9))
        return crop(score, x, 31)


def crop(x: Tensor, target: Tensor, offset: int) -> Tensor:
    """Returns x cut to the size of `target` from an offset in both directions."""
    rows, columns = target.shape[-2:]
    return x[..., offset : offset + rows, offset : offset + columns]
