"""How the embedded checkpoint was made: emoji art and its names become data, then a tiny SigLIP.

`python -m training.prepare` writes the data into training/build; nothing here is imported by the service.
"""
