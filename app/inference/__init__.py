"""How a request is computed, from prepared inputs to scores. No HTTP."""
