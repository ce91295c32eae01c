"""Checkpoints of other libraries: read without running them, and refused with a reason where they do not fit."""

import pickle
import zipfile

import h5py
import keras
import numpy as np
import pytest

import kzoo
from kzoo.weights import load_weights
from kzoo.weights.convert import fit
from kzoo.weights.load import read_checkpoint
from kzoo.weights.torch_files import UnsafeCheckpointError

needs_torch = pytest.mark.skipif(keras.config.backend() != "torch", reason="PyTorch writes what is read here")
SHAPE = (32, 32, 3)
SMALL = dict(filters=(8, 8), depths=(1, 1), stem="small")


def small(num_classes=3, **arguments):
    return kzoo.create_model(
        "resnet18", **{"image_shape": SHAPE, **SMALL, **arguments}, num_classes=num_classes
    )


def torch_names(model):
    """The checkpoint that torchvision would have of this model."""
    from kzoo.models import catalog
    from kzoo.weights.convert import _counterpart
    from kzoo.weights.load import source_of

    source, arrays = source_of(catalog.family_of("resnet18"), "torchvision"), {}
    random = np.random.default_rng(1)
    for layer in model._flatten_layers():
        for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
            shape = tuple(variable.shape)
            shape = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]
            arrays[_counterpart(layer, variable, source)[0]] = random.normal(size=shape).astype("float32")
    return arrays


@pytest.fixture
def checkpoint(tmp_path):
    from safetensors.numpy import save_file

    save_file(torch_names(small()), tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


@needs_torch
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_both_formats_of_pytorch_are_read_as_pytorch_reads_them(tmp_path, zipped, dtype):
    import torch

    base = torch.randn(6, 5).to(getattr(torch, dtype))
    state = {
        "a": base,
        "view": base[1:4, ::2],
        "turned": base.T,
        "scalar": torch.tensor(3),
        "none": torch.zeros(0, 4),
        "flags": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    path = tmp_path / "a.pth"
    torch.save({"epoch": 3, "state_dict": state}, path, _use_new_zipfile_serialization=zipped)
    ours, theirs = read_checkpoint(path), torch.load(path, weights_only=True)["state_dict"]
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name].astype("float64"), tensor.detach().double().numpy())


@needs_torch
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_told(tmp_path, zipped):
    import torch

    path = tmp_path / "a.pth"
    torch.save({"a": torch.randn(50, 50)}, path, _use_new_zipfile_serialization=zipped)
    for share in (0.02, 0.5, 0.97):
        cut = tmp_path / "cut.pth"
        cut.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(ValueError, match="truncated or is no PyTorch checkpoint"):
            read_checkpoint(cut)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.once
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, zipped):
    mark, path = tmp_path / "mark", tmp_path / "a.pth"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"a": Harmful(mark)}, protocol=2))
    else:
        path.write_bytes(pickle.dumps(Harmful(mark), protocol=2))
    with pytest.raises(
        UnsafeCheckpointError, match="more than tensors and was refused: unpickling it would use"
    ):
        read_checkpoint(path)
    assert not mark.exists()


@pytest.mark.once
def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none.pth")
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        read_checkpoint(tmp_path / "a.txt")
    (tmp_path / "a.safetensors").write_text("a")
    with pytest.raises(ValueError, match="truncated or is not safetensors"):
        read_checkpoint(tmp_path / "a.safetensors")
    (tmp_path / "a.h5").write_text("a")
    with pytest.raises(ValueError, match="truncated or holds no Keras weights"):
        read_checkpoint(tmp_path / "a.h5", "ResNet50")


def test_a_checkpoint_of_other_names_lists_them_and_changes_nothing(tmp_path, checkpoint):
    from safetensors.numpy import load_file, save_file

    arrays = load_file(checkpoint)
    arrays["surplus"] = arrays.pop("layer2.0.conv1.weight")
    save_file(arrays, tmp_path / "b.safetensors")
    model = small()
    before = model.get_weights()
    with pytest.raises(
        ValueError,
        match=r"1 are missing, the first: layer2\.0\.conv1\.weight .*unexpected, the first: surplus",
    ):
        load_weights(model, "resnet", "torchvision", tmp_path / "b.safetensors")
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"stem_conv/kernel do not fit: the model needs \(3, 3, 3, 16\)"):
        load_weights(small(filters=(16, 16)), "resnet", "torchvision", checkpoint)
    with pytest.raises(ValueError, match="did you mean torchvision"):
        load_weights(model, "resnet", "torchvison", checkpoint)


