"""One file a surface: parse, call the engine, answer."""
