"""Pictures as the official packages read them: converted to RGB by Pillow, so that transparency is dropped.

noisekit lays transparent pixels over white (`noisekit.pictures`); what the packages gave for such a picture is compared on
the pixels that they saw.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def as_the_packages_read(file: Path) -> Tensor:
    """(3, H, W) in [0, 1]."""
    with Image.open(file) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255
