"""Files to images and labels."""

import os
import pickle
import tarfile
import zlib
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from src.data.cifar import cifar, unpickled
from src.data.digits import digits
from src.data.folder import image_folder
from src.data.source import open_rgb, read_image
from src.data.tiny_imagenet import tiny_imagenet


def test_cifar_images_and_labels_belong_together(fake_cifar: Path) -> None:
    source = cifar("cifar10", root=str(fake_cifar), download=False)
    assert (len(source.train), len(source.test)) == (400, 100)
    assert all(source.train.images[i][0, 0, 0] == label for i, label in enumerate(source.train.labels))
    assert cifar("cifar100", root=str(fake_cifar), download=False).class_names[-1] == "class99"


def test_a_flipped_byte_is_found_and_named(fake_cifar: Path) -> None:
    path = fake_cifar / "cifar-10-batches-py" / "data_batch_3"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileNotFoundError, match="data_batch_3 missing or damaged; data.download is false"):
        cifar("cifar10", root=str(fake_cifar), download=False)


class Hostile:
    """Unpickled, it runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_file_runs_nothing_even_where_its_md5_sum_fits(
    protocol: int, fake_cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "trace"
    content = pickle.dumps({"data": Hostile(f"touch {trace}"), "labels": [0] * 80}, protocol)
    path = fake_cifar / CIFAR10.base_folder / "data_batch_3"
    path.write_bytes(content)
    fits = [
        (name, md5(content).hexdigest() if name == path.name else known) for name, known in CIFAR10.train_list
    ]
    monkeypatch.setattr(CIFAR10, "train_list", fits)
    with pytest.raises(
        ValueError, match=r"^data_batch_3 is no file of CIFAR: it would call \w+.system: nothing"
    ):
        cifar("cifar10", root=str(fake_cifar), download=False)
    assert not trace.exists()
    os.system(f"touch {trace}")  # the command itself would
    assert trace.exists()


def test_arrays_of_either_numpy_are_read_and_what_is_damaged_is_told() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(2, 6)
    content = pickle.dumps({"data": images}, 3)
    assert b"numpy._core.multiarray" in content
    older = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    for whole in (content, older):
        np.testing.assert_array_equal(unpickled("a", whole)["data"], images)
        for end in range(len(whole)):
            with pytest.raises(ValueError, match="a is no file of CIFAR: "):
                unpickled("a", whole[:end])
    with pytest.raises(ValueError, match="it holds no dict"):
        unpickled("a", pickle.dumps([1]))


def test_a_download_is_unpickled_by_nobody_else(
    fake_cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / CIFAR10.filename  # torchvision takes it for downloaded: its md5 sum fits
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(fake_cifar / CIFAR10.base_folder, CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "url", (tmp_path / "nowhere").as_uri())
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(pickle, "load", None)
    source = cifar("cifar10", root=str(tmp_path))
    assert (len(source.train), len(source.test)) == (400, 100)
    with pytest.raises(FileNotFoundError, match="not there; the download failed: .*nowhere"):
        cifar("cifar10", root=str(tmp_path / "other"))


def test_no_dataset_names_the_root_and_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        cifar("cifar10", root=str(tmp_path), download=False)
    for words in (
        str(tmp_path),
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "DATA_ROOT",
        "data=digits",
    ):
        assert words in str(caught.value)


def test_digits_split_and_pixels() -> None:
    source = digits()
    assert (len(source.train), len(source.test)) == (1437, 360)
    image = source.train.images[0]
    assert image.shape == (32, 32, 3)
    assert image.dtype == np.uint8
    assert (image[..., 0] == image[..., 2]).all()
    assert np.bincount(source.test.labels).min() >= 34  # a tenth of 360, stratified


def test_folder_classes_sizes_and_modes(fake_folder: Path) -> None:
    source = image_folder(str(fake_folder), image_size=24)
    assert source.class_names == ["cats", "dogs", "owls"]
    assert source.val is None
    assert np.bincount(source.train.labels).tolist() == [8, 8, 8]
    assert {source.train.images[i].shape for i in range(24)} == {(24, 24, 3)}


def test_folder_uses_its_own_val_and_names_strangers(fake_folder: Path) -> None:
    (fake_folder / "val" / "cats").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(fake_folder / "val" / "cats" / "a.png")
    val = image_folder(str(fake_folder), 24).val
    assert val is not None
    assert val.labels.tolist() == [0]
    (fake_folder / "val" / "bats").mkdir()
    with pytest.raises(ValueError, match=r"classes that train lacks: \['bats'\]"):
        image_folder(str(fake_folder), 24)


def test_folder_without_images_or_test_is_named(fake_folder: Path, tmp_path: Path) -> None:
    (fake_folder / "train" / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no images in .*train for \['empty'\]"):
        image_folder(str(fake_folder), 24)
    with pytest.raises(FileNotFoundError, match="no folder .*train: data.root must hold"):
        image_folder(str(tmp_path / "nope"), 24)


def test_pictures_stand_upright_and_broken_ones_are_named(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 20))
    image.paste((255, 255, 255), (0, 0, 20, 10))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    image.rotate(180).save(tmp_path / "turned.png", exif=exif)
    pixels = read_image(tmp_path / "turned.png", 20)
    assert pixels[0].min() == 255
    assert pixels[-1].max() == 0
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match="text.png cannot be read as an image"):
        read_image(tmp_path / "text.png", 20)


def test_tiny_imagenet_official_and_pooled(fake_tiny_imagenet: Path) -> None:
    official = tiny_imagenet(str(fake_tiny_imagenet), download=False)
    assert (len(official.train), len(official.test)) == (600, 200)
    assert official.class_names[7] == "thing 7"
    for data in (official.train, official.test):
        for i in (0, 100, 199):
            assert data.images[i].shape == (64, 64, 3)
            assert abs(int(data.images[i][0, 0, 0]) - data.labels[i]) <= 2  # JPEG
    pooled = tiny_imagenet(str(fake_tiny_imagenet), download=False, test_fraction=0.3)
    assert (len(pooled.train), len(pooled.test)) == (560, 240)
    every_path = sorted([*official.train.images.paths, *official.test.images.paths])
    assert sorted([*pooled.train.images.paths, *pooled.test.images.paths]) == every_path
    # Drawn whatever the class: of a class's four images, none to all are in the test; by class, 1 or 2
    drawn = np.sort(np.random.default_rng(1).permutation(800)[:240])
    labels = np.concatenate([official.train.labels, official.test.labels])
    np.testing.assert_array_equal(pooled.test.labels, labels[drawn])
    counts = np.bincount(pooled.test.labels, minlength=200)
    assert (counts.min(), counts.sum()) == (0, 240)
    assert counts.max() >= 3


def test_tiny_imagenet_missing_names_the_way_out(tmp_path: Path, fake_tiny_imagenet: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cs231n.stanford.edu/tiny-imagenet-200.zip"):
        tiny_imagenet(str(tmp_path / "nope"), download=False)
    (fake_tiny_imagenet / "tiny-imagenet-200" / "words.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"words.txt is missing"):
        tiny_imagenet(str(fake_tiny_imagenet), download=False)


def test_pictures_of_every_kind_become_upright_rgb(tmp_path: Path) -> None:
    # Left half red, right half blue; EXIF says: turn by 90 degrees clockwise, so red is on top
    wide = Image.new("RGB", (40, 20), "red")
    wide.paste("blue", (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    wide.save(tmp_path / "turned.png", exif=exif)
    turned = open_rgb(tmp_path / "turned.png")
    assert turned.size == (20, 40)
    assert (turned.getpixel((10, 5)), turned.getpixel((10, 35))) == ((255, 0, 0), (0, 0, 255))

    # Transparent black stands on white, half transparent black is grey
    glass = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    glass.putpixel((1, 0), (0, 0, 0, 255))
    glass.putpixel((2, 0), (0, 0, 0, 128))
    glass.save(tmp_path / "glass.png")
    shown = open_rgb(tmp_path / "glass.png")
    assert [shown.getpixel((x, 0)) for x in range(3)] == [(255,) * 3, (0,) * 3, (127,) * 3]
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "palette.gif", transparency=0)
    assert open_rgb(tmp_path / "palette.gif").getpixel((0, 0)) == (255, 255, 255)

    # 16 bits: 65535 is white, and the middle is the middle
    Image.fromarray(np.array([[0, 32768, 65535]], np.uint16)).save(tmp_path / "deep.png")
    deep = open_rgb(tmp_path / "deep.png")
    assert [deep.getpixel((x, 0)) for x in range(3)] == [(0,) * 3, (128,) * 3, (255,) * 3]
    Image.fromarray(np.array([[0.0, 0.5, 300.0]], np.float32)).save(tmp_path / "float.tiff")
    assert open_rgb(tmp_path / "float.tiff").getpixel((2, 0)) == (255, 255, 255)


def test_what_is_no_picture_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ValueError, match=r"text.png cannot be read as an image \(cannot identify image file"):
        open_rgb(tmp_path / "text.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    for end in range(8, len(whole) - 24, 311):  # the last bytes are checksums and an end mark
        (tmp_path / "cut.png").write_bytes(whole[:end])
        with pytest.raises(ValueError, match="cut.png cannot be read as an image"):
            open_rgb(tmp_path / "cut.png")
    # A header that claims 30,000 x 30,000 pixels
    bomb = bytearray(whole)
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ValueError, match="bomb.png cannot be read as an image .* decompression bomb"):
        open_rgb(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="nowhere.png cannot be read as an image"):
        open_rgb(tmp_path / "nowhere.png")
