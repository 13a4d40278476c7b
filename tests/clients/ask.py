"""Sends one request with the huggingface_hub of this interpreter. Reads JSON from stdin, writes JSON to stdout."""

import json
import sys

from huggingface_hub import InferenceClient, __version__

arguments = json.load(sys.stdin)
client = InferenceClient(model=arguments["address"], token=arguments["token"])
options = {"hypothesis_template": arguments["template"]} if arguments["template"] else {}
try:
    rows = client.zero_shot_image_classification(arguments["image"], arguments["labels"], **options)
    result = {"rows": [dict(row) for row in rows]}
except Exception as error:
    result = {
        "error": type(error).__name__,
        "message": str(error),
        "status": getattr(getattr(error, "response", None), "status_code", None),
        "request_id": getattr(error, "request_id", None),
    }
if arguments.get("facts"):
    result |= {"healthy": client.health_check(), "info": client.get_endpoint_info()}
print(json.dumps(result | {"version": __version__}))
