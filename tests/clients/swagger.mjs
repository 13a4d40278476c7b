// Sends a form as Swagger UI at /docs does. Arguments: the service's URL, a path, an image file, and the fields as JSON.

import { readFile } from "node:fs/promises";

import SwaggerClient from "swagger-client";

const [url, path, image, fields] = process.argv.slice(2);
const file = new File([await readFile(image)], "image.png", { type: "image/png" });
const values = Object.fromEntries(
  Object.entries(JSON.parse(fields)).map(([name, value]) => [name, name === "image" ? file : value]),
);
if (values.images) values.images = values.images.map(() => file);
const client = await SwaggerClient({ url: `${url}/openapi.json` });
const response = await client
  .execute({ pathName: path, method: "post", requestContentType: "multipart/form-data", requestBody: values })
  .catch(({ response }) => response);
console.log(JSON.stringify({ status: response.status, body: response.body ?? response.text }));
