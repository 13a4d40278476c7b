"""Named label sets: labels that are embedded once, kept, and then asked for by name."""
