// The API documentation: Swagger UI with this service's contract. All URLs are relative, so it works behind a prefix.

const base = new URL(".", document.baseURI).pathname;

// A contract without `servers` is for this service, wherever the page comes from.
const withServer = (update) => (document) => update({ servers: [{ url: base }], ...document });

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // the validator is a service on the internet
  plugins: [{ statePlugins: { spec: { wrapActions: { updateJsonSpec: withServer } } } }],
});
