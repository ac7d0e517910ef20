"""The one reader of pictures: every mode and kind that Pillow writes, and what no decoder should be let loose on."""

from __future__ import annotations

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from noisekit import pictures
from noisekit.errors import BadValue
from noisekit.image_prompts import ControlledPrompt
from noisekit.pictures import as_rgb, endings, is_foreign, read_picture
from noisekit.store.png import read_image

SIZE = (9, 6)


def drawn(seed: int = 0, opaque: bool = True) -> Image.Image:
    """A picture without sharp edges, so that formats that lose something lose little; some of it transparent if asked."""
    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width]
    start = np.random.default_rng(seed).integers(0, 60, 4)
    pixels = np.stack(
        [start[0] + 20 * x, start[1] + 30 * y, start[2] + 10 * (x + y), 255 - 20 * x - start[3]], -1
    )
    if opaque:
        pixels[..., 3] = 255
    return Image.fromarray(pixels.astype(np.uint8))


def over_white(picture: Image.Image) -> np.ndarray:
    """α v + (1 − α) 255, by the definition."""
    pixels = np.asarray(picture.convert("RGBA")).astype(float)
    alpha = pixels[..., 3:] / 255
    return alpha * pixels[..., :3] + (1 - alpha) * 255


def apart(picture: Image.Image, expected: np.ndarray) -> float:
    """The largest difference in levels."""
    assert picture.mode == "RGB"
    return float(np.abs(np.asarray(picture).astype(float) - expected).max())


# --- modes -----------------------------------------------------------------------------------------------------------

#: How a picture gets into each mode, and how many levels that may cost.
MODES: dict[str, tuple[Callable[[Image.Image], Image.Image], float]] = {
    "RGB": (lambda p: p.convert("RGB"), 0),
    "RGBX": (lambda p: p.convert("RGB").convert("RGBX"), 0),
    "RGBA": (lambda p: p, 1),
    "RGBa": (lambda p: p.convert("RGBa"), 3),
    "CMYK": (lambda p: p.convert("RGB").convert("CMYK"), 2),
    "YCbCr": (lambda p: p.convert("RGB").convert("YCbCr"), 3),
    "HSV": (lambda p: p.convert("RGB").convert("HSV"), 8),
    "P": (lambda p: p.convert("RGB").quantize(256), 8),
    "PA": (lambda p: p.convert("RGB").quantize(256).convert("PA"), 8),
}


@pytest.mark.parametrize("mode", MODES)
@given(seed=st.integers(0, 99), opaque=st.booleans())
@settings(max_examples=15)
def test_every_mode_of_colour_is_the_same_picture(mode: str, seed: int, opaque: bool) -> None:
    into, lost = MODES[mode]
    source = drawn(seed, opaque or "A" not in mode.upper() or mode == "PA")
    turned = into(source)
    assert turned.mode == mode
    assert apart(as_rgb(turned), over_white(source)) <= lost


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "F"])
@given(seed=st.integers(0, 99))
@settings(max_examples=15)
def test_every_mode_of_grey_is_the_same_picture(mode: str, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, SIZE[::-1])
    alpha = (
        np.random.default_rng(seed + 1).integers(0, 256, SIZE[::-1])
        if "a" in mode.lower()
        else 255 + 0 * grey
    )
    if mode == "1":
        grey = np.where(grey > 127, 255, 0)
        picture = Image.fromarray(grey.astype(np.uint8)).convert("1")
    elif mode.startswith("I;16"):
        kind = ">u2" if mode == "I;16B" else "<u2"
        picture = Image.frombytes(mode, SIZE, (grey * 257).astype(kind).tobytes())
    elif mode == "F":
        picture = Image.fromarray((grey / 255).astype(np.float32))
    else:
        layers = [Image.fromarray(layer.astype(np.uint8)) for layer in (grey, alpha)]
        picture = Image.merge("LA", layers).convert(mode) if len(mode) == 2 else layers[0]
    expected = (alpha * grey + (255 - alpha) * 255) / 255
    # "La" holds grey times alpha in whole numbers; where little is left, so is little of it
    assert apart(as_rgb(picture), np.repeat(expected[..., None], 3, -1)) <= (2 if mode == "La" else 1)


