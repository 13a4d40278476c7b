"""One question to a service by whichever huggingface_hub this interpreter has: JSON in, JSON out."""

import json
import sys

from huggingface_hub import InferenceClient, __version__

asked = json.load(sys.stdin)
client = InferenceClient(model=asked["address"], token=asked["token"])
options = {"hypothesis_template": asked["template"]} if asked["template"] else {}
try:
    rows = client.zero_shot_image_classification(asked["image"], asked["labels"], **options)
    answer = {"rows": [dict(row) for row in rows]}
except Exception as error:
    answer = {
        "error": type(error).__name__,
        "message": str(error),
        "status": getattr(getattr(error, "response", None), "status_code", None),
        "request_id": getattr(error, "request_id", None),
    }
if asked.get("facts"):
    answer |= {"healthy": client.health_check(), "info": client.get_endpoint_info()}
print(json.dumps(answer | {"version": __version__}))