def test_classes_and_channels_may_differ(checkpoint):
    def made(**arguments):
        kzoo.set_seed(3)
        return kzoo.create_model(
            "resnet18", pretrained=f"torchvision:{checkpoint}", **{"image_shape": SHAPE, **SMALL, **arguments}
        )

    whole = made()
    assert whole.output_shape == (None, 3)  # as many as the checkpoint has
    x = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
    ten, features = made(num_classes=10), made(num_classes=0)
    assert ten.output_shape == (None, 10)
    pooled = keras.Model(whole.input, whole.get_layer("pool").output)
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(m(x)) for m in (pooled, features)), rtol=1e-6)
    head = ten.get_layer("head").kernel
    np.testing.assert_array_equal(np.asarray(head.shape), (8, 10))
    grey = np.repeat(x[..., :1], 3, axis=-1)
    one, four = made(image_shape=(32, 32, 1)), made(image_shape=(32, 32, 6))
    np.testing.assert_allclose(
        *(keras.ops.convert_to_numpy(m(i)) for m, i in ((whole, grey), (one, x[..., :1]))),
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        *(keras.ops.convert_to_numpy(m(i)) for m, i in ((whole, x), (four, np.concatenate([x, x], -1)))),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_checkpoint_without_a_classifier_gives_features_or_a_fresh_head(tmp_path, checkpoint):
    from safetensors.numpy import load_file, save_file

    arrays, path = load_file(checkpoint), tmp_path / "features.safetensors"
    headless = {name: array for name, array in arrays.items() if not name.startswith("fc.")}
    save_file(headless, path)
    report = load_weights(small(), "resnet", "torchvision", path)
    assert report.fresh == ("head/kernel", "head/bias")

    def made(path, **arguments):
        return kzoo.create_model(
            "resnet18", pretrained=f"torchvision:{path}", image_shape=SHAPE, **SMALL, **arguments
        )

    x = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
    expected, received = made(checkpoint, num_classes=0), made(path)
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(m(x)) for m in (expected, received)))
    assert made(path, num_classes=7).output_shape == (None, 7)
    values = {variable.path: keras.ops.convert_to_numpy(variable) for variable in small().variables}
    values.pop("head/bias")  # half a classifier is a mistake
    with pytest.raises(ValueError, match="no value for head/bias"):
        fit(small(), values)
    save_file(headless | {"fc.weight": arrays["fc.weight"]}, path)
    with pytest.raises(ValueError, match=r"1 are missing, the first: fc\.bias \(for head/bias\)"):
        made(path, num_classes=7)


@pytest.mark.once
@pytest.mark.parametrize("name", ["mobilenet_2_5_224_tf.h5", "mobilenet_2_5_224_tf_no_top.h5"])
def test_a_file_of_keras_is_read_with_and_without_its_classifier(tmp_path, name):
    from keras.src.legacy.saving import legacy_h5_format

    whole = "no_top" not in name
    options = dict(classes=7, classifier_activation=None) if whole else dict(pooling="avg")
    theirs = keras.applications.MobileNet(
        alpha=0.25, weights=None, include_top=whole, input_shape=SHAPE, **options
    )
    with h5py.File(tmp_path / name, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, theirs)
    ours = kzoo.create_model("mobilenet_v1_025", pretrained=f"keras:{tmp_path / name}", image_shape=SHAPE)
    x = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
    expected, received = (keras.ops.convert_to_numpy(m(x)) for m in (theirs, ours))
    assert received.shape == (2, 7 if whole else 256)
    np.testing.assert_allclose(received, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.once
def test_wrong_sources_are_told(checkpoint):
    for wrong, message in (
        ("timn:x.pth", "did you mean timm"),
        (3, "pretrained must be True, a source"),
        ("torchvision:none.pth", "no such checkpoint"),
        ("torchvision:IMAGENET1K_V9", "did you mean torchvision:IMAGENET1K_V1"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            kzoo.create_model("resnet18", pretrained=wrong)
    with pytest.raises(ValueError, match="source of weights for cnn"):
        kzoo.create_model("cnn", pretrained="timm", image_shape=(8, 8, 3))
    with pytest.raises(ValueError, match="no published weights of cnn"):
        kzoo.create_model("cnn", pretrained=True, image_shape=(8, 8, 3))
