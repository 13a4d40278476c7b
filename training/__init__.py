"""How the embedded checkpoint was made: prepares emoji art and its names as data, and trains a tiny SigLIP on them.

`python -m training.prepare` writes the data into training/build. The service imports nothing from this package.
"""