@pytest.mark.parametrize("ending", ["png", "tiff", "jp2", "ppm"])
def test_grey_of_16_bits_is_scaled_whatever_holds_it(tmp_path: Path, ending: str) -> None:
    ramp = np.linspace(0, 65535, 64 * 8).reshape(8, 64).round().astype(np.uint16)
    path = tmp_path / f"ramp.{ending}"
    Image.fromarray(ramp).save(path, **({"irreversible": False} if ending == "jp2" else {}))
    assert apart(read_picture(path), np.repeat((ramp / 257.0)[..., None], 3, -1)) <= 0.51


def test_what_a_tiff_says_of_its_grey_counts(tmp_path: Path) -> None:
    ramp = np.arange(0, 48, dtype=np.uint16).reshape(6, 8) * 1300
    Image.fromarray(ramp).save(tmp_path / "inverted.tiff", tiffinfo={262: 0})
    expected = np.repeat(255 - (ramp / 257.0)[..., None], 3, -1)
    assert apart(read_picture(tmp_path / "inverted.tiff"), expected) <= 0.51


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def deep_png(colour: int, samples: np.ndarray, extra: bytes = b"") -> bytes:
    """A PNG with 16 bits a sample, which Pillow itself cannot write in colour. samples: (H, W, C)."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_a_png_of_16_bits_is_the_one_of_8(tmp_path: Path, colour: int, channels: int) -> None:
    levels = np.random.default_rng(colour).integers(0, 256, (5, 7, channels))
    (tmp_path / "deep.png").write_bytes(deep_png(colour, levels * 257))
    shallow = Image.fromarray(
        levels.astype(np.uint8).squeeze(-1) if channels == 1 else levels.astype(np.uint8)
    )
    assert apart(read_picture(tmp_path / "deep.png"), over_white(shallow)) <= 1


def test_a_single_transparent_colour_is_the_background(tmp_path: Path) -> None:
    levels = np.arange(12).reshape(3, 4, 1)
    (tmp_path / "deep.png").write_bytes(deep_png(0, levels * 257, chunk(b"tRNS", struct.pack(">H", 5 * 257))))
    Image.fromarray(levels.astype(np.uint8)[..., 0]).save(tmp_path / "grey.png", transparency=5)
    Image.fromarray(levels.astype(np.uint8)[..., 0]).convert("P").save(
        tmp_path / "palette.png", transparency=5
    )
    Image.fromarray(levels.astype(np.uint8)[..., 0]).convert("P").save(
        tmp_path / "palette.gif", transparency=5
    )
    for name in ("deep.png", "grey.png", "palette.png", "palette.gif"):
        pixels = np.asarray(read_picture(tmp_path / name))
        assert (pixels[1, 1] == pictures.BACKGROUND).all(), name
        assert (pixels[1, 2] == 6).all() and (pixels == 255).sum() == 3, name


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
def test_the_orientation_of_the_camera_is_honoured(tmp_path: Path, orientation: int, ending: str) -> None:
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:12, :20] = 255  # the left upper quarter
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1], 8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a.{ending}", exif=exif)
    pixels = np.asarray(read_picture(tmp_path / f"a.{ending}")).astype(int)
    assert pixels.shape == upright.shape
    assert np.abs(pixels - upright).mean() < 8


# --- kinds -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "ending", sorted(one for one in endings() if Image.registered_extensions()[one] in Image.SAVE)
)
def test_every_kind_that_pillow_writes_is_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    large = drawn().convert("RGB").resize((32, 32), Image.Resampling.NEAREST)
    written = large
    for mode in ("RGB", "L", "P", "1"):
        try:
            written = large.convert(mode)
            written.save(path)
            break
        except (OSError, ValueError, KeyError, TypeError):  # a format of few modes
            continue
    expected = np.asarray(written.convert("RGB").resize(Image.open(path).size)).astype(float)
    assert np.abs(np.asarray(read_picture(path)) - expected).mean() < 12


def test_what_is_no_picture_has_no_ending_here() -> None:
    assert {
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".avif",
        ".tif",
        ".tiff",
        ".gif",
        ".bmp",
        ".jp2",
        ".ppm",
    } <= endings()
    assert not endings() & {
        ".eps",
        ".pdf",
        ".mpg",
        ".h5",
        ".svg",
        ".heic",
        ".csv",
        ".txt",
        ".json",
        ".parquet",
    }
    assert is_foreign(Path("a.HEIC")) and is_foreign(Path("b.svg")) and not is_foreign(Path("c.txt"))


def test_the_first_frame_stands_for_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for ending in ("gif", "webp", "tiff", "png"):
        frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:])
        assert apart(read_picture(tmp_path / f"a.{ending}"), np.full((8, 8, 3), (255, 0, 0))) <= 2


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """One whole file of each common kind."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    made = {}
    for kind in (
        "png",
        "jpeg",
        "webp",
        "avif",
        "tiff",
        "gif",
        "bmp",
        "jpeg2000",
        "ppm",
        "tga",
        "ico",
        "qoi",
        "dds",
        "sgi",
    ):
        content = io.BytesIO()
        Image.fromarray(noise).save(content, kind)
        made[kind] = content.getvalue()
    return made


