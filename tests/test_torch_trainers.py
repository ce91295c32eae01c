"""A kzoo model inside other people's trainers: it is a `torch.nn.Module` where the engine is PyTorch."""

import keras
import numpy as np
import pytest

import kzoo

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="a model is a torch.nn.Module on that engine only"
)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6, 6, 1)).astype("float32")
Y = (X.mean((1, 2, 3)) > 0).astype("int64")


def classifier():
    kzoo.set_seed(0)
    return kzoo.create_model("mlp_small", image_shape=(6, 6, 1), num_classes=2, dropout=0.0)


def data_set():
    import torch

    return torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))


def test_it_has_parameters_a_state_dict_and_pytorch_s_optimizers():
    import torch

    model = classifier()
    assert isinstance(model, torch.nn.Module)
    assert len(list(model.parameters())) == len(model.trainable_variables)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.tensor(X)), torch.tensor(Y))
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
    other = classifier()
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_data_loader_goes_into_fit():
    import torch

    model = classifier()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    loader = torch.utils.data.DataLoader(data_set(), batch_size=16, shuffle=True)
    losses = model.fit(loader, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_lightning_trains_it(tmp_path):
    import lightning
    import torch

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.losses = classifier(), []

        def training_step(self, batch, index):
            x, y = batch
            loss = torch.nn.functional.cross_entropy(self.model(x), y)
            self.losses.append(float(loss))
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 1e-2)

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=5,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, torch.utils.data.DataLoader(data_set(), batch_size=32, shuffle=False))
    assert module.losses[-1] < 0.6 * module.losses[0]


def test_the_trainer_of_transformers_trains_it(tmp_path):
    import torch
    import transformers

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = classifier()

        def forward(self, images, labels=None):
            logits = self.model(images)
            loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
            return {"loss": loss, "logits": logits}

    examples = [{"images": image, "labels": int(label)} for image, label in zip(X, Y)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=5,
        per_device_train_batch_size=16,
        learning_rate=1e-2,
        logging_steps=4,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(model=Wrapped(), args=arguments, train_dataset=examples)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert float(losses[-1]) < 0.6 * float(losses[0])
