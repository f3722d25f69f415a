"""True servers with security on: certificates, sign-in, rights. For the tests alone."""
