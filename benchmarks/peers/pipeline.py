"""The usual alternative to this service: the transformers pipeline behind a small FastAPI app.

    python -m benchmarks.peers.pipeline CHECKPOINT_DIRECTORY     needs requirements-parity.txt

Requests compute concurrently in the thread pool. A lock around the pipeline did not make it faster.
"""

import io
import sys
from functools import partial
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, File, Form
from PIL import Image
from transformers import pipeline

app = FastAPI()
classifier = pipeline("zero-shot-image-classification", model=sys.argv[1], device="cpu")
# The pipeline always pads to 64 tokens: right for the published models, too many for the embedded one.
context_length = classifier.model.config.text_config.max_position_embeddings
classifier.preprocess = partial(classifier.preprocess, tokenizer_kwargs={"max_length": context_length})


@app.post("/classify")
def classify(image: Annotated[bytes, File()], labels: Annotated[list[str], Form()]) -> list[dict[str, Any]]:
    """Returns the pipeline's result."""
    return classifier(Image.open(io.BytesIO(image)).convert("RGB"), candidate_labels=labels)


if __name__ == "__main__":
    uvicorn.run(app, port=0, access_log=False)
