"""Real diffusers classes at toy sizes with random weights: what a folder that nobody here has seen looks like."""

from tests.pipelines.chroma import chroma
from tests.pipelines.flux import flux
from tests.pipelines.flux2 import flux2, flux2_dev
from tests.pipelines.hunyuan import hunyuan
from tests.pipelines.krea2 import krea2
from tests.pipelines.lumina2 import lumina2
from tests.pipelines.pixart import pixart
from tests.pipelines.qwen_image import qwen_image
from tests.pipelines.sana import sana
from tests.pipelines.sd import stable_diffusion
from tests.pipelines.sd3 import sd3
from tests.pipelines.sdxl import controlled_sdxl, lcm_sdxl, sdxl
from tests.pipelines.svd import svd
from tests.pipelines.z_image import z_image

__all__ = [
    "chroma",
    "controlled_sdxl",
    "flux",
    "flux2",
    "flux2_dev",
    "hunyuan",
    "krea2",
    "lcm_sdxl",
    "lumina2",
    "pixart",
    "qwen_image",
    "sana",
    "sd3",
    "sdxl",
    "stable_diffusion",
    "svd",
    "z_image",
]