@given(seed=st.integers(0, 10**6), damage=st.sampled_from(["cut", "flip", "zero", "splice", "insert"]))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_in_a_sentence(
    tmp_path: Path, files: dict[str, bytes], seed: int, damage: str
) -> None:
    dice = random.Random(seed)
    kind = dice.choice(sorted(files))
    content = bytearray(files[kind])
    place = dice.randrange(len(content) if dice.random() < 0.5 else min(len(content), 120))
    if damage == "cut":
        content = content[:place]
    elif damage == "flip":
        content[place] ^= 1 << dice.randrange(8)
    elif damage == "zero":
        content[place : place + 8] = bytes(8)
    elif damage == "splice":
        content[place:] = files[dice.choice(sorted(files))][place:]
    else:
        content[place:place] = dice.randbytes(16)
    path = tmp_path / "a.png"
    path.write_bytes(content)
    try:
        assert read_picture(path).mode == "RGB"
        said = ""
    except BadValue as error:
        said = str(error)
        assert repr(str(path)) in said and "\n" not in said
    assert said or not (kind == "png" and damage in ("cut", "flip") and place < len(files["png"]) - 12)


def test_a_wrong_checksum_is_damage_in_every_chunk(tmp_path: Path, files: dict[str, bytes]) -> None:
    whole, path, place = files["png"], tmp_path / "a.png", 8
    while place < len(whole) - 12:  # all but the mark of the end
        length = struct.unpack(">I", whole[place : place + 4])[0]
        crc = place + 8 + length
        path.write_bytes(whole[:crc] + bytes(4) + whole[crc + 4 :])
        with pytest.raises(BadValue, match=r"cannot be read: (broken PNG file|.* damaged at its beginning)"):
            read_picture(path)
        place = crc + 4


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**25 + 1, 1), (65_000, 2), (3, 900)])
def test_a_size_that_would_fill_the_memory_is_refused_at_once(tmp_path: Path, size: tuple[int, int]) -> None:
    head = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(BadValue, match=r"bomb\.png' cannot be read: ") as caught:
        read_picture(tmp_path / "bomb.png")
    assert "pixels" in str(caught.value)


@pytest.mark.parametrize("what", ["fifo", "socket", "device", "folder", "nothing", "dangling link"])
def test_what_is_no_regular_file_is_refused_without_waiting(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    path = Path("a.png")
    listening = socket.socket(socket.AF_UNIX)
    if what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        listening.bind(str(path))
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "folder":
        path.mkdir()
    elif what == "dangling link":
        path.symlink_to("gone.png")
    for read in (read_picture, read_image, lambda file: ControlledPrompt("a red circle", file)):
        with pytest.raises(BadValue, match=r"'a\.png' cannot be read: (it is no regular file|No such file)"):
            read(path)
    listening.close()


@given(st.floats(allow_nan=True, width=32), st.floats(0, 1, width=32))
@example(255.0, 0.0)
def test_floats_are_read_where_their_range_is_known(value: float, other: float) -> None:
    picture = Image.fromarray(np.array([[value, other]], np.float32))
    if 0 <= value <= 1:
        assert abs(np.asarray(as_rgb(picture))[0, 0, 0] - 255 * value) <= 0.51
    else:
        with pytest.raises(BadValue, match="where 0 to 1 is read"):
            as_rgb(picture)


def test_whole_numbers_of_32_bits_are_refused(tmp_path: Path) -> None:
    Image.new("I", (4, 4), 70_000).save(tmp_path / "a.tiff")
    with pytest.raises(BadValue, match=r"a\.tiff.*32 bits, whose range nobody knows"):
        read_picture(tmp_path / "a.tiff")
    with pytest.raises(BadValue, match="32 bits"):
        ControlledPrompt("a red circle", Image.new("I", (4, 4), 7))
