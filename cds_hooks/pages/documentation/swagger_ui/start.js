// Shows the document of this server. Nothing is sent to a validator elsewhere.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", validatorUrl: null, defaultModelsExpandDepth: 0 });
