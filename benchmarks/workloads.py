"""The workloads of `run.py` by name: models on three engines and by hand, and their data."""

import dcgan
import ddpm
import gpt
import resnet18
from recurrent import Recurrent

WORKLOADS = {
    "lstm": Recurrent("LSTM"),
    "gru": Recurrent("GRU"),
    "bilstm": Recurrent("LSTM", both=True),
    "gpt": gpt,
    "resnet18": resnet18,
    "dcgan": dcgan,
    "ddpm": ddpm,
}
