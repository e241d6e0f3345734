"""The API: routes, middleware, parameters and responses."""
