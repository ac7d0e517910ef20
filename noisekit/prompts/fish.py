"""ImageNet's classes of fishes as prompts, by which "Golden Noise" (Zhou et al. 2024, arXiv 2411.09502) measures FID.

Every name of a class is a prompt, "NAME, a class in ImageNet", with its class in the record: 18 prompts of seven classes.
The paper draws one of the 18 names for each image, so classes with more names have more images, while a data set has as
many of each; the category `uniform` is one name of each class. No picture comes with them: the reference of a distance
is a folder of the reader's own, such as the seven folders of ImageNet that are called by the numbers below.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Names of each class by its number in WordNet, as ImageNet lists them.
CLASSES: Mapping[str, tuple[str, ...]] = {
    "n01440764": ("tench", "Tinca tinca"),
    "n01443537": ("goldfish", "Carassius auratus"),
    "n01484850": (
        "great white shark",
        "white shark",
        "man-eater",
        "man-eating shark",
        "Carcharodon carcharias",
    ),
    "n01491361": ("tiger shark", "Galeocerdo cuvieri"),
    "n01494475": ("hammerhead", "hammerhead shark"),
    "n01496331": ("electric ray", "crampfish", "numbfish", "torpedo"),
    "n01498041": ("stingray",),
}
UNIFORM = "uniform"


def fish() -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """Text, record and categories of each prompt."""
    found = []
    for number, names in CLASSES.items():
        for name in names:
            chosen = {"names": UNIFORM} if name == names[0] else {}
            found.append((f"{name}, a class in ImageNet", {"class": number}, {"kind": names[0]} | chosen))
    return found
