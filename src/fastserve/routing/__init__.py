"""Which version answers a request that names none: routes, and what moves them."""
