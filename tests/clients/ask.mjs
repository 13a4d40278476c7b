// One question to a service by huggingface.js: a JSON object on the standard input, the answer as JSON on the output.
import { readFileSync } from "node:fs";
import { InferenceClient } from "@huggingface/inference";

const asked = JSON.parse(readFileSync(0, "utf8"));
const image = new Blob([readFileSync(asked.image)]);
const client = new InferenceClient(asked.token ?? undefined).endpoint(asked.address);
const parameters = { candidate_labels: asked.labels, ...(asked.template ? { hypothesis_template: asked.template } : {}) };
const inputs = asked.bare ? image : { image };
try {
  console.log(JSON.stringify({ rows: await client.zeroShotImageClassification({ inputs, parameters }) }));
} catch (error) {
  const { status, requestId } = error.httpResponse ?? {};
  console.log(JSON.stringify({ error: error.name, message: error.message, status, request_id: requestId }));
}
