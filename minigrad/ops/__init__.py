"""The primitives, a file per family. A family imports only earlier ones and the core."""
