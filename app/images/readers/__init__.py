"""One file for each image format, and what several of them share. A reader returns a `Raster`."""
