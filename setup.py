"""Install of the package: `pip install -e .` is enough for the demo; extras add what only some people need."""

from pathlib import Path

from setuptools import find_packages, setup

REQUIRES = [
    # the submit path: what runs on Kaggle with the internet off
    "torch>=2.6",
    "torchvision",
    "timm>=1.0.15",
    "numpy>=1.26",
    "pandas>=2.2",
    "pyarrow>=15",
    "opencv-python-headless>=4.9",
    "Pillow>=10.3",
    "pydicom>=3.0",
    "PyYAML>=6.0",
    "safetensors>=0.4.3",
    "imagecodecs>=2024.6.1",
    "dicomsdl>=0.109.4",
    "pylibjpeg>=2.0.1",
    "pylibjpeg-openjpeg>=2.3",
    "pylibjpeg-rle>=2.0",
    "python-gdcm>=3.0.24",
    "numba>=0.60",
    # training and tracking
    "hydra-core>=1.3.2,<1.4",
    "omegaconf>=2.3,<2.4",
    "lightning>=2.6,<3",
    "mlflow>=3.7,<4",
    "albumentations==2.0.8",
    "scikit-learn>=1.5",
    "scipy>=1.11",
    "matplotlib>=3.8",
    "filelock>=3.13",
    # command line
    "typer>=0.12",
    "rich>=13.7",
]

EXTRAS = {
    "kaggle": [
        "kaggle>=2.2.4",
        "six",  # kaggle imports it without declaring it
        # the Kaggle on this machine: a server, notebooks run as Kaggle runs them, and a bucket for their runs
        "starlette>=0.37",
        "uvicorn>=0.29",
        "packaging>=23",
        "papermill>=2.6",
        "nbformat>=5.10",
        "ipykernel>=6.29",
        "gcp-storage-emulator>=2024.8",
    ],
    "gcs": ["google-cloud-storage>=2.18"],
    "export": ["onnx>=1.16", "onnxscript>=0.2", "onnxruntime>=1.18", "openvino>=2024.4"],
    "stack": ["lightgbm>=4.5", "xgboost>=2.1", "catboost>=1.2.7"],
    "external": ["openpyxl>=3.1"],
    "detect": ["pycocotools>=2.0.8", "onnx>=1.16", "onnxscript>=0.2", "onnxruntime>=1.18"],
    "search": ["optuna>=4.0", "hydra-joblib-launcher>=1.2", "hydra-submitit-launcher>=1.2"],
    "ssl": ["lightly>=1.5"],
    "wandb": ["wandb>=0.31"],
    "gpl": ["pylibjpeg-libjpeg>=2.2"],  # GPL-3: never installed unless asked for
    "dev": [
        "pytest>=8.2",
        "pytest-xdist>=3.6",
        "hypothesis>=6.100",
        "ruff>=0.6",
        "mypy>=1.11",
        "import-linter>=2.0",
        "pre-commit>=3.7",
        "types-PyYAML",
        "pandas-stubs",
        "psutil>=5.9",
        "httpx>=0.27",
    ],
}

setup(
    name="rsna",
    version="0.1.0",
    description="From code on a laptop to a scored Kaggle code-competition submission, rehearsed locally first",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.11",
    packages=[*find_packages(include=["rsna", "rsna.*"]), "rsna.conf"],
    package_dir={"rsna.conf": "conf"},
    package_data={
        "rsna.conf": ["*.yaml", "*/*.yaml", "*/*/*.yaml"],
        "rsna": ["py.typed"],
        "rsna.local_kaggle": ["profiles/*.json"],
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["rsna=rsna.cli.app:main"]},
)
